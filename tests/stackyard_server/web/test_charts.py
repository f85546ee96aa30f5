"""Charts: what is drawn for which series."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from stackyard_server.web import charts


def test_every_series_becomes_a_line_inside_the_frame() -> None:
    chart = charts.draw("loss", {"train": ([0, 1, 2], [3.0, 2.0, 1.0]), "valid": ([0, 2], [4.0, 2.5])})
    assert chart is not None
    assert [line.name for line in chart.lines] == ["train", "valid"]
    assert [line.last for line in chart.lines] == ["1", "2.5"]
    for line in chart.lines:
        numbers = [float(n) for pair in line.path[1:].split(" L") for n in pair.split()]
        assert all(chart.left <= x <= chart.right for x in numbers[::2])
        assert all(chart.top <= y <= chart.bottom for y in numbers[1::2])


def test_one_point_is_a_dot_and_nothing_finite_is_no_chart() -> None:
    chart = charts.draw("acc", {"a": ([5], [0.5])})
    assert chart is not None
    assert chart.lines[0].dot is not None
    assert not chart.lines[0].path
    assert charts.draw("acc", {"a": ([1, 2], [math.nan, math.inf])}) is None


@given(st.floats(-1e12, 1e12), st.floats(0, 1e12))
def test_ticks_are_round_few_and_inside(low: float, span: float) -> None:
    marks = charts.ticks(low, low + span)
    assert 1 <= len(marks) <= 12
    assert all(
        low - 1e-9 * max(1, abs(low)) <= m <= low + span + 1e-6 * max(1.0, abs(low) + span) for m in marks
    )
