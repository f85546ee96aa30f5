"""What this process uses now, from /proc: its own memory, and the processor's time. Standard library only."""

from __future__ import annotations

import os
import time
from typing import Optional


def rss_minus_shared_bytes() -> Optional[int]:
    """Resident memory of this process that it shares with no file and no other process; ``None``: not known here."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            pages = statm.read().split()
        return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


class Clock:
    """Wall and CPU time since it was made, or since it was last asked."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def cpu_percent(self) -> Optional[float]:
        """CPU time since the last call, in percent of one core; ``None``: no time has passed."""
        wall, cpu = time.perf_counter(), time.process_time()
        passed, used = wall - self._wall, cpu - self._cpu
        self._wall, self._cpu = wall, cpu
        return 100 * used / passed if passed > 0 else None
