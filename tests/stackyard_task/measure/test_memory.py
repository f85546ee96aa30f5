"""The two estimators of a tree's peak, on readings with a known truth."""

from __future__ import annotations

from typing import Dict, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard_task.measure.cgroup import Charge
from stackyard_task.measure.memory import ChargedMemory, ProcessMemory
from stackyard_task.measure.proc import Residency, Shares
from tests.counts import examples

MB = 1 << 20


def unasked() -> Optional[int]:
    raise AssertionError("no page cache moved: there is nothing to ask")


def unknown(_pid: int) -> Optional[Shares]:
    return None


def process(anonymous: int, mark: int = 0, files: int = 0, shared: int = 0) -> Residency:
    total = anonymous + files + shared
    return Residency(max(mark, total) * MB, total * MB, anonymous * MB, files * MB, shared * MB)


def test_a_spike_between_two_samples_is_in_the_charge() -> None:
    memory = ChargedMemory()
    memory.observe(Charge(10 * MB, 10 * MB, 10 * MB), 5 * MB, 5 * MB, unasked)
    now = memory.observe(Charge(10 * MB, 310 * MB, 10 * MB), 5 * MB, 5 * MB, unasked)
    assert now == 15 * MB
    assert memory.peak.bytes == memory.peak.low_bytes == memory.peak.high_bytes == 315 * MB


def test_page_cache_of_a_file_read_is_no_resident_memory() -> None:
    memory = ChargedMemory()
    memory.observe(Charge(10 * MB, 10 * MB, 10 * MB), 0, 0, unasked)
    memory.observe(Charge(410 * MB, 410 * MB, 10 * MB), 0, 0, lambda: 11 * MB)
    assert memory.peak.bytes == 11 * MB
    assert memory.peak.low_bytes == 10 * MB
    assert memory.charged_peak == 410 * MB  # told apart, with the cache in it


def test_a_spike_while_page_cache_grows_is_decided_by_the_marks_within_the_bounds() -> None:
    memory = ChargedMemory()
    memory.observe(Charge(10 * MB, 10 * MB, 10 * MB), 0, 0, unasked)
    memory.observe(Charge(110 * MB, 410 * MB, 10 * MB), 0, 0, lambda: 350 * MB)
    assert (memory.peak.low_bytes, memory.peak.bytes, memory.peak.high_bytes) == (
        310 * MB,
        350 * MB,
        410 * MB,
    )


def test_memory_handed_from_one_child_to_the_next_is_not_summed_in_the_charge() -> None:
    memory = ChargedMemory()
    memory.observe(Charge(200 * MB, 200 * MB, 200 * MB), 0, 0, unasked)
    memory.observe(Charge(200 * MB, 205 * MB, 200 * MB), 0, 0, unasked)
    assert memory.peak.bytes == 205 * MB


def test_mapped_files_are_those_of_the_largest_at_least_and_of_all_at_most() -> None:
    memory = ChargedMemory()
    memory.observe(Charge(100 * MB, 100 * MB, 100 * MB), 30 * MB, 90 * MB, unasked)
    assert (memory.peak.bytes, memory.peak.high_bytes) == (130 * MB, 190 * MB)


def test_without_a_cgroup_a_spike_is_in_the_mark() -> None:
    memory = ProcessMemory()
    memory.observe({1: process(10)}, True, unknown)
    memory.observe({1: process(10, mark=310)}, True, unknown)
    assert memory.peak.bytes == memory.peak.high_bytes == 310 * MB


def test_an_old_mark_that_could_not_be_reset_says_nothing_new() -> None:
    memory = ProcessMemory()
    memory.observe({1: process(10, mark=310), 2: process(10)}, False, lambda pid: Shares(10 * MB, 0))
    memory.observe({1: process(10, mark=310), 2: process(100)}, False, lambda pid: Shares(10 * MB, 0))
    assert memory.peak.bytes == 310 * MB  # not 310 beside the later 100


def test_two_processes_at_once_are_summed() -> None:
    memory = ProcessMemory()
    for _ in range(2):
        memory.observe({1: process(200), 2: process(200)}, True, lambda pid: Shares(200 * MB, 0))
    assert memory.peak.bytes == memory.peak.low_bytes == 400 * MB


def test_two_processes_in_turn_are_not_but_the_upper_bound_allows_for_it() -> None:
    memory = ProcessMemory()
    memory.observe({1: process(200)}, True, unknown)
    memory.observe({2: process(200)}, True, unknown)
    assert memory.peak.bytes == 200 * MB
    assert memory.peak.high_bytes == 400 * MB


def test_a_shared_map_counts_once() -> None:
    memory = ProcessMemory()
    four = {pid: process(5, shared=200) for pid in range(4)}
    memory.observe(four, True, lambda pid: Shares(5 * MB, 50 * MB))
    assert memory.peak.bytes == memory.peak.low_bytes == memory.peak.high_bytes == 220 * MB


def test_pages_a_fork_shares_count_once() -> None:
    memory = ProcessMemory()
    memory.observe({1: process(200), 2: process(200)}, True, lambda pid: Shares(100 * MB, 0))
    assert memory.peak.bytes == 200 * MB
    assert memory.peak_minus_shared == 400 * MB  # Study 002's definition counts them twice


def test_unknown_shares_widen_the_bounds() -> None:
    memory = ProcessMemory()
    memory.observe({1: process(200), 2: process(200)}, True, unknown)
    assert memory.peak.low_bytes == 200 * MB
    assert memory.peak.high_bytes == 400 * MB


def test_a_process_nobody_sampled_is_in_what_wait_says() -> None:
    memory = ProcessMemory()
    memory.observe({1: process(20)}, True, unknown)
    memory.peak.include_process_peak(300 * MB, 20 * MB)
    assert (memory.peak.low_bytes, memory.peak.high_bytes) == (300 * MB, 320 * MB)


readings = st.dictionaries(
    st.integers(1, 5),
    st.builds(process, st.integers(0, 500), st.integers(0, 900), st.integers(0, 50)),
    max_size=4,
)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(readings, min_size=1, max_size=8), st.booleans())
def test_the_estimate_lies_between_its_bounds_and_never_below_one_process(
    intervals: list[Dict[int, Residency]], shares_known: bool
) -> None:
    memory = ProcessMemory()
    for now in intervals:
        memory.observe(
            now, True, (lambda pid, now=now: Shares(now[pid].anonymous, 0)) if shares_known else unknown
        )
    peak = memory.peak
    assert peak.low_bytes is not None
    assert peak.bytes is not None
    assert peak.high_bytes is not None
    assert peak.low_bytes <= peak.bytes <= peak.high_bytes
    assert peak.bytes >= max((r.high_water for now in intervals for r in now.values()), default=0)


@pytest.mark.parametrize("usage", [0, 50])
def test_a_charge_below_its_residents_is_taken_as_it_is(usage: int) -> None:
    memory = ChargedMemory()
    memory.observe(Charge(usage * MB, usage * MB, 60 * MB), 0, 0, unasked)
    assert memory.peak.bytes == 60 * MB


def test_what_a_fork_may_have_left_is_a_bound_and_no_figure() -> None:
    memory = ProcessMemory()
    memory.peak.may_have_been(14 * MB)
    assert (memory.peak.low_bytes, memory.peak.bytes, memory.peak.high_bytes) == (None, None, 14 * MB)
    memory.observe({1: process(2)}, True, unknown)
    assert (memory.peak.low_bytes, memory.peak.bytes, memory.peak.high_bytes) == (2 * MB, 2 * MB, 14 * MB)
