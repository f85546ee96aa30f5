"""What tasks left running on the host when they were over: found by when it began, and ended.

An agent has one task at a time and starts it once the server counts it as running. So what runs below an agent and
began before a moment at which its task did not yet run, belongs to a task that is over. What a task left is asked to
end, and killed at the next look. Containers end with their task by themselves.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterable
from dataclasses import dataclass

from stackyard.agents.lineage import Identity
from stackyard.services.keeper import Running
from stackyard.services.watch import Seen

log = logging.getLogger(__name__)


@dataclass
class _Past:
    """What was seen of one agent."""

    agent: Identity
    #: The task it had when one was last known to run, and the one it said itself at the last look.
    task: str | None = None
    told: str | None = None
    #: When (``lineage.ticks``) the task it has now did not yet run.
    free_at: float = float("-inf")


class Leftovers:
    """Looks below every agent whenever the server has said what they run."""

    def __init__(self) -> None:
        self._past: dict[str, _Past] = {}
        self._asked: set[Identity] = set()
        self._last = Seen()

    def end(self, seen: Seen, agents: Iterable[tuple[str, Running]]) -> bool:
        """Tell what is left over to end; whether ``seen`` was new.

        Args:
            seen: what the server said last.
            agents: worker id and process of every agent on the host.
        """
        if seen.at <= self._last.at:
            return False
        before, self._last = self._last.ticks, seen
        left = {
            process: worker
            for worker, agent in agents
            for process in agent.started(self._free_before(worker, agent, seen, before))
        }
        for process, worker in left.items():
            again = process in self._asked
            log.warning(
                "%s: process %d of a task that is over is %s",
                worker,
                process.pid,
                "killed" if again else "ended",
            )
            process.signal(signal.SIGKILL if again else signal.SIGTERM)
        self._asked = set(left)
        return True

    def _free_before(self, worker: str, agent: Running, seen: Seen, before: float) -> float:
        """Before when (``lineage.ticks``) a process must have begun to be left over."""
        past = self._past.get(worker)
        if past is None or past.agent != agent.identity:
            past = self._past[worker] = _Past(agent.identity)
        running, told = seen.running.get(worker), seen.workers.get(worker)
        if running is None:
            # a task that counts as over may still be at its last steps: its agent says so
            if told is not None and told.task is None:
                past.free_at, past.task = seen.ticks, None
        else:
            # one that was started anew by itself, or was left out of a look, is no other one
            if running.id not in (past.task, past.told):
                past.free_at = max(past.free_at, before)
            past.task = running.id
        past.told = told.task if told is not None else past.told
        return past.free_at
