"""What work beside the answers writes into the log when it fails: it is tried again soon, and would say the same again.

A full disk is one line for all of it. Anything else is told with its traceback. Neither comes twice in a minute.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .http.errors import is_full

log = logging.getLogger(__name__)

#: The same thing is said again after so long, seconds.
AGAIN_SECONDS = 60.0
#: Different things that are remembered.
MOST = 1000


class Failures:
    """What failed lately; one for the server's life, for one thread.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[tuple[str, ...], float] = {}

    @contextmanager
    def noted(self, work: str) -> Iterator[None]:
        """Inside, some work may fail: that is noted, and the next pass tries again."""
        try:
            yield
        except Exception as fault:  # noqa: BLE001  whatever it is, it is told, and the loop goes on
            self.note(work, fault)

    def note(self, work: str, fault: Exception) -> None:
        """Say that some work failed, unless that was said a moment ago.

        Args:
            work: What was done, as "removing freed files".
            fault: What it ended with.
        """
        if is_full(fault):
            if self._is_news("full"):
                log.error("The disk is full: %s waits until there is room.", work)
        elif self._is_news(work, type(fault).__name__, str(fault)):
            log.error("%s failed", work, exc_info=fault)

    def _is_news(self, *what: str) -> bool:
        now, last = self._clock(), self._said.get(what)
        if last is not None and now - last < AGAIN_SECONDS:
            return False
        if len(self._said) >= MOST:
            self._said.clear()
        self._said[what] = now
        return True
