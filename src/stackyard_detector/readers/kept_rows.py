"""Rows of open sessions as columns that grow in place: 17 bytes a row, and no second copy while they grow.

NumPy is imported where rows are looked at, not with this module.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    import numpy as np


class Rows(NamedTuple):
    """Rows as columns of one length, in the order they came.

    Attributes:
        keys, events: uint32, numbers of names.
        instants: float64; ``None`` where the source has no time.
        labels: int8, 1 malicious, 0 benign, -1 unknown.
    """

    keys: np.ndarray
    events: np.ndarray
    instants: Optional[np.ndarray]
    labels: np.ndarray

    def at(self, chosen: np.ndarray) -> Rows:
        """A copy of the rows at ``chosen``: places, or a mask."""
        instants = None if self.instants is None else self.instants[chosen]
        return Rows(self.keys[chosen], self.events[chosen], instants, self.labels[chosen])

    def first(self, count: int) -> Rows:
        """The first ``count`` rows, not copied."""
        instants = None if self.instants is None else self.instants[:count]
        return Rows(self.keys[:count], self.events[:count], instants, self.labels[:count])


class KeptRows:
    """Rows that are kept until their sessions are made."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._keys, self._events = array("I"), array("I")
        self._instants: Optional[array[float]] = None
        self._labels = array("b")

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, rows: Rows) -> None:
        """Keep ``rows``. Nobody may hold what ``view`` gave: its memory moves."""
        if not len(rows.keys):
            return
        self._keys.frombytes(rows.keys.tobytes())
        self._events.frombytes(rows.events.tobytes())
        self._labels.frombytes(rows.labels.tobytes())
        if rows.instants is not None:
            if self._instants is None:
                self._instants = array("d")
            self._instants.frombytes(rows.instants.tobytes())

    def view(self) -> Rows:
        """All rows, not copied; there must be some."""
        import numpy as np

        instants = None if self._instants is None else np.frombuffer(self._instants, dtype=np.float64)
        return Rows(
            np.frombuffer(self._keys, dtype=np.uint32),
            np.frombuffer(self._events, dtype=np.uint32),
            instants,
            np.frombuffer(self._labels, dtype=np.int8),
        )

    def replace(self, rows: Rows) -> None:
        """Keep ``rows`` alone; what ``view`` gave before stays as it was."""
        self._start()
        self.add(rows)
