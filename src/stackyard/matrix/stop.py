"""Requests to stop a matrix, counted: the first ends the current run in order, the second kills it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """How often somebody asked the runner to stop."""

    def __init__(self) -> None:
        self.requests = 0

    @contextmanager
    def on_signals(self) -> Iterator[Stop]:
        """Count SIGINT, SIGTERM and SIGHUP while inside; outside the main thread, leave signals alone."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        old = {number: signal.signal(number, self._count) for number in _SIGNALS}
        try:
            yield self
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _count(self, number: int, frame: object) -> None:
        self.requests += 1
