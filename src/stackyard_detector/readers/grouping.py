"""Observations -> sessions: the events of one key, per window or whole source, in time order.

Rows are kept as columns of numbers (key, event, instant, label: 17 bytes a row), never as texts, and sorted
when sessions are made of them. With ``time_order = "sorted"`` a window is closed, handed on and forgotten as
soon as the newest instant is ``lateness_minutes`` past its end; with "any" (the default: many collected logs
are concatenated, not merged) sessions stay open to the end of the source. With ``max_events`` the rows past
it are dropped whenever twice as many rows are kept as after the last time.

NumPy is imported where sessions are made, not with this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Iterable, Iterator, List, Optional, Tuple

from stackyard_detector.readers.batches import BadLines, ObservationBatch
from stackyard_detector.readers.collecting import uncollected
from stackyard_detector.readers.kept_rows import KeptRows, Rows
from stackyard_detector.readers.names import Names
from stackyard_detector.readers.quarantine import Quarantine
from stackyard_detector.readers.source import Source
from stackyard_detector.sessions import Session
from stackyard_task.channel import BadInput

if TYPE_CHECKING:
    import numpy as np

#: Rows sorted at once, where sessions allow it: sorting takes some 60 bytes a row.
PART_ROWS = 1 << 17
#: Most parts, because each looks through all rows that are left.
MOST_PARTS = 64
#: Sessions made at once.
SESSIONS_AT_ONCE = 512
#: Rows looked at together.
PIECE_ROWS = 1 << 14
#: Rows kept before those past ``max_events`` are looked for.
CUT_FROM_ROWS = 1 << 13
#: Keys kept of closed windows before they are forgotten.
FORGET_FROM_KEYS = 1 << 15


def sessions_of(
    batches: Iterable[ObservationBatch],
    keys: Names,
    events: Names,
    source: Source,
    quarantine: Quarantine,
    bad: BadLines,
) -> Iterator[Session]:
    """The sessions of one source, windows in the order of time, keys in the order they came.

    A session's label is 1 where any of its rows is malicious (rows past ``max_events`` included), 0 where all
    are benign, ``None`` where the source has no labels.

    Args:
        batches: the observations, in the order of the file.
        keys: the table that numbers of keys belong to; those of closed windows are forgotten.
        events: the table that numbers of events belong to.
        source: their settings.
        quarantine: takes what ``bad`` kept and the rows that come too late.
        bad: what the stages before set aside.
    """
    import numpy as np

    lines_before = quarantine.lines
    grouping = _Grouping(source, keys, events)
    streaming = source.time_order == "sorted"
    try:
        for batch in batches:
            rows = Rows(batch.keys, batch.events, batch.instants, batch.labels)
            if streaming and rows.instants is not None:
                late = grouping.late(rows.instants)
                if late is not None:
                    for at in np.flatnonzero(late).tolist():
                        by = float(grouping.newest_before[at] - rows.instants[at])
                        reason = f"{by:.0f} s late, lateness_minutes allows less; use time_order 'any'"
                        bad.add(source.path, batch.lines[at], reason)
                    rows = rows.at(~late)
            bad.hand_over(source.path, quarantine, lines_before)
            grouping.add(rows)
            if streaming:
                yield from grouping.closed()
        bad.hand_over(source.path, quarantine, lines_before)
    except BadInput:  # what was set aside before is told all the same
        bad.hand_over(source.path, quarantine, lines_before)
        raise
    yield from grouping.all()


class _Grouping:
    """The rows of open sessions."""

    def __init__(self, source: Source, keys: Names, events: Names) -> None:
        self._keys, self._events = keys, events
        self._width = source.session_minutes * 60.0 if source.session_minutes else None
        self._lateness = source.lateness_minutes * 60.0
        self._as_filed = source.time_order == "file"
        self._max_events = source.max_events
        #: Labels of rows say where an attack begins; those of whole sessions do not.
        self._labels_of_rows = source.label_column is not None and source.label is None
        self._kept = KeptRows()
        self._cut_at = CUT_FROM_ROWS
        self._newest = float("-inf")
        self._handed_on = float("-inf")
        self.newest_before: np.ndarray

    def late(self, instants: np.ndarray) -> Optional[np.ndarray]:
        """Which rows belong to a window that is closed; ``None``: none. Moves the newest instant on."""
        import numpy as np

        assert self._width is not None
        newest = np.maximum.accumulate(np.concatenate(([self._newest], instants)))
        self.newest_before, self._newest = newest[:-1], float(newest[-1])
        with np.errstate(invalid="ignore"):
            late = instants // self._width < (self.newest_before - self._lateness) // self._width
        return late if late.any() else None

    def add(self, rows: Rows) -> None:
        """Keep ``rows``."""
        self._kept.add(rows)
        if self._max_events and len(self._kept) >= self._cut_at:
            self._cut()

    def closed(self) -> Iterator[Session]:
        """The sessions of the windows that no row can come to any more; they are forgotten."""
        import numpy as np

        assert self._width is not None
        ready = (self._newest - self._lateness) // self._width
        if not ready > self._handed_on or not len(self._kept):
            return
        self._handed_on = ready
        rows = self._kept.view()
        done = _windows(rows, self._width) < ready
        count = int(np.count_nonzero(done))
        if not count:
            return
        self._kept.replace(rows.at(~done))
        rows = rows.first(count) if bool(done[:count].all()) else rows.at(done)
        del done
        parts = self._sessions([rows])
        del rows
        yield from parts
        if len(self._keys) > FORGET_FROM_KEYS and len(self._kept):
            rows = self._kept.view()
            live = np.unique(rows.keys)
            if 2 * len(live) < len(self._keys):
                self._kept.replace(rows._replace(keys=self._keys.keep(live)[rows.keys]))

    def all(self) -> Iterator[Session]:
        """The sessions that are still open, in parts that are sorted one by one: sorting takes memory."""
        import numpy as np

        if not len(self._kept):
            return
        rows = self._kept.view()
        # A part is some windows, or some keys in the order they came.
        if self._width is None:
            ranks, sizes = self._ranks(rows)
            places = np.arange(len(sizes))
        else:
            counts = [np.unique(_windows(some, self._width), return_counts=True) for some in _pieces(rows)]
            places, inverse = np.unique(np.concatenate([places for places, _ in counts]), return_inverse=True)
            sizes = np.bincount(inverse, weights=np.concatenate([sizes for _, sizes in counts]))
        last = places[[last for _, last in _parts(sizes)]]
        if len(last) == 1:
            yield from self._sessions([rows])
            return
        part_of = np.concatenate(
            [
                np.searchsorted(
                    last, ranks[some.keys] if self._width is None else _windows(some, self._width)
                ).astype(np.uint16)
                for some in _pieces(rows)
            ]
        )
        for part in range(len(last)):
            yield from self._sessions([rows.at(np.flatnonzero(part_of == part))])

    def _ranks(self, rows: Rows) -> Tuple[np.ndarray, np.ndarray]:
        """(key -> its place among the keys that have rows, in the order of their first; rows of each place)."""
        import numpy as np

        first = np.full(len(self._keys), np.iinfo(np.int64).max)
        before = 0
        for some in _pieces(rows):
            keys, at = np.unique(some.keys, return_index=True)
            first[keys] = np.minimum(first[keys], at + before)
            before += len(some.keys)
        counts = np.bincount(rows.keys, minlength=len(first))
        order = np.argsort(first, kind="stable")[: np.count_nonzero(counts)]
        ranks = np.zeros(len(first), dtype=np.int64)
        ranks[order] = np.arange(len(order))
        return ranks, counts[order]

    def _cut(self) -> None:
        """Drop rows past ``max_events``, but for the first to come and the first of each label.

        These say where a session stands among the others, what its label is and that an attack begins.
        """
        import numpy as np

        rows = self._kept.view()
        order, starts = self._order(rows)
        lengths = np.diff(np.append(starts, len(order)))
        keep = np.arange(len(order)) - np.repeat(starts, lengths) < self._max_events
        keep |= order == np.repeat(np.minimum.reduceat(order, starts), lengths)
        for label in (1, 0):
            having = np.flatnonzero(rows.labels[order] == label)
            if len(having):
                groups = np.searchsorted(starts, having, side="right")
                keep[having[np.flatnonzero(np.diff(groups, prepend=0))]] = True
        kept = np.sort(order[keep])
        self._kept.replace(rows.at(kept))
        self._cut_at = max(CUT_FROM_ROWS, 2 * len(kept))

    def _order(self, rows: Rows) -> Tuple[np.ndarray, np.ndarray]:
        """(rows in the order of sessions and, in these, of time; where each session starts)."""
        import numpy as np

        groups = rows.keys
        if self._width is not None:
            windows = _windows(rows, self._width)
            span = float(windows.max() - windows.min()) + 1.0
            if span > 1.0:
                groups = groups.astype(np.int64)
                if span * len(self._keys) < 2.0**62:
                    groups += (windows - windows.min()).astype(np.int64) * len(self._keys)
                else:  # windows so short that their numbers fill the integers
                    groups += np.unique(windows, return_inverse=True)[1] * len(self._keys)
            del windows
        instants = rows.instants
        if instants is None or self._as_filed or bool((instants[1:] >= instants[:-1]).all()):
            order = np.argsort(groups, kind="stable")
        else:
            order = np.lexsort((instants, groups))
        if len(order) < 2**31:
            order = order.astype(np.int32)
        groups = groups[order]
        starts = np.flatnonzero(np.concatenate(([True], groups[1:] != groups[:-1])))
        return order, starts

    def _sessions(self, given: List[Rows]) -> Iterator[Session]:
        """The sessions of the rows in a list, which is empty afterwards: what was sorted is freed at once."""
        import numpy as np

        rows = given.pop()
        order, starts = self._order(rows)
        ends = np.append(starts[1:], len(order))
        came_at = np.minimum.reduceat(order, starts)
        key_numbers, events, instants, labels = rows
        del rows
        events, labels = events[order], labels[order]
        instants = None if instants is None else instants[order]
        if self._width is None:
            sequence = np.argsort(came_at)
        else:
            assert instants is not None
            sequence = np.lexsort((came_at, instants[starts] // self._width))
        label_of = np.maximum.reduceat(labels, starts)
        if self._max_events:
            ends = np.minimum(ends, starts + self._max_events)
        begins, finishes = starts[sequence], ends[sequence]
        count = len(sequence)
        attacks: List[Optional[int]] = [None] * count
        if self._labels_of_rows and bool((labels == 1).any()):
            firsts = np.where(labels == 1, np.arange(len(order)), len(order))
            at = np.minimum(np.minimum.reduceat(firsts, starts)[sequence], finishes) - begins
            attacks = [
                a if label == 1 else None for a, label in zip(at.tolist(), label_of[sequence].tolist())
            ]
        started_at: List[Optional[float]] = [None] * count
        ended_at = started_at
        if instants is not None and self._as_filed:
            spans = [instants[b:e] for b, e in zip(begins.tolist(), finishes.tolist())]
            started_at, ended_at = [float(s.min()) for s in spans], [float(s.max()) for s in spans]
        elif instants is not None:
            started_at, ended_at = instants[begins].tolist(), instants[finishes - 1].tolist()
        keys = key_numbers[order[begins]]
        labelled = label_of[sequence]
        del key_numbers, order, instants, labels, came_at
        name, key_of = self._events.texts.__getitem__, self._keys.texts.__getitem__
        # Names are made of numbers for some sessions at a time: a list takes more than the columns.
        for first in range(0, count, SESSIONS_AT_ONCE):
            some = slice(first, first + SESSIONS_AT_ONCE)
            with uncollected():
                sessions = [
                    Session(
                        key_of(key),
                        _names(name, events[begin:end]),
                        label if label >= 0 else None,
                        started,
                        ended,
                        attack,
                    )
                    for key, begin, end, label, started, ended, attack in zip(
                        keys[some].tolist(),
                        begins[some].tolist(),
                        finishes[some].tolist(),
                        labelled[some].tolist(),
                        started_at[some],
                        ended_at[some],
                        attacks[some],
                    )
                ]
            yield from sessions


def _windows(rows: Rows, width: float) -> np.ndarray:
    assert rows.instants is not None
    return rows.instants // width


def _pieces(rows: Rows) -> Iterator[Rows]:
    """``rows`` in pieces, not copied."""
    for first in range(0, len(rows.keys), PIECE_ROWS):
        piece = slice(first, first + PIECE_ROWS)
        instants = None if rows.instants is None else rows.instants[piece]
        yield Rows(rows.keys[piece], rows.events[piece], instants, rows.labels[piece])


def _names(name: Callable[[int], str], events: np.ndarray) -> List[str]:
    """The names of numbered events; of a long session piece by piece, because numbers in a list take 8 bytes each."""
    if len(events) <= PIECE_ROWS:
        return list(map(name, events.tolist()))
    found: List[str] = []
    for first in range(0, len(events), PIECE_ROWS):
        found += map(name, events[first : first + PIECE_ROWS].tolist())
    return found


def _parts(sizes: np.ndarray) -> Iterator[Tuple[int, int]]:
    """(first, last) of runs of sessions that have so many rows together, or one that has more."""
    first, rows = 0, 0
    most = max(PART_ROWS, int(sizes.sum()) // MOST_PARTS)
    for at, size in enumerate(sizes.tolist()):
        if rows and rows + size > most:
            yield first, at - 1
            first, rows = at, 0
        rows += size
    yield first, len(sizes) - 1
