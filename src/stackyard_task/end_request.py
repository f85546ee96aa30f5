"""That somebody asks a dispatched task to end: what it does then depends on how far it is."""

from __future__ import annotations

import signal
import time
from typing import Any


class Interrupted(Exception):
    """The task was told to end before its workload began."""


class EndRequest:
    """How this process is told to end: by SIGTERM, from a container that is stopped or from ``aborts``.

    Before the workload begins, that ends the task at once; while it runs, the supervisor ends it and writes its
    record; afterwards the record is delivered first.
    """

    def __init__(self) -> None:
        #: Whether somebody did.
        self.asked = False
        signal.signal(signal.SIGTERM, self._told)

    def hand_over(self) -> None:
        """From here on the supervisor takes signals itself.

        Raises:
            Interrupted: one came already.
        """
        self.protect()
        if self.asked:
            raise Interrupted

    def protect(self) -> None:
        """Signals are only noted from here on: what there is, is delivered."""
        signal.signal(signal.SIGTERM, self._noted)

    def wait(self, seconds: float) -> None:
        """Wait for somebody to end this process, so long at most."""
        until = time.monotonic() + seconds
        while not self.asked and time.monotonic() < until:
            time.sleep(0.1)

    def _noted(self, _number: int, _frame: Any) -> None:
        self.asked = True

    def _told(self, _number: int, _frame: Any) -> None:
        self.asked = True
        raise Interrupted
