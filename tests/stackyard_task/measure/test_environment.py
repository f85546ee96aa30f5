"""What a record says of where it was made."""

from __future__ import annotations

import os

from stackyard_task.measure.cgroup_places import Places
from stackyard_task.measure.environment import describe, tunables
from stackyard_task.measure.limits import default_threads, hold
from stackyard_task.records import Code, Limits, StackPin, TaskSpec


def test_the_task_and_the_machine_are_described() -> None:
    spec = TaskSpec(
        "r",
        "w",
        stack=StackPin("s", digest="abc"),
        code=Code("1.0", True, "f00"),
        limits=Limits(memory_bytes=1_000_000),
        environment={"MALLOC_TOP_PAD_": "1"},
    )
    holding = hold(spec.limits, None, None)
    found = describe(spec, holding, Places(), {"HOME": "/x", "OMP_NUM_THREADS": "2"})
    assert (found.stack, found.stack_digest) == ("s", "abc")
    assert (found.code_version, found.code_dirty, found.code_digest) == ("1.0", True, "f00")
    assert found.ram_limit_bytes == 1_000_000
    assert found.limit_mechanism == "affinity + rlimit"
    assert found.affinity_cores == len(os.sched_getaffinity(0))
    assert found.tunables == {"MALLOC_TOP_PAD_": "1", "OMP_NUM_THREADS": "2"}
    assert found.machine_ram_bytes is not None
    assert found.os


def test_only_variables_that_change_speed_are_recorded() -> None:
    inherited = {"SECRET_TOKEN": "t", "KMP_AFFINITY": "none", "PATH": "/bin"}
    assert tunables({"CHOSEN": "1"}, inherited) == {"CHOSEN": "1", "KMP_AFFINITY": "none"}


def test_a_quota_the_supervisor_is_under_limits_the_child() -> None:
    holding = hold(Limits(), None, 0.5)
    assert holding.allowed_cores == 0.5
    assert holding.mechanism is None


def test_threads_follow_the_quota_and_are_at_least_one() -> None:
    assert [default_threads(cores) for cores in (0.5, 1.0, 1.9, 4.0)] == [1, 1, 1, 4]
