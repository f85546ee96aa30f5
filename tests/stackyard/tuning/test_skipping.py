from __future__ import annotations

import pytest

from stackyard.tuning import skipping
from stackyard.tuning.trial import Interval, Reason, Trial

GB = 1e9


def checked(number: int, kept: bool) -> Trial:
    """A trial that was to be skipped, was run all the same, and kept its limits or not."""
    trial = Trial(number, {}, "completed" if kept else "stopped", checks_prediction=True)
    if not kept:
        trial.reason = Reason("limit", "stopped", "ram_bytes", 4 * GB, 4.1 * GB)
    return trial


def test_what_cannot_fit_is_skipped_and_the_sentence_has_what_was_predicted() -> None:
    told = {"ram_bytes": Interval(6 * GB, 5.7 * GB, 6.3 * GB), "cpu_seconds": Interval(30, 20, 40)}
    reason = skipping.why_skip({"ram_bytes": 4 * GB, "cpu_seconds": 100}, told)
    assert reason is not None
    assert (reason.kind, reason.quantity, reason.limit, reason.seen) == (
        "predicted",
        "ram_bytes",
        4 * GB,
        6 * GB,
    )
    assert reason.message == (
        "skipped: its peak RAM would be 6 GB (90 % interval 5.7 GB to 6.3 GB), 4 GB allowed"
    )


def test_of_several_limits_the_one_that_is_furthest_exceeded_is_named() -> None:
    told = {"ram_bytes": Interval(6 * GB, 5.9 * GB, 6.1 * GB), "cpu_seconds": Interval(900, 890, 910)}
    reason = skipping.why_skip({"ram_bytes": 4 * GB, "cpu_seconds": 100}, told)
    assert reason is not None
    assert reason.quantity == "cpu_seconds"
    assert "900 s" in reason.message


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({}, "nothing is predicted"),
        ({"ram_bytes": Interval(6 * GB, 3.9 * GB, 9 * GB)}, "the limit lies inside the interval"),
        ({"ram_bytes": Interval(5 * GB, 4.1 * GB, 6 * GB)}, "the limit lies just below it"),
        ({"ram_bytes": Interval(4.01 * GB, 4.01 * GB, 4.01 * GB)}, "it is as good as at the limit"),
        ({"cpu_seconds": Interval(1e9, 1e9, 1e9)}, "there is no such limit"),
        ({"ram_bytes": Interval(0.0, 0.0, 0.0)}, "it uses none"),
    ],
)
def test_what_may_fit_is_begun(told: dict[str, Interval], why: str) -> None:
    assert skipping.why_skip({"ram_bytes": 4 * GB}, told) is None, why


def test_each_trial_that_was_skipped_wrongly_makes_skipping_rarer() -> None:
    told = {"ram_bytes": Interval(6 * GB, 5.4 * GB, 6.6 * GB)}
    limits = {"ram_bytes": 4 * GB}
    right = [checked(n, kept=False) for n in range(20)]
    assert skipping.why_skip(limits, told, right) is not None
    assert skipping.why_skip(limits, told, [*right, *(checked(20 + n, kept=True) for n in range(3))]) is None
    # of many that were right, one in a hundred may be wrong
    many = [checked(n, kept=False) for n in range(200)]
    assert skipping.strictness([*many, checked(200, kept=True)]) == skipping.STRICTNESS


def test_a_share_of_the_skipped_is_run_all_the_same_and_at_every_run_the_same_ones() -> None:
    chosen = [number for number in range(3000) if skipping.is_checked(7, number)]
    assert 240 < len(chosen) < 360
    assert chosen == [number for number in range(3000) if skipping.is_checked(7, number)]
    assert chosen != [number for number in range(3000) if skipping.is_checked(8, number)]
    assert not any(skipping.is_checked(7, number, 0.0) for number in range(300))
    assert all(skipping.is_checked(7, number, 1.0) for number in range(300))
