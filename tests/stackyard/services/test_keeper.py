"""One slot with a simulated agent and a clock of the test's: pauses, holds, orders."""

from __future__ import annotations

import itertools
from typing import Any

from stackyard.agents.agent import Usage
from stackyard.agents.configuration import Prepared
from stackyard.agents.lineage import Group, Identity
from stackyard.services.keeper import END_SECONDS, Keeper, Phase


class SimulatedAgent:
    """Ends when told to by the test, or when interrupted if it is obedient."""

    group: Group | None = None

    def __init__(self, obedient: bool = True) -> None:
        self.identity = Identity(1, 1)
        self.status: int | None = None
        self.obedient = obedient
        self.interrupted = self.cleared = 0

    def ended(self) -> int | None:
        return self.status

    def interrupt(self) -> None:
        self.interrupted += 1
        if self.obedient:
            self.status = 254

    def started(self, before: float = float("inf")) -> list[Identity]:
        return []

    def clear(self, grace_seconds: float) -> int:
        self.cleared += 1
        self.status = -9 if self.status is None else self.status
        return 0

    def usage(self) -> Usage:
        return Usage(1, 1, 0.0)


def prepared(digest: str = "a") -> Prepared:
    return Prepared("cpu-0", "cpu", "host:cpu-0", "/nowhere", (), {}, (), None, False, digest)


def keeper(*agents: SimulatedAgent) -> tuple[Keeper, list[SimulatedAgent]]:
    left, started = list(agents), []

    def start(_: Prepared) -> Any:
        started.append(left.pop(0) if left else SimulatedAgent())
        return started[-1]

    return Keeper(prepared(), start), started


def test_an_agent_that_dies_young_is_started_later_each_time() -> None:
    made, started = keeper()
    starts, now = [], 0.0
    for _ in range(4000):
        before = len(started)
        made.step(now, idle=True)
        if len(started) > before:
            starts.append(now)
            started[-1].status = 1
        now += 0.1
    pauses = [round(b - a) for a, b in itertools.pairwise(starts)]
    assert pauses[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert made.restarts >= 8
    assert "ended with status 1" in (made.trouble or "")


def test_one_that_ran_for_long_is_started_again_at_once() -> None:
    made, started = keeper()
    made.step(0.0, idle=True)
    made.failures = 5
    made.step(61.0, idle=True)
    started[0].status = -9
    ended = made.step(62.0, idle=True)
    assert ended is not None
    assert (ended.asked, ended.status, ended.at) == (False, -9, 62.0)
    assert made.trouble == "the agent was killed by signal 9"
    made.step(62.5, idle=True)
    assert made.phase is Phase.WAITING
    made.step(63.1, idle=True)
    assert made.phase is Phase.RUNNING


def test_a_gpu_taken_by_others_ends_an_idle_agent_only_and_it_comes_back() -> None:
    """The GPU is simulated: the supervisor tells the keeper to hold."""
    made, started = keeper()
    made.step(0.0, idle=True)
    made.hold = "GPU 0 is used by others (40% of its memory)"
    for now in (1.0, 2.0):
        made.step(now, idle=False)
    assert started[0].interrupted == 0, "its task goes on"
    made.step(3.0, idle=True)
    ended = made.step(3.5, idle=True)
    assert ended is not None
    assert ended.asked
    made.step(4.0, idle=True)
    assert made.phase is Phase.HELD
    assert made.restarts == 0
    made.hold = None
    made.step(5.0, idle=True)
    assert made.phase is Phase.RUNNING


def test_a_worn_agent_is_replaced_once_it_has_no_task() -> None:
    made, started = keeper()
    made.step(0.0, idle=True)
    made.worn = True
    made.step(1.0, idle=False)
    assert (made.phase, started[0].interrupted) == (Phase.RUNNING, 0)
    for now in (2.0, 3.0, 4.0):
        made.step(now, idle=True)
    assert (len(started), started[0].interrupted, made.worn) == (2, 1, False)
    assert (made.phase, made.failures, made.restarts) == (Phase.RUNNING, 0, 0)


def test_a_change_waits_for_the_running_task() -> None:
    made, started = keeper()
    made.step(0.0, idle=True)
    made.wanted = prepared("b")
    made.step(1.0, idle=False)
    assert len(started) == 1
    made.step(2.0, idle=True)
    made.step(2.1, idle=True)
    made.step(2.2, idle=True)
    assert (len(started), made.prepared.digest) == (2, "b")


def test_an_agent_that_does_not_end_is_killed() -> None:
    made, started = keeper(SimulatedAgent(obedient=False))
    made.step(0.0, idle=True)
    made.wanted = None
    made.step(1.0, idle=False, at_once=True)
    made.step(1.0 + END_SECONDS, idle=False, at_once=True)
    assert started[0].cleared == 0
    made.step(1.1 + END_SECONDS, idle=False, at_once=True)
    assert started[0].cleared == 1
    ended = made.step(1.2 + END_SECONDS, idle=False, at_once=True)
    assert ended is not None
    assert ended.asked
    made.step(2.0 + END_SECONDS, idle=False)
    assert made.phase is Phase.GONE


def test_an_agent_is_asked_again_because_the_first_time_may_have_ended_its_task_only() -> None:
    made, started = keeper(SimulatedAgent(obedient=False))
    made.step(0.0, idle=True)
    made.wanted = None
    for now in (1.0, 1.5, 2.0, 2.5, 3.0):
        made.step(now, idle=False, at_once=True)
    assert started[0].interrupted == 3
