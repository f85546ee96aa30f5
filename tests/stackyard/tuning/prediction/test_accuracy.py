from __future__ import annotations

import pytest

from stackyard.tuning.prediction import accuracy
from stackyard.tuning.trial import Interval, Reason, Trial


def trial(number: int, state: str, used: float | None, told: Interval | None, checks: bool = False) -> Trial:
    found = Trial(number, {}, state, checks_prediction=checks)
    if used is not None:
        found.used["cpu_seconds"] = used
    if told is not None:
        found.predicted["cpu_seconds"] = told
    if state == "stopped":
        found.reason = Reason("limit", "stopped", "cpu_seconds", 100.0, used)
    return found


def test_errors_and_coverage_are_counted_over_what_is_known() -> None:
    told = Interval(100, 90, 110)
    trials = [
        trial(0, "completed", 100, told),
        trial(1, "completed", 125, told),
        trial(2, "completed", 100, None),
        # stopped below the bounds' end: nobody knows; beyond it: they did not hold
        trial(3, "stopped", 101, told),
        trial(4, "stopped", 120, told),
        trial(5, "skipped", None, told),
        trial(6, "running", 5, told),
    ]
    found = accuracy.of_quantity(trials, "cpu_seconds")
    assert (found.trials, found.decided) == (2, 3)
    assert found.median_error_percent == pytest.approx(10)
    assert found.p90_error_percent == pytest.approx(18)
    assert found.coverage_percent == pytest.approx(100 / 3)
    assert [one.quantity for one in accuracy.table(trials)] == ["cpu_seconds"]
    assert accuracy.table(trials, early=True) == []


def test_nothing_to_count_is_none_and_not_a_hundred_percent() -> None:
    found = accuracy.of_quantity([], "cpu_seconds")
    assert (found.trials, found.median_error_percent, found.coverage_percent) == (0, None, None)
    assert accuracy.of_skipped([]).wrongly_percent is None


def test_skipped_wrongly_is_of_those_that_were_run_all_the_same() -> None:
    trials = [
        *(trial(n, "stopped", 120, None, checks=True) for n in range(3)),
        trial(3, "completed", 90, None, checks=True),
        trial(4, "skipped", None, None),
        # ended by the pruner: whether it would have kept its limits is not known
        Trial(5, {}, "stopped", checks_prediction=True, reason=Reason("pruner", "behind the others")),
        trial(6, "completed", 90, None),
    ]
    found = accuracy.of_skipped(trials)
    assert (found.skipped, found.checked, found.wrongly, found.wrongly_percent) == (1, 4, 1, 25.0)
