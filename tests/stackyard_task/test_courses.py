"""The courses of metrics: bounded whatever is told, in the order of their steps, with the last value known."""

from __future__ import annotations

import math
from typing import Any

import pytest

from stackyard_task.courses import NAMES_KEPT, POINTS_KEPT, Courses


def test_a_long_course_is_thinned_evenly_and_keeps_its_last_point() -> None:
    courses = Courses()
    for step in range(12_345):
        courses.add("loss", step, 1 / (step + 1), step / 10, step / 20)
    points = courses.series()["loss"]
    assert len(points) <= POINTS_KEPT
    steps = [point[0] for point in points]
    assert (steps[0], steps[-1]) == (0, 12_344)
    assert len({b - a for a, b in zip(steps, steps[1:-1])}) == 1
    assert points[-1] == [12_344, 1 / 12_345, 1234.4, 617.2]
    assert courses.results() == {"loss": 1 / 12_345}
    assert courses.told("loss") == 12_345


def test_steps_that_go_backwards_are_left_out_counted_and_said() -> None:
    courses = Courses()
    for step in (1, 2, 1, 0, 3):
        courses.add("a", step, float(step), 0.0, None)
    assert [point[0] for point in courses.series()["a"]] == [1, 2, 3]
    assert courses.notes() == ["metric a: 2 values came at a step before its last one and were left out"]


def test_a_step_that_is_told_again_has_its_last_value() -> None:
    courses = Courses()
    for value in (0.1, 0.2):
        courses.add("a", 5, value, 1.0, None)
    assert courses.series() == {"a": [[5, 0.2, 1.0, None]]}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "nan"])
def test_what_is_no_finite_number_is_left_out_and_then_nothing_is_known(value: Any) -> None:
    courses = Courses()
    courses.add("a", 1, 0.5, 1.0, 1.0)
    courses.add("a", 2, value, 2.0, 2.0)
    assert courses.series() == {"a": [[1, 0.5, 1.0, 1.0]]}
    assert courses.last()["a"].value is None
    assert courses.results() == {"a": "not a number"}
    assert courses.notes() == ["metric a: 1 value was no finite number and left out: NaN or an infinity"]
    courses.add("a", 3, 0.25, 3.0, 3.0)
    assert courses.results() == {"a": 0.25}


@pytest.mark.parametrize(
    ("name", "step", "value"),
    [
        *[
            ("", 1, 1.0),
            ("a\n", 1, 1.0),
            ("a" * 101, 1, 1.0),
            (3, 1, 1.0),
            ("a", "x", 1.0),
            ("a", math.nan, 1.0),
        ],
        *[("a", 1, "high"), ("a", 1, None), ("a", 1, True), ("a", 10**400, 1.0), ("a", 1, [1])],
    ],
)
def test_what_is_no_metric_is_refused(name: Any, step: Any, value: Any) -> None:
    courses = Courses()
    with pytest.raises(ValueError, match=r"name|step|value"):
        courses.add(name, step, value, 0.0, None)
    assert courses.series() == {}


def test_more_names_than_are_kept_are_counted() -> None:
    courses = Courses()
    for number in range(NAMES_KEPT + 7):
        courses.add(f"m{number}", 1, 1.0, 0.0, None)
    assert len(courses.series()) == NAMES_KEPT
    assert courses.notes() == ["the first 100 metrics are kept; 7 values of others were left out"]


def test_a_name_that_is_asked_for_is_kept_whenever_it_comes() -> None:
    courses = Courses(["accuracy", "never told"])
    for number in range(NAMES_KEPT + 5):
        courses.add(f"m{number}", 1, 0.5, 0.0, None)
    courses.add("accuracy", 1, 0.9, 0.0, None)
    assert courses.results()["accuracy"] == 0.9
    assert len(courses.series()) == NAMES_KEPT + 1
    assert courses.notes() == [
        "the first 100 metrics are kept, and those asked for; 5 values of others were left out"
    ]


def test_what_was_left_out_before_it_was_told_is_counted_too() -> None:
    courses = Courses()
    for step in (2, 1):
        courses.add("a", step, 1.0, 0.0, None)
    courses.left_out("a", 960, 1)
    courses.left_out("never told", 1, 1)
    assert courses.notes() == [
        "metric a: 961 values came at a step before its last one and were left out",
        "metric a: 1 value was no finite number and left out: NaN or an infinity",
    ]
