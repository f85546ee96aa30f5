"""Ends a pattern that backtracks for ever on a line. Standard library only.

A timer of the process's CPU time looks every few seconds whether patterns are still at the line that they were at the
last time; Python's ``re`` heeds signals while it matches. Only the main thread can be interrupted.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any, List, Optional

from stackyard_task.channel import BadInput

#: CPU seconds after which the patterns of a source are given up on a line; they get up to twice as long.
SECONDS = 10.0

_watches: List[PatternWatch] = []
_before: Any = None


class PatternWatch:
    """While it is entered, a line that patterns are at for too long ends in BadInput.

    Args:
        path: the file whose lines are matched.
    """

    def __init__(self, path: Path) -> None:
        #: The line that patterns are at now; 0: none.
        self.line = 0
        self._path = path
        self._seen = 0

    def __enter__(self) -> PatternWatch:
        global _before
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
            if not _watches and signal.getsignal(signal.SIGVTALRM) is not _look:
                _before = signal.signal(signal.SIGVTALRM, _look)
                signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS, SECONDS)
            _watches.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self in _watches:
            _watches.remove(self)
            # One that is forgotten half-way can be closed in any thread; the handler does nothing then.
            if not _watches and threading.current_thread() is threading.main_thread():
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                signal.signal(signal.SIGVTALRM, signal.SIG_DFL if _before is None else _before)

    def refusal(self) -> Optional[BadInput]:
        """Why to give up, where patterns are at the line that they were at when this was last asked."""
        if self.line and self.line == self._seen:
            return BadInput(
                f"{self._path}: line {self.line}: the source's patterns take more than {SECONDS:g} s of CPU on it; "
                "repetitions within repetitions, as in '(a+)+', do: write 'a+'"
            )
        self._seen = self.line
        return None


def _look(_number: int, _frame: object) -> None:
    for watch in _watches:
        refusal = watch.refusal()
        if refusal is not None:
            raise refusal
