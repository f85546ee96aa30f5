from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard.tuning.prediction import readings
from stackyard.tuning.trial import Reading
from stackyard_task.records import Progress


def reading(share: float | None, **used: float) -> Reading:
    return Reading(share, None, {"wall_seconds": 100 * (share or 0.0), **used})


def test_few_of_many_are_kept_the_early_ones_closer_together_and_the_last_always() -> None:
    kept: list[Reading] = []
    for place in range(10_001):
        readings.keep(kept, reading(place / 10_000))
    assert len(kept) <= readings.MOST_READINGS
    assert kept[-1].share == 1.0
    early = readings.at_share(kept, 0.05)
    assert early is not None
    assert early.used["wall_seconds"] == pytest.approx(5.0)
    assert sum((r.share or 0) < 0.05 for r in kept) > 10


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.none() | st.floats(0, 1), st.floats(0, 1e9)), max_size=80))
def test_whatever_is_told_they_stay_few_and_in_order(told: list[tuple[float | None, float]]) -> None:
    kept: list[Reading] = []
    for share, memory in told:
        readings.keep(kept, Reading(share, None, {"ram_bytes": memory}))
    shares = [r.share for r in kept if r.share is not None]
    assert len(kept) <= readings.MOST_READINGS
    assert shares == sorted(shares)
    assert [r.used["ram_bytes"] for r in kept] == sorted(r.used["ram_bytes"] for r in kept)


def test_the_start_is_the_last_moment_before_any_work_was_done() -> None:
    kept: list[Reading] = []
    for one in (reading(None, cpu_seconds=0.1), reading(0.0, cpu_seconds=1.0), reading(0.0, cpu_seconds=2.0)):
        readings.keep(kept, one)
    readings.keep(kept, reading(0.02, cpu_seconds=3.0))
    start = readings.at_start(kept)
    assert start is not None
    assert start.used["cpu_seconds"] == 2.0
    assert readings.at_start([reading(0.1)]) is None


def test_between_two_readings_use_is_in_proportion_and_beyond_the_last_unknown() -> None:
    kept = [reading(0.0, cpu_seconds=1.0), reading(0.1, cpu_seconds=2.0)]
    half = readings.at_share(kept, 0.05)
    assert half is not None
    assert half.used["cpu_seconds"] == pytest.approx(1.5)
    assert readings.at_share(kept, 0.2) is None


def test_progress_becomes_a_reading_without_what_is_no_number() -> None:
    told = Progress(
        phase="run", done=5.0, total=100.0, cpu_seconds=2.0, elapsed_seconds=math.nan, most_rss_bytes=7
    )
    found = readings.of(told)
    assert found.share == 0.05
    assert found.used == {"cpu_seconds": 2.0, "ram_bytes": 7.0}
    assert readings.of(Progress(phase="run", done=5.0, total=0.0)).share is None
