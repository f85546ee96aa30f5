"""A board of one square metre with a quarter of a circle on it."""

import random


class Board:
    """Counts the darts inside the quarter circle."""

    def __init__(self, seed):
        self._random = random.Random(seed)
        self.thrown = self.inside = 0

    def throw(self, count):
        """Throw ``count`` darts."""
        draw = self._random.random
        self.inside += sum(draw() ** 2 + draw() ** 2 <= 1 for _ in range(count))
        self.thrown += count

    @property
    def pi(self):
        """The estimate so far."""
        return 4 * self.inside / self.thrown
