"""One slot of this machine: its agent started, kept running, ended when it should be. No server, no plan file.

The supervisor tells at each step what is wanted and whether the agent has a task; the keeper starts, ends and starts
again, later each time an agent dies young. An agent with a task is asked to end only where the order says so.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from stackyard.agents.agent import LOG, Usage
from stackyard.agents.configuration import Prepared, leave
from stackyard.agents.lineage import Group, Identity
from stackyard.counting import count
from stackyard_server.rules import fate

log = logging.getLogger(__name__)

#: The first pause before an agent that died is started again, and the longest; each is twice the one before.
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
#: An agent that ran so long did not die young: the next pause is the first again.
STEADY_SECONDS = 60.0
#: How long an agent that was asked to end may take.
END_SECONDS = 20.0
#: An agent that is asked while it has a task ends the task and goes on; so it is asked again.
AGAIN_SECONDS = 1.0
#: How long what an agent left behind may take to end when asked.
GRACE_SECONDS = 2.0


class Phase(enum.StrEnum):
    """Where a slot stands."""

    #: No agent; one is started when its pause is over.
    WAITING = "waiting"
    #: No agent, for a reason that will pass.
    HELD = "held"
    RUNNING = "running"
    #: The agent was asked to end.
    ENDING = "ending"
    #: No agent, and none is wanted.
    GONE = "gone"


class Running(Protocol):
    """An agent's process (``agents.agent.Agent``)."""

    identity: Identity
    #: The cgroup of all it started.
    group: Group | None

    def ended(self) -> int | None:
        """Its exit status; ``None``: it runs."""

    def interrupt(self) -> None:
        """Ask it to end."""

    def started(self, before: float = ...) -> list[Identity]:
        """What it started and still runs, as far as it began before an instant."""

    def clear(self, grace_seconds: float) -> int:
        """End whatever is left of it."""

    def usage(self) -> Usage:
        """What it uses now."""


@dataclass(frozen=True)
class Ended:
    """An agent's end, as the supervisor has to know it."""

    worker: str
    #: As ``subprocess`` has it: below 0 the signal.
    status: int
    #: Monotonic seconds of its end, and when it was asked; ``None``: it was not.
    at: float
    asked_at: float | None = None

    @property
    def asked(self) -> bool:
        """Whether we asked for it."""
        return self.asked_at is not None


class Keeper:
    """Keeps one slot.

    Args:
        prepared: what its agent is given.
        start: starts an agent.
    """

    def __init__(self, prepared: Prepared, start: Callable[[Prepared], Running]) -> None:
        self.prepared = prepared
        #: What the next agent is given; ``None``: no next one is wanted.
        self.wanted: Prepared | None = prepared
        #: Why no agent is to run for the time being; ``None``: one may.
        self.hold: str | None = None
        #: Whether the agent is to be replaced once it has no task.
        self.worn = False
        self.agent: Running | None = None
        self.phase = Phase.WAITING
        self.restarts = 0
        self.failures = 0
        self.started_at = 0.0
        self.next_start_at = 0.0
        #: What went wrong last, for people.
        self.trouble: str | None = None
        self._ending_since = self._interrupted_at = 0.0
        self._asked = False
        self._start = start

    @property
    def worker(self) -> str:
        """The worker's id."""
        return self.prepared.worker

    def step(self, now: float, idle: bool, at_once: bool = False) -> Ended | None:
        """Do what is due.

        Args:
            now: monotonic seconds.
            idle: whether the server says, of late, that the agent has no task.
            at_once: end it although it has one.

        Returns:
            The end of an agent, if one ended since the last step.
        """
        if self.agent is None:
            self._begin(now)
            return None
        status = self.agent.ended()
        if status is not None:
            return self._note_end(now, status)
        if now - self.started_at > STEADY_SECONDS:
            self.failures = 0
        if self.phase is Phase.ENDING:
            if now - self._ending_since > END_SECONDS:
                log.warning("%s: the agent did not end within %.0f s and is killed", self.worker, END_SECONDS)
                self.agent.clear(GRACE_SECONDS)
            elif now - self._interrupted_at >= AGAIN_SECONDS:
                self._interrupted_at = now
                self.agent.interrupt()
        elif not self._may_stay() and (idle or at_once):
            self.end(now)
        return None

    def take_over(self, agent: Running, digest: str, now: float) -> None:
        """Keep an agent that runs already.

        Args:
            agent: it.
            digest: of what it was given; where that is not what is wanted, it is ended once it has no task.
            now: monotonic seconds.
        """
        self.agent, self.prepared = agent, replace(self.prepared, digest=digest)
        self.phase, self.started_at = Phase.RUNNING, now
        log.info("%s: agent taken over (process %d)", self.worker, agent.identity.pid)

    def end(self, now: float) -> None:
        """Ask the agent to end; nothing where there is none."""
        if self.agent is not None and self.phase is not Phase.ENDING:
            self.agent.interrupt()
            self.phase, self._asked = Phase.ENDING, True
            self._ending_since = self._interrupted_at = now

    def describe(self) -> dict[str, Any]:
        """The slot as the state file shows it."""
        agent = self.agent
        return {
            "slot": self.prepared.slot,
            "queue": self.prepared.queue,
            "worker": self.worker,
            "phase": self.phase.value,
            "hold": self.hold,
            "trouble": self.trouble,
            "restarts": self.restarts,
            "digest": self.prepared.digest,
            "pid": agent.identity.pid if agent else None,
            "started": agent.identity.started if agent else None,
            "group": str(agent.group.folder) if agent and agent.group else None,
            "cores": list(self.prepared.cores),
            "gpu": self.prepared.gpu,
            "in_container": self.prepared.in_container,
            "log": str(Path(self.prepared.folder) / "log" / LOG),
        }

    def _may_stay(self) -> bool:
        return (
            self.wanted is not None
            and self.wanted.digest == self.prepared.digest
            and not (self.hold or self.worn)
        )

    def _begin(self, now: float) -> None:
        if self.wanted is None:
            self.phase = Phase.GONE
        elif self.hold is not None:
            self.phase = Phase.HELD
        elif now < self.next_start_at:
            self.phase = Phase.WAITING
        else:
            self.prepared = self.wanted
            try:
                self.agent = self._start(self.prepared)
            except OSError as error:
                self._fail(now, f"the agent cannot be started ({error})")
                return
            self.phase, self.started_at, self._asked, self.worn = Phase.RUNNING, now, False, False
            log.info("%s: agent started (process %d)", self.worker, self.agent.identity.pid)

    def _note_end(self, now: float, status: int) -> Ended:
        assert self.agent is not None
        left = self.agent.clear(GRACE_SECONDS)
        self.agent = None
        leave(Path(self.prepared.folder))
        ended = Ended(self.worker, status, now, self._ending_since if self._asked else None)
        if self._asked:
            self.phase = Phase.WAITING
            log.info("%s: agent ended as asked", self.worker)
        else:
            more = (
                f"; {count(left, 'process', 'processes')} it left behind {'was' if left == 1 else 'were'} ended"
                if left
                else ""
            )
            self.restarts += 1
            self._fail(now, f"{fate.words(*fate.agents_end(status))}{more}")
        return ended

    def _fail(self, now: float, words: str) -> None:
        self.failures += 1
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (self.failures - 1), LONGEST_PAUSE_SECONDS)
        self.next_start_at = now + pause
        self.phase = Phase.WAITING
        self.trouble = words
        log.warning("%s: %s; started again in %.0f s", self.worker, words, pause)


def counts(slots: Mapping[str, Keeper]) -> dict[str, int]:
    """How many slots stand where."""
    found = dict.fromkeys((phase.value for phase in Phase), 0)
    for keeper in slots.values():
        found[keeper.phase.value] += 1
    return found
