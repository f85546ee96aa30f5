from __future__ import annotations

import pytest

from stackyard.tuning.prediction import calibration
from stackyard.tuning.trial import Interval, Trial


def told(used: float) -> Trial:
    return Trial(
        0, {}, "completed", used={"cpu_seconds": used}, predicted={"cpu_seconds": Interval(10, 8, 12)}
    )


def test_misses_widen_and_hits_narrow_and_nine_of_ten_hits_leave_the_width() -> None:
    hit, miss = told(10), told(20)
    assert calibration.factor([], "cpu_seconds") == 1
    assert calibration.factor([miss] * 5, "cpu_seconds") > 1.4
    assert calibration.factor([hit] * 20, "cpu_seconds") < 0.9
    assert calibration.factor([*[hit] * 9, miss] * 8, "cpu_seconds") == pytest.approx(1)
    # neither misses nor hits without end carry it away
    assert calibration.factor([miss] * 1000, "cpu_seconds") <= 10
    assert calibration.factor([hit] * 10_000, "cpu_seconds") >= 0.1


def test_widening_is_in_proportion_to_the_value() -> None:
    found = calibration.widened(Interval(10, 5, 20), 2.0)
    assert (found.low, found.value, found.high) == pytest.approx((2.5, 10, 40))


@pytest.mark.parametrize("by", [0.1, 1.0, 64.0])
def test_however_wide_the_bounds_are_they_stay_numbers_in_order(by: float) -> None:
    for low, value, high in ((1e-80, 1.0, 1e80), (1e-87, 1e-86, 1e86), (5.0, 5.0, 5.0), (0.0, 0.0, 0.0)):
        found = calibration.widened(Interval(value, low, high), by)
        assert 0 <= found.low <= found.value <= found.high < float("inf")
