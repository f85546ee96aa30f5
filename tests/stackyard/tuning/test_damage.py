"""What no tuner writes into a trial's file, and what it does."""

from __future__ import annotations

import pytest

from stackyard.tuning import damage
from stackyard.tuning import study as studies
from stackyard.tuning.space import Choice, Range
from stackyard.tuning.trial import Trial
from tests.stackyard.tuning.study_text import study


def test_every_corner_of_a_space_is_found_in_what_the_study_keeps() -> None:
    space = damage.kept_space(studies.plain(study()))
    assert space == (Range("lr", 0.001, 1.0), Choice("batch", (30, 300, 3000)))
    for place in (0.0, 0.5, 1.0):
        parameters = {one.name: one.at(place) for one in study().space.dimensions}
        assert damage.problem(Trial(0, parameters), space) is None


@pytest.mark.parametrize(
    "value", ["foo", [1], None, True, 0, 1e9, float("nan"), 10**400], ids=lambda v: str(v)[:9]
)
def test_a_value_outside_its_dimension_is_told(value: object) -> None:
    for dimension in (Range("x", 1, 9), Choice("x", (1.5, 2.5)), Choice("x", ("a", "b"))):
        assert "parameters.x is" in str(damage.problem(Trial(0, {"x": value}), (dimension,)))


def test_sums_of_steps_lie_in_the_space_though_they_are_not_exact() -> None:
    space = (Range("x", 0.1, 0.3, step=0.1),)
    assert damage.problem(Trial(0, {"x": 0.1 + 0.1 * 2}), space) is None
    assert damage.problem(Trial(0, {"x": 0.301}), space) is not None


def test_a_study_without_a_space_is_compared_with_none() -> None:
    assert damage.kept_space({}) is damage.kept_space({"space": "x"}) is None
    assert damage.problem(Trial(0, {"x": 1})) is None
