"""Ends what takes too long: a pattern that backtracks for ever, a file that grows while it is read.

Time is CPU time, so that a busy machine takes nothing away. An interval timer interrupts the main thread; Python's
``re`` looks for signals while it matches. In another thread nothing is interrupted. Standard library only.
"""

from __future__ import annotations

import signal
import threading
import time
from typing import Any, Callable, Dict


class TimeUp(Exception):
    """A piece of work took longer than its share."""


class Patience:
    """Time that several pieces of work share: each has an equal part of it, however often it is taken up.

    Args:
        seconds: Of CPU, for all of them together.
        pieces: How many there are.
    """

    def __init__(self, seconds: float, pieces: int) -> None:
        self.share = seconds / max(1, pieces)
        self._left: Dict[Any, float] = {}
        self._armed = False

    def spend(self, piece: Any, work: Callable[[], None]) -> None:
        """Do some of a piece's work.

        Raises:
            TimeUp: its share is used up; what the work did until then is done.
        """
        left = self._left.get(piece, self.share)
        began = time.process_time()
        try:
            if left <= 0:
                raise TimeUp
            self._interrupted_after(left, work)
        except TimeUp:  # the timer's clock and ours differ by a tick
            began -= left
            raise
        finally:
            self._left[piece] = left - (time.process_time() - began)

    def refill(self, seconds: float) -> None:
        """Give each piece some time back, up to its share: of work that never ends."""
        self._left = {piece: min(self.share, left + seconds) for piece, left in self._left.items()}

    def _interrupted_after(self, seconds: float, work: Callable[[], None]) -> None:
        if threading.current_thread() is not threading.main_thread():
            work()
            return
        before = signal.signal(signal.SIGPROF, self._ring)
        try:
            try:
                self._armed = True
                signal.setitimer(signal.ITIMER_PROF, seconds)
                work()
            finally:
                self._armed = False  # an alarm that rings from here on interrupts nothing
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)

    def _ring(self, _number: int, _frame: Any) -> None:
        if self._armed:
            raise TimeUp
