"""CPU percent over windows of half a second."""

from __future__ import annotations

import pytest

from stackyard_task.measure.cpu import CpuWindows


def test_the_maximum_is_over_half_a_second_not_over_one_sample() -> None:
    windows = CpuWindows()
    used = 0.0
    for index in range(30):  # one core and a half for a tenth of a second, then a fifth of a core
        used += 0.15 if index == 10 else 0.02
        windows.add(index * 0.1, used)
    assert windows.percent_of_core_max == pytest.approx(100 * (0.15 + 4 * 0.02) / 0.5)


def test_a_reading_says_what_was_used_since_the_one_before() -> None:
    windows = CpuWindows()
    assert windows.add(0.0, 0.0) is None
    assert windows.add(0.1, 0.2) == pytest.approx(200.0)
    assert windows.percent_of_core_max is None  # too short to speak of


def test_readings_far_apart_still_count() -> None:
    windows = CpuWindows()
    windows.add(0.0, 0.0)
    windows.add(3.0, 1.5)
    assert windows.percent_of_core_max == pytest.approx(50.0)
