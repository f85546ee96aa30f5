"""The one-way channel from the workload child to its supervisor: JSON lines over a pipe.

Holds the child's writing end (Channel) and the names of the messages. The supervisor's reading end lives
in ``listener``. Standard library only; cheap enough to call at every step.
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any, Dict, List, Optional

#: Environment variable that carries the number of the pipe's writing end.
CHANNEL_VARIABLE = "STACKYARD_CHANNEL"

#: Phases in the order they are entered. The supervisor itself opens "startup" when it starts the child.
PHASES = ("startup", "data", "warmup", "steady", "finish")

#: How often buffered step times are sent.
FLUSH_SECONDS = 0.25


#: Held while a line is buffered or written: a pipe takes long ones in pieces, and threads take turns. One for all
#: channels, so that a channel stays a plain value; a signal's handler may say something meanwhile.
_TURN = threading.RLock()


def _fresh_turn() -> None:
    """A forked process begins with the lock free: the thread that held it is not there."""
    global _TURN
    _TURN = threading.RLock()


os.register_at_fork(after_in_child=_fresh_turn)


class BadInput(Exception):
    """The workload's input cannot be used; the message is the one sentence the user reads."""


class GateClosed(Exception):
    """The work is done and its result is below what was demanded; the message says by how much."""


class Channel:
    """The child's way to tell its supervisor what it does.

    Without a supervisor (no pipe) every call is accepted and forgotten, so that workloads also run by hand.
    Instants are CLOCK_MONOTONIC, which parent and child share.
    """

    def __init__(self, descriptor: Optional[int] = None) -> None:
        self._descriptor = descriptor
        self._steps: List[float] = []
        self._sent_at = time.monotonic()

    @classmethod
    def from_environment(cls) -> Channel:
        """The channel the supervisor opened for this process, or a silent one."""
        number = os.environ.get(CHANNEL_VARIABLE, "")
        return cls(int(number) if number.isdigit() else None)

    def phase(self, name: str) -> None:
        """Enter a phase: "data", "warmup", "steady" or "finish"."""
        if name not in PHASES:
            raise ValueError(f"phase {name!r} is not one of {', '.join(PHASES)}")
        self.flush()
        self._send({"kind": "phase", "name": name, "at": time.monotonic()})

    def step(self, seconds: float) -> None:
        """One step of the steady phase took ``seconds``; what is no finite number from 0 up is left out and counted."""
        with _TURN:
            self._steps.append(seconds)
        if time.monotonic() - self._sent_at >= FLUSH_SECONDS:
            self.flush()

    def progress(self, done: float, total: float, unit: str = "steps") -> None:
        """``done`` of ``total`` units are finished."""
        self._send({"kind": "progress", "done": done, "total": total, "unit": unit})

    def loss(self, step: int, training: Optional[float] = None, validation: Optional[float] = None) -> None:
        """The loss at ``step``."""
        self._send({"kind": "loss", "step": step, "training": training, "validation": validation})

    def environment(self, **facts: Any) -> None:
        """Facts about what was really loaded: fields of ``records.Environment``."""
        self._send({"kind": "environment", "facts": facts})

    def gpu(self, index: int, **facts: Any) -> None:
        """Facts only the child knows about a GPU: torch_peak_allocated_bytes, torch_peak_reserved_bytes."""
        self._send({"kind": "gpu", "index": index, "facts": facts})

    def results(self, **values: Any) -> None:
        """What the workload found: it goes into the record's results as JSON holds it, the rest as text."""
        self._send({"kind": "results", "values": values})

    def failure(self, kind: str, message: str) -> None:
        """Why the workload gives up: one of ``records.FAILURE_KINDS`` and one sentence."""
        self._send({"kind": "failure", "failure": kind, "message": message})

    def flush(self) -> None:
        """Send the buffered step times."""
        with _TURN:
            if self._steps:
                steps, self._steps = self._steps, []
                self._send({"kind": "steps", "seconds": steps})

    def ended(self) -> None:
        """The workload's function has returned, or ended the program in order; said by the child itself."""
        self.flush()
        self._send({"kind": "ended"})

    def _send(self, message: Dict[str, Any]) -> None:
        self._sent_at = time.monotonic()
        if self._descriptor is None:
            return
        data = memoryview((json.dumps(message, default=_plain) + "\n").encode("utf-8"))
        with _TURN:
            try:
                while data and self._descriptor is not None:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:  # the supervisor is gone: the work itself is still worth finishing
                self._descriptor = None


def _plain(value: Any) -> Any:
    """A JSON value for what json does not know: numpy and torch scalars as numbers, the rest as text."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "size", 1) in (1, None) else str(value)
