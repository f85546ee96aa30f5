"""That a task is ended on its server while it runs: noticed here, and told to the agent once what is left is handed in.

An agent does not tell its task that somebody aborted it: it waits for what registered itself, then kills. Speaks
through ``api`` alone. Standard library only.
"""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Deque, Dict, Mapping, Optional

from stackyard_task.api import ApiError, Server, Unreachable

#: How often a task is looked at while it runs.
WATCH_SECONDS = 2.0
#: Statuses that end a run, as the agent has it.
_OVER = ("stopped", "failed", "published", "closed", "queued", "created")
#: How an agent names and times an abort that it waits for.
_TIMEOUT, _FREQUENCY, _COMPLETED = "_abort_callback_timeout", "_abort_poll_freq", "_abort_callback_completed"


@dataclass
class Watch:
    """Looks whether the task has been ended on the server, and then tells this process, as the agent would not.

    Args:
        server: where the task is.
        task_id: which.
    """

    server: Server
    task_id: str

    def __post_init__(self) -> None:
        #: Why the task is over, for a sentence; ``None``: it is not, as far as is known.
        self.why: Optional[str] = None
        self._ends = False
        self._wakes = threading.Event()
        self._notes: Deque[Mapping[str, Any]] = collections.deque()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def note(self, values: Mapping[str, Any]) -> None:
        """Have runtime properties of the task set; nobody waits for that, and what the server refuses is left.

        Args:
            values: what they are to be.
        """
        if values:
            self._notes.append(values)
            self._wakes.set()

    def stop(self) -> None:
        """Look no more, once what was to be noted is."""
        self._ends = True
        self._wakes.set()
        if self._thread.ident is not None:
            self._thread.join(1.0)

    def _look(self) -> None:
        server = self.server.another(patience_seconds=0.0)
        looked_at = time.monotonic()
        while True:
            self._wakes.wait(max(0.0, looked_at + WATCH_SECONDS - time.monotonic()))
            self._wakes.clear()
            self._write_down(server)
            if self._ends:
                break
            if time.monotonic() < looked_at + WATCH_SECONDS:
                continue
            looked_at = time.monotonic()
            try:
                found = server.call(
                    "tasks.get_all_ex",
                    id=[self.task_id],
                    only_fields=["status", "status_message"],
                    search_hidden=True,
                )["tasks"]
            except (ApiError, KeyError):  # away for a moment: the next look tells
                continue
            self.why = why_over(found[0] if found else None)
            if self.why is not None:
                print(f"stackyard: {self.why}; what there is, is left with it", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGTERM)
                break
        server.close()

    def _write_down(self, server: Server) -> None:
        while self._notes:
            try:
                server.edit_runtime(self.task_id, self._notes[0])
            except Unreachable:  # away for a moment
                return
            except ApiError:
                pass
            self._notes.popleft()


def why_over(task: Optional[Mapping[str, Any]]) -> Optional[str]:
    """Why a task that runs is over, from what its server says of it; ``None``: it is not."""
    if task is None:
        return "the task was deleted"
    status = str(task.get("status"))
    if status in _OVER:
        return {"stopped": "the task was aborted", "created": "the task was reset"}.get(
            status, f"the task was set to {status}"
        )
    if status == "in_progress" and "stopping" in str(task.get("status_message") or ""):
        return "the task was aborted"
    return None


def expectation(seconds: float) -> Dict[str, str]:
    """The runtime properties that have the agent wait so long, after an abort, for what is left with the task."""
    return {_TIMEOUT: str(seconds), _FREQUENCY: str(WATCH_SECONDS), _COMPLETED: ""}


def expect(server: Server, task_id: str, seconds: float) -> None:
    """Have the agent wait so long, after an abort, for what is left with the task."""
    with contextlib.suppress(ApiError):  # then what an abort leaves is found on disk
        server.edit_runtime(task_id, expectation(seconds))


def expect_no_more(server: Server, task_id: str) -> None:
    """Have the agent wait for nothing after the end of the task, which it then leaves as it is.

    An agent that has waited calls a task aborted, whatever was said of its end.
    """
    with contextlib.suppress(ApiError):
        server.edit_runtime(task_id, {_TIMEOUT: "", _COMPLETED: ""})


def is_over(server: Server, task_id: str) -> None:
    """Tell the agent that what there was is left with the task, and that it need not wait any longer."""
    with contextlib.suppress(ApiError):
        server.edit_runtime(task_id, {_COMPLETED: "1"})
