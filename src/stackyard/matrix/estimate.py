"""How long the rest of a matrix takes, from the runs already seen. Pure arithmetic; no clock of its own."""

from __future__ import annotations

import statistics
from collections import defaultdict


class Estimate:
    """Remaining time: for every run to come, the median of its cell's runs, else the mean over all cells."""

    def __init__(self) -> None:
        self._seen: dict[str, list[float]] = defaultdict(list)
        #: Cells of the runs still to come, the current one first.
        self.remaining: list[str] = []

    def add(self, cell: str, seconds: float | None) -> None:
        """A run of ``cell`` took ``seconds``; ``None`` is ignored."""
        if seconds is not None:
            self._seen[cell].append(seconds)

    def seconds(self, current_seconds: float = 0.0) -> float | None:
        """Seconds until the last run ends; ``None`` while no run was seen.

        Args:
            current_seconds: how long the first of the remaining runs is already at work.
        """
        if not self._seen:
            return None
        medians = {cell: statistics.median(times) for cell, times in self._seen.items()}
        other = statistics.fmean(medians.values())
        expected = [medians.get(cell, other) for cell in self.remaining]
        if not expected:
            return 0.0
        return max(expected[0] - current_seconds, 0.0) + sum(expected[1:])
