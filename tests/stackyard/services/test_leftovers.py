"""Which processes are left over: never one of the task that runs, whatever order the server's words come in."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import Any

from stackyard.agents.lineage import Identity
from stackyard.services.leftovers import Leftovers
from stackyard.services.watch import Seen, Task, Worker

WORKER = "host:cpu-0"
HZ = os.sysconf("SC_CLK_TCK")


@dataclass
class SimulatedAgent:
    """An agent whose processes began at the test's instants, in monotonic seconds."""

    began: dict[str, float] = field(default_factory=dict)
    identity: Identity = field(default_factory=lambda: Identity(1, 1))
    signals: list[tuple[str, signal.Signals]] = field(default_factory=list)

    def started(self, before: float = float("inf")) -> list[Any]:
        return [Told(name, self) for name, at in self.began.items() if at * HZ < before]


@dataclass(frozen=True)
class Told:
    """A process that notes which signals it gets."""

    name: str
    agent: SimulatedAgent = field(compare=False)
    pid: int = 0

    def signal(self, number: signal.Signals) -> bool:
        self.agent.signals.append((self.name, number))
        return True


def seen(
    at: float, runs: str | None = None, says: str | None = None, started: float = 0.0, asleep: float = 0.0
) -> Seen:
    """What the server said at an instant: the task that counts as running, and the one the agent speaks of.

    ``asleep``: the seconds that the machine has slept by then; the kernel's ticks count them.
    """
    task = runs and Task(runs, runs, "in_progress", WORKER, None, started, started, "", "")
    return Seen(
        at, (at + asleep) * HZ, None, workers={WORKER: Worker(at, says)}, tasks=(task,) if task else ()
    )


def signals(agent: SimulatedAgent, *words: Seen) -> list[tuple[str, signal.Signals]]:
    """Which signals its processes got after these words of the server's."""
    leftovers = Leftovers()
    for word in words:
        leftovers.end(word, [(WORKER, agent)])  # type: ignore[list-item]
    return agent.signals


def test_what_is_there_when_an_agent_has_no_task_is_asked_to_end_and_then_killed() -> None:
    agent = SimulatedAgent({"left": 5.0})
    assert signals(agent, seen(4, "a", "a"), seen(6, "a", "a")) == []
    assert signals(agent, seen(6, "a", "a"), seen(8), seen(8), seen(10)) == [
        ("left", signal.SIGTERM),
        ("left", signal.SIGKILL),
    ], "the same word twice is one look"


def test_a_task_that_counts_as_over_may_be_at_its_last_steps() -> None:
    agent = SimulatedAgent({"its main process": 5.0})
    assert signals(agent, seen(6, "a", "a"), seen(8, None, "a"), seen(60, None, "a")) == []


def test_an_agent_without_a_pause_ends_what_the_task_before_left() -> None:
    agent = SimulatedAgent({"left": 5.0, "of b": 8.5})
    assert signals(agent, seen(6, "a", "a"), seen(8, "a", "a"), seen(10, "b", "b")) == [
        ("left", signal.SIGTERM)
    ]


def test_a_task_that_began_between_two_looks_keeps_all_it_started() -> None:
    agent = SimulatedAgent({"of b": 8.5, "also of b": 11.0})
    words = [seen(8), seen(10, "b", None), seen(12, "b", "b"), seen(600, "b", "b")]
    assert signals(agent, *words) == [], "its agent's word may be older than the server's"


def test_what_the_first_try_of_a_task_left_ends_in_the_pause_before_the_next() -> None:
    agent = SimulatedAgent({"of the first": 5.0, "of the second": 23.0})
    words = [seen(6, "a", "a", started=4), seen(20, "a", "a", started=4), seen(22), seen(24, "a", "a", 23)]
    assert signals(agent, *words) == [("of the first", signal.SIGTERM), ("of the first", signal.SIGKILL)]


def test_nothing_is_known_of_what_ran_before_the_first_look() -> None:
    agent = SimulatedAgent({"of a": 5.0})
    assert signals(agent, seen(6, "a", "a"), seen(8, "a", "a")) == []


def test_another_agent_begins_anew() -> None:
    agent = SimulatedAgent({})
    leftovers = Leftovers()
    leftovers.end(seen(10), [(WORKER, agent)])  # type: ignore[list-item]
    agent.identity, agent.began = Identity(2, 2), {"of a": 9.0}
    leftovers.end(seen(12, "a", "a"), [(WORKER, agent)])  # type: ignore[list-item]
    assert agent.signals == [("of a", signal.SIGTERM)], "at the look before, the task did not yet run"


def test_what_a_task_started_before_the_machine_slept_is_not_left_over() -> None:
    agent = SimulatedAgent({"of b": 9.0})
    words = [seen(8), seen(10, "b", "b"), seen(12, "b", "b", asleep=3600), seen(14, "b", "b", asleep=3600)]
    assert signals(agent, *words) == []


def test_a_task_that_starts_anew_by_itself_keeps_its_processes() -> None:
    agent = SimulatedAgent({"its own": 5.0})
    assert signals(agent, seen(6, "a", "a"), seen(8, "a", "a", started=7.0), seen(10, "a", "a", 7.0)) == []


def test_a_task_that_a_look_left_out_keeps_its_processes() -> None:
    agent = SimulatedAgent({"its own": 5.0})
    assert signals(agent, seen(6, "a", "a"), seen(8, None, "a"), seen(10, "a", "a"), seen(12, "a", "a")) == []


def test_a_task_that_its_agent_spoke_of_before_keeps_its_processes() -> None:
    agent = SimulatedAgent({"of b": 6.5})
    assert signals(agent, seen(6, "a", "a"), seen(8, None, "b"), seen(10, "b", "b"), seen(12, "b", "b")) == []
