"""Which parameters lists asked for lately; ``parameters`` takes in their values."""

from __future__ import annotations

import threading

#: How many are remembered, and how long a path may be that is.
MOST, LONGEST_PATH = 64, 1_000


class Wanted:
    """The parameters that were asked for lately, by their paths; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: dict[str, int] = {}
        #: How often lists asked so far.
        self.count = 0

    def ask(self, path: str) -> None:
        """Note that a list asked for one."""
        if len(path) > LONGEST_PATH:
            return
        with self._lock:
            self.count += 1
            self._paths.pop(path, None)
            self._paths[path] = self.count
            if len(self._paths) > MOST:
                del self._paths[next(iter(self._paths))]

    def latest_first(self, since: int = 0) -> list[str]:
        """The paths of those that were asked for since so many questions."""
        with self._lock:
            return [path for path, number in reversed(self._paths.items()) if number > since]

    def forget(self, path: str) -> None:
        """One that cannot be kept."""
        with self._lock:
            self._paths.pop(path, None)
