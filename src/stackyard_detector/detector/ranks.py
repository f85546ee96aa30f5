"""How probable the network found each event that really came: ranks and surprise, and what follows from them.

The rank of an event is its place among all known events by predicted probability: 1 = the most probable.
Equal predictions rank in the order of their ids. An unknown event ranks after all known ones. Verdicts, first
misses and the choice of k derive from ranks alone. Needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np


@dataclass(frozen=True)
class Ranks:
    """The ranks of all target events of a list of sessions, in order.

    Attributes:
        values: int32 [targets], at least 1; event_count + 1 for an unknown event.
        offsets: int64 [sessions + 1]; session i owns ``values[offsets[i]:offsets[i + 1]]``.
        first_position: index within its session of the event the first rank belongs to.
        surprise: float32 [targets], minus the logarithm of each event's probability (nats); infinity for an
            unknown event. ``None`` where nobody asked for it.
    """

    values: np.ndarray
    offsets: np.ndarray
    first_position: int
    surprise: Optional[np.ndarray] = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, session: int) -> np.ndarray:
        """The ranks of one session, int32."""
        return self.values[self.offsets[session] : self.offsets[session + 1]]

    def worst(self) -> np.ndarray:
        """The greatest rank of each session, int32 [sessions]; 0 for a session without a target."""
        result = np.zeros(len(self), dtype=np.int32)
        filled = np.flatnonzero(np.diff(self.offsets) > 0)
        if len(filled):
            result[filled] = np.maximum.reduceat(self.values, self.offsets[filled])
        return result

    def verdicts(self, k: int) -> Tuple[np.ndarray, np.ndarray]:
        """Verdict and index of the first miss per session: bool [sessions], int32 [sessions] (-1: none)."""
        first = np.full(len(self), -1, dtype=np.int32)
        misses = np.flatnonzero(self.values > k)
        owner = np.searchsorted(self.offsets, misses, side="right") - 1
        sessions, at = np.unique(owner, return_index=True)
        first[sessions] = misses[at] - self.offsets[sessions] + self.first_position
        return first >= 0, first
