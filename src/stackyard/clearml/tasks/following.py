"""A task while it runs, told as it happens: status, progress, lines of its console. Asks the server, changes nothing.

What an agent prints before the task's own code begins (its whole configuration) is left out. May import the client.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from stackyard.clearml.client import FINAL, Client

POLL_SECONDS = 0.5
#: The agent's last words before the task's own first.
_BEGINS = "Starting Task Execution:"
#: Its last words after the task's own last: nothing of the task follows.
_ENDS = ("Process completed successfully", "Process failed, exit code", "Process aborted by user")
#: A status may come before the last lines, which the agent sends a moment later: so often they are asked for again.
_LAST_QUESTIONS = 4
#: Lines of the clients about themselves.
_NOISE = (
    "ClearML results page:",
    "Environment variables set from configuration:",
    "Legacy cache size configuration detected",
)


@dataclass(frozen=True)
class Happened:
    """Something new about a task."""

    kind: Literal["status", "progress", "line"]
    text: str


def follow(
    client: Client,
    id: str,
    *,
    everything: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Happened]:
    """What happens to a task until it has ended, as it happens; the final status comes last.

    Args:
        client: of the server.
        id: the task's.
        everything: also what the agent prints about itself.
        sleep: waits between questions; tests bring their own.

    Raises:
        StackyardError: the server does not answer, or no longer knows the task.
    """
    console = _Console(client, id, everything)
    words, progress = "", ""
    while True:
        task = client.call("tasks.get_by_id", task=id)["task"]
        over = task["status"] in FINAL
        if _words(task) != words and not over:  # who runs it is known a moment after that it runs
            words = _words(task)
            yield Happened("status", words)
        for line in console.new():
            yield Happened("line", line)
        shown = str((task.get("runtime") or {}).get("progress") or "")
        if shown != progress:
            progress = shown
            yield Happened("progress", f"{progress} %")
        if over:
            for _ in range(_LAST_QUESTIONS):
                if console.ended:
                    break
                sleep(POLL_SECONDS)
                for line in console.new():
                    yield Happened("line", line)
            yield Happened("status", _words(task))
            return
        sleep(POLL_SECONDS)


def _words(task: dict[str, Any]) -> str:
    if task["status"] == "in_progress":
        worker = task.get("last_worker")
        return f"running on {worker}" if worker else "running"
    if task["status"] in ("failed", "stopped"):
        reason = task.get("status_reason") or ""
        if reason.startswith("stopped at "):  # by its supervisor, at a criterion: nobody aborted it
            return reason
        word = "aborted" if task["status"] == "stopped" else "failed"
        return f"{word}: {reason}" if reason else word
    return str(task["status"])


class _Console:
    """The lines of a task's console that have not been told yet."""

    def __init__(self, client: Client, id: str, everything: bool) -> None:
        self._client = client
        self._id = id
        self._everything = everything
        self._begun = everything
        #: Whether the agent has said its last words.
        self.ended = False
        self._from: int | None = None
        self._told: set[str] = set()

    def new(self) -> Iterator[str]:
        while True:
            events = self._page()
            for event in events:
                yield from self._lines(event.get("msg") or "")
            if not events:
                return

    def _page(self) -> list[dict[str, Any]]:
        """The next events: those at the last told instant may have company that came later."""
        options: dict[str, Any] = {} if self._from is None else {"from_timestamp": self._from - 1}
        answer = self._client.call(
            "events.get_task_log",
            task=self._id,
            batch_size=500,
            navigate_earlier=False,
            order="asc",
            **options,
        )
        fresh = []
        for event in answer["events"]:
            key = f"{event.get('timestamp')}:{event.get('worker')}:{event.get('msg')}"
            if key not in self._told:
                self._told.add(key)
                fresh.append(event)
        if fresh:
            self._from = max(int(event.get("timestamp") or 0) for event in fresh)
        return fresh

    def _lines(self, message: str) -> Iterator[str]:
        if not self._begun:
            _, mark, message = message.partition(_BEGINS)
            if not mark:
                return
            self._begun = True
        for line in message.splitlines():
            if line.startswith(_ENDS):
                self.ended = True
                if not self._everything:
                    continue  # the status says it, and better
            if line.strip() and (self._everything or not any(noise in line for noise in _NOISE)):
                yield line
