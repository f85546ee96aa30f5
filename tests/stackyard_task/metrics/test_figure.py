"""One figure: its last value, and a course that stays short."""

from __future__ import annotations

import pytest

from stackyard_task.metrics.figure import POINTS_KEPT, Figure, from_text, step_from


@pytest.mark.parametrize("count", [1, 5, POINTS_KEPT, POINTS_KEPT + 1, 54_321])
def test_a_long_course_is_thinned_evenly_and_keeps_its_ends(count: int) -> None:
    figure = Figure()
    for number in range(count):
        figure.add(number / 2, number)
    course = figure.course()
    assert course[0] == [0, 0.0]
    assert course[-1] == [count - 1, (count - 1) / 2]
    assert min(count, POINTS_KEPT // 2) <= len(course) <= POINTS_KEPT
    gaps = {after[0] - before[0] for before, after in zip(course, course[1:-1])}
    assert len(gaps) <= 1
    assert figure.last == (count - 1) / 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        (" -0.5 ", -0.5),
        ("1e-4", 1e-4),
        ("NaN", "nan"),
        ("1e999", "inf"),
        ("0.91%", "0.91%"),
        ("9" * 400, "inf"),
        ("x" * 5000, "x" * 1000),
    ],
)
def test_a_text_is_a_number_where_it_can_be(text: str, value: object) -> None:
    assert from_text(text) == value
    assert type(from_text(text)) is type(value)


def test_a_step_is_a_number() -> None:
    assert [step_from(told) for told in ("7", 7, 1.5, True, None, "x", "nan", float("nan"))] == [
        7,
        7,
        1.5,
        None,
        None,
        None,
        None,
        None,
    ]
