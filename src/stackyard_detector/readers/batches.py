"""Batches: some thousand rows of a source as columns, and the lines that were set aside on the way.

A reader of rows hands on a ``Batch``; the observations of its rows go on as ``ObservationBatch``. Formats
that are read line by line become batches here. Standard library only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

from stackyard_detector.readers.quarantine import Quarantine

if TYPE_CHECKING:
    import numpy as np

#: (line, one text per wanted column; ``None``: the record has no such field)
Row = Tuple[int, Tuple[Optional[str], ...]]
#: (line, reason, text)
BadLine = Tuple[int, str, Union[str, bytes]]

#: Rows of a batch made of single rows: enough that a batch costs little, few enough that it is little memory.
BATCH_ROWS = 1024
#: Rows of a batch made of several blocks.
KEPT_ROWS = 2048


class BadLines(Quarantine):
    """Lines set aside by one stage of reading: kept until ``hand_over`` brings all stages into line order."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: List[BadLine] = []
        #: The number of the last line read.
        self.read_to = 0

    def add(self, source: Path, line: int, reason: str, text: Union[str, bytes] = "") -> None:
        """Keep one corrupt line."""
        self.kept.append((line, reason, text))

    def hand_over(self, source: Path, quarantine: Quarantine, lines_before: int) -> None:
        """Put what was kept into ``quarantine``, in line order, and count the lines read so far.

        Args:
            source: the file.
            quarantine: the run's.
            lines_before: lines read from the sources before this one.

        Raises:
            QuarantineLimit: more corrupt lines than the user allows.
        """
        if self.kept:
            kept, self.kept = sorted(self.kept, key=lambda bad: bad[0]), []
            for line, reason, text in kept:
                quarantine.lines = lines_before + line
                quarantine.add(source, line, reason, text)
        quarantine.lines = lines_before + max(self.read_to, self.lines)


class Batch:
    """Rows as columns.

    Attributes:
        lines: number of each row's line.
        columns: one list per wanted column, each with a text (or ``None``: no such field) per row.
    """

    __slots__ = ("columns", "lines")

    def __init__(self, lines: Sequence[int], columns: List[List[Optional[str]]]) -> None:
        self.lines = lines
        self.columns = columns


class Kept:
    """Rows of several blocks, until they are a batch."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._lines: Sequence[int] = range(0)
        self._columns: List[List[Optional[str]]] = [[] for _ in range(width)]

    @property
    def enough(self) -> bool:
        """Whether these are rows enough for a batch."""
        return len(self._lines) >= KEPT_ROWS

    def add(self, lines: Sequence[int], columns: List[List[Optional[str]]]) -> None:
        """Keep rows."""
        before = self._lines
        if (
            isinstance(before, range)
            and isinstance(lines, range)
            and (not before or before.stop == lines.start)
        ):
            self._lines = range(before.start if before else lines.start, lines.stop)
        else:
            self._lines = [*before, *lines]
        for kept, more in zip(self._columns, columns):
            kept.extend(more)

    def taken(self) -> Batch:
        """All of them, as a batch."""
        batch = Batch(self._lines, self._columns)
        self._lines, self._columns = range(0), [[] for _ in range(self._width)]
        return batch


class ObservationBatch:
    """What some rows say, as columns of equal length.

    Attributes:
        lines: line numbers.
        keys, events: uint32, numbers of names in the source's tables of names.
        instants: float64 seconds since the epoch; ``None`` where the source has no time.
        labels: int8, 1 malicious, 0 benign, -1 unknown.
    """

    __slots__ = ("events", "instants", "keys", "labels", "lines")

    def __init__(
        self,
        lines: Sequence[int],
        keys: np.ndarray,
        events: np.ndarray,
        instants: Optional[np.ndarray],
        labels: np.ndarray,
    ) -> None:
        self.lines = lines
        self.keys = keys
        self.events = events
        self.instants = instants
        self.labels = labels


def batches_of_rows(rows: Iterable[Row], width: int, size: int = BATCH_ROWS) -> Iterator[Batch]:
    """Rows that come one by one, as batches of ``width`` columns."""
    lines: List[int] = []
    kept: List[Tuple[Optional[str], ...]] = []
    for line, values in rows:
        lines.append(line)
        kept.append(values)
        if len(lines) >= size:
            yield Batch(lines, [list(column) for column in zip(*kept)])
            lines, kept = [], []
    if lines or not width:
        yield Batch(lines, [list(column) for column in zip(*kept)])
