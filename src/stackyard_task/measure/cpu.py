"""CPU use over windows of time, from a rising count of CPU seconds. Pure."""

from __future__ import annotations

from collections import deque
from typing import Deque, Optional, Tuple

#: The maximum is taken over windows at least this long: shorter ones say more about the clock than the task.
WINDOW_SECONDS = 0.5


class CpuWindows:
    """The greatest CPU use over any window of half a second."""

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        self.window_seconds = window_seconds
        self.percent_of_core_max: Optional[float] = None
        self._readings: Deque[Tuple[float, float]] = deque()

    def add(self, at_seconds: float, cpu_seconds: float) -> Optional[float]:
        """Take in a reading; returns CPU percent of a core since the one before."""
        readings = self._readings
        recent = None
        if readings and at_seconds > readings[-1][0]:
            recent = 100.0 * max(0.0, cpu_seconds - readings[-1][1]) / (at_seconds - readings[-1][0])
        readings.append((at_seconds, cpu_seconds))
        while len(readings) > 2 and at_seconds - readings[1][0] >= self.window_seconds:
            readings.popleft()
        span = at_seconds - readings[0][0]
        if span >= self.window_seconds:
            percent = 100.0 * max(0.0, cpu_seconds - readings[0][1]) / span
            self.percent_of_core_max = max(self.percent_of_core_max or 0.0, percent)
        return recent
