"""The one-way channel from the workload child to its supervisor: JSON lines over a pipe.

Holds the child's writing end (Channel) and the names of the messages: those that any script may send are ``report``'s,
on which the channel builds. The supervisor's reading end lives in ``listener``. Standard library only; cheap enough to
call at every step.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from stackyard_task import report
from stackyard_task.report import FLUSH_SECONDS, PHASES, Reporter  # noqa: F401 - offered here too

#: Environment variable that carries the number of the pipe's writing end.
CHANNEL_VARIABLE = "STACKYARD_CHANNEL"


class BadInput(Exception):
    """The workload's input cannot be used; the message is the one sentence the user reads."""


class GateClosed(Exception):
    """The work is done and its result is below what was demanded; the message says by how much."""


class Channel(Reporter):
    """The child's way to tell its supervisor what it does.

    Without a supervisor (no pipe) every call is accepted and forgotten, so that workloads also run by hand.
    The pipe is the child's alone, so a line may be of any length, and is waited for.
    """

    def __init__(self, descriptor: Optional[int] = None) -> None:
        super().__init__()
        self._descriptor = descriptor

    @classmethod
    def from_environment(cls) -> Channel:
        """The channel the supervisor opened for this process, or a silent one."""
        number = os.environ.get(CHANNEL_VARIABLE, "")
        return cls(int(number) if number.isdigit() else None)

    def environment(self, **facts: Any) -> None:
        """Facts about what was really loaded: fields of ``records.Environment``."""
        self._send({"kind": "environment", "facts": facts})

    def gpu(self, index: int, **facts: Any) -> None:
        """Facts only the child knows about a GPU: torch_peak_allocated_bytes, torch_peak_reserved_bytes."""
        self._send({"kind": "gpu", "index": index, "facts": facts})

    def failure(self, kind: str, message: str) -> None:
        """Why the workload gives up: one of ``records.FAILURE_KINDS`` and one sentence."""
        self._send({"kind": "failure", "failure": kind, "message": message})

    def note(self, sentence: str) -> None:
        """A sentence that a reader of the run should know: it is shown where the run ends, and in reports."""
        self._send({"kind": "note", "sentence": sentence})

    def ended(self) -> None:
        """The workload's function has returned, or ended the program in order; said by the child itself."""
        self.flush()
        self._send({"kind": "ended"})

    def _send_latest(self, message: Dict[str, Any]) -> None:
        self._send(message)  # the pipe is the child's alone and open: a message costs little

    def _send(self, message: Dict[str, Any]) -> None:
        if self._descriptor is None:
            return
        data = memoryview(report.encoded(message))
        with report.turn():
            try:
                while data and self._descriptor is not None:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:  # the supervisor is gone: the work itself is still worth finishing
                self._descriptor = None
