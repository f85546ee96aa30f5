"""Limits that something outside the supervisor, such as a container, already holds."""

from __future__ import annotations

import os

import pytest

from stackyard_task.measure.limits import LimitError, hold
from stackyard_task.records import Limits


def test_what_the_container_already_holds_is_left_to_it() -> None:
    held = hold(Limits(0.5, 10**9), None, 0.5, 10**9)
    assert (held.mechanism, held.allowed_cores, held.steps) == ("already held", 0.5, [])
    assert held.watched_memory_bytes == 10**9  # the supervisor lives in the container too


def test_a_looser_limit_outside_is_not_enough() -> None:
    with pytest.raises(LimitError, match=r"0\.5 cores needs a writable cgroup"):
        hold(Limits(cores=0.5), None, 1.0)
    held = hold(Limits(memory_bytes=10**9), None, None, 2 * 10**9)
    assert (held.mechanism, held.watched_memory_bytes) == ("affinity + rlimit", 10**9)


def test_more_than_the_machine_has_is_refused_not_forgotten() -> None:
    have = len(os.sched_getaffinity(0))
    with pytest.raises(LimitError, match=f"{have + 1} cores wanted, {have} can be used here"):
        hold(Limits(cores=have + 1), None, None)
    with pytest.raises(LimitError, match=r"1000000\.0 GB of memory wanted, this machine has"):
        hold(Limits(memory_bytes=10**15), None, None)
