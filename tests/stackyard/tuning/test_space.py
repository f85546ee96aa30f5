"""Spaces: what can be tried, and where it lies in the unit cube."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard.tuning.space import Choice, Range, Space

ranges = st.one_of(
    st.builds(
        lambda a, b: Range("x", min(a, b), max(a, b) + 1, whole=True),
        st.integers(-99, 99),
        st.integers(-99, 99),
    ),
    st.builds(lambda a, b: Range("x", a, a + b), st.floats(-99, 99), st.floats(0.5, 99)),
    st.builds(lambda a, b: Range("x", a, a * b, log=True), st.floats(1e-6, 1), st.floats(1.5, 1e6)),
    st.builds(
        lambda a, n, s: Range("x", a, a + n * s, step=s), st.integers(-9, 9), st.integers(1, 9), st.just(0.25)
    ),
)


@given(ranges, st.floats(0, 1))
def test_a_place_in_a_range_is_a_value_of_it_and_lies_where_it_was_taken(
    dimension: Range, place: float
) -> None:
    value = dimension.at(place)
    assert dimension.holds(value)
    (back,) = dimension.unit(value)
    assert -1e-9 <= back <= 1 + 1e-9
    if dimension.count is None:
        assert back == pytest.approx(place, abs=1e-6)


@given(ranges)
def test_every_value_of_a_countable_range_is_one_of_it(dimension: Range) -> None:
    if dimension.count is not None:
        values = list(dimension.grid())
        assert len(values) == len(set(values)) == dimension.count
        assert all(dimension.holds(value) for value in values)


def test_numbers_lie_by_their_size_and_texts_each_on_an_axis_of_its_own() -> None:
    space = Space((Choice("batch", (300, 30, 3000)), Choice("kind", ("a", "b"))))
    assert space.count == 6
    assert space.unit({"batch": 300, "kind": "b"}) == (0.5, 0.0, 1.0)


def test_true_is_not_one() -> None:
    space = Space((Choice("x", (True, False)),))
    assert not space.holds({"x": 1})
    assert space.key({"x": True}) != space.key({"x": 1})


def test_a_range_without_steps_cannot_be_counted() -> None:
    assert Space((Range("x", 0, 1), Choice("y", (1, 2)))).count is None
    with pytest.raises(ValueError, match="x"):
        Range("x", 0, 1).grid()


def test_values_of_steps_are_those_a_person_would_write() -> None:
    assert list(Range("b", 0.0, 0.5, step=0.1).grid()) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert [Range("b", 0.05, 0.5, step=0.1).at(place) for place in (0.0, 0.55, 1.0)] == [0.05, 0.25, 0.45]
    assert Range("b", 1e-7, 1e-6, step=1e-7).grid()[2] == 3e-7
    assert Range("b", 0.0, 3e6, step=1e6).at(0.7) == 2e6
    assert all(Range("b", 0.0, 0.5, step=0.1).holds(value) for value in (0.1, 0.3, 0.5))
