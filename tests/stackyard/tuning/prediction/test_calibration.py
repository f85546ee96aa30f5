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


def test_widening_is_in_proportion_to_the_value_and_never_below_what_was_used() -> None:
    found = calibration.widened(Interval(10, 5, 20), 2.0, least=4.0)
    assert (found.low, found.value, found.high) == pytest.approx((4.0, 10, 40))
