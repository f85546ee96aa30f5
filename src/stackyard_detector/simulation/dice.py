"""Chance from a seed, the same in every Python version."""

from __future__ import annotations

import random
from typing import Any, Sequence, Tuple


class Dice:
    """Draws from one seeded generator (the Mersenne Twister), by ``random.Random.random`` alone."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def chance(self, probability: float) -> bool:
        """True with ``probability``."""
        return self._random() < probability

    def number(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return low + int(self._random() * (high - low + 1))

    def one(self, options: Sequence[Any]) -> Any:
        """One of ``options``."""
        return options[int(self._random() * len(options))]

    def between(self, low: float, high: float) -> float:
        """A number from ``low`` up to ``high``."""
        return low + self._random() * (high - low)

    def seconds(self, mean: float) -> float:
        """A waiting time, triangular around ``mean``, in thousandths."""
        return round(mean * (self._random() + self._random()), 3)

    def weighted(self, options: Sequence[Tuple[Any, float]]) -> Any:
        """One of the options, each drawn in proportion to the weight beside it."""
        drawn = self._random() * sum(weight for _, weight in options)
        for option, weight in options:
            drawn -= weight
            if drawn < 0:
                return option
        return options[-1][0]
