"""Observations -> sessions: the events of one key, per window or whole source, in time order.

Rows are kept as columns of numbers (key, event, instant, label: 17 bytes a row), never as texts, and sorted
when sessions are made of them. With ``time_order = "sorted"`` a window is closed, handed on and forgotten as
soon as the newest instant is ``lateness_minutes`` past its end; with "any" (the default: many collected logs
are concatenated, not merged) sessions stay open to the end of the source. With ``max_events`` the rows past
it are dropped whenever twice as many rows are kept as after the last time.

NumPy is imported where sessions are made, not with this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from stackyard_detector.readers.batches import BadLines, ObservationBatch
from stackyard_detector.readers.collecting import uncollected
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
#: Batches kept before they are joined.
JOIN_FROM = 256
#: Rows kept before those past ``max_events`` are looked for.
CUT_FROM_ROWS = 1 << 13
#: Keys kept of closed windows before they are forgotten.
FORGET_FROM_KEYS = 1 << 15


class _Rows(NamedTuple):
    """Rows as columns of one length, in the order they came."""

    keys: np.ndarray
    events: np.ndarray
    instants: Optional[np.ndarray]
    labels: np.ndarray

    def at(self, chosen: np.ndarray) -> _Rows:
        """The rows at ``chosen``: places, or a mask."""
        instants = None if self.instants is None else self.instants[chosen]
        return _Rows(self.keys[chosen], self.events[chosen], instants, self.labels[chosen])


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
            rows = _Rows(batch.keys, batch.events, batch.instants, batch.labels)
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
        self._kept: List[_Rows] = []
        self._count = 0
        self._unjoined = 0
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

    def add(self, rows: _Rows) -> None:
        """Keep ``rows``."""
        if not len(rows.keys):
            return
        self._kept.append(rows)
        self._count += len(rows.keys)
        self._unjoined += 1
        if self._unjoined >= JOIN_FROM:
            self._kept[-JOIN_FROM:] = [_joined(self._kept[-JOIN_FROM:])]
            self._unjoined = 0
        if self._max_events and self._count >= self._cut_at:
            self._cut()

    def closed(self) -> Iterator[Session]:
        """The sessions of the windows that no row can come to any more; they are forgotten."""
        import numpy as np

        assert self._width is not None
        ready = (self._newest - self._lateness) // self._width
        if not ready > self._handed_on:
            return
        self._handed_on = ready
        done: List[_Rows] = []
        open_: List[_Rows] = []
        for rows in self._kept:
            assert rows.instants is not None
            mask = rows.instants // self._width < ready
            if mask.all():
                done.append(rows)
            elif mask.any():
                done.append(rows.at(mask))
                open_.append(rows.at(~mask))
            else:
                open_.append(rows)
        if not done:
            return
        self._kept = open_
        self._unjoined = len(open_)
        self._count = sum(len(rows.keys) for rows in open_)
        yield from self._sessions(_joined(done))
        del done
        if len(self._keys) > FORGET_FROM_KEYS:
            used = [np.unique(rows.keys) for rows in self._kept]
            live = np.unique(np.concatenate(used)) if used else np.zeros(0, dtype=np.uint32)
            if 2 * len(live) < len(self._keys):
                numbers = self._keys.keep(live)
                self._kept = [rows._replace(keys=numbers[rows.keys]) for rows in self._kept]

    def all(self) -> Iterator[Session]:
        """The sessions that are still open, in parts that are sorted one by one."""
        import numpy as np

        if not self._kept:
            return
        if self._width is None:  # parts of the keys, in the order they came
            ranks, sizes = self._ranks()
            places = np.arange(len(sizes))
            bounds = [(ranks[rows.keys].min(), ranks[rows.keys].max()) for rows in self._kept]
        else:
            windows = [np.unique(_windows(rows, self._width), return_counts=True) for rows in self._kept]
            places, inverse = np.unique(np.concatenate([w for w, _ in windows]), return_inverse=True)
            sizes = np.bincount(inverse, weights=np.concatenate([c for _, c in windows]))
            bounds = [(w[0], w[-1]) for w, _ in windows]
        for first, last in _parts(sizes):
            low, high = places[first], places[last]
            part: List[_Rows] = []
            left: List[_Rows] = []
            bounds_left: List[Tuple[float, float]] = []
            for rows, (lowest, highest) in zip(self._kept, bounds):
                if low <= lowest and highest <= high:
                    part.append(rows)
                    continue
                if lowest <= high and low <= highest:
                    of = ranks[rows.keys] if self._width is None else _windows(rows, self._width)
                    mask = (of >= low) & (of <= high)
                    part.append(rows.at(mask))
                    rows, of = rows.at(~mask), of[~mask]
                    if not len(of):
                        continue
                    lowest, highest = of.min(), of.max()
                left.append(rows)
                bounds_left.append((lowest, highest))
            self._kept, bounds = left, bounds_left
            yield from self._sessions(_joined(part))
        self._kept = []

    def _ranks(self) -> Tuple[np.ndarray, np.ndarray]:
        """(key -> its place among the keys that have rows, in the order of their first; rows of each place)."""
        import numpy as np

        first = np.full(len(self._keys), np.iinfo(np.int64).max)
        counts = np.zeros(len(self._keys), dtype=np.int64)
        before = 0
        for rows in self._kept:
            counts += np.bincount(rows.keys, minlength=len(counts))
            keys, at = np.unique(rows.keys, return_index=True)
            first[keys] = np.minimum(first[keys], at + before)
            before += len(rows.keys)
        order = np.argsort(first, kind="stable")[: np.count_nonzero(counts)]
        ranks = np.zeros(len(first), dtype=np.int64)
        ranks[order] = np.arange(len(order))
        return ranks, counts[order]

    def _cut(self) -> None:
        """Drop rows past ``max_events``, but for the first to come and the first of each label.

        These say where a session stands among the others, what its label is and that an attack begins.
        """
        import numpy as np

        rows = _joined(self._kept)
        self._kept = [rows]
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
        self._kept = [rows.at(kept)]
        self._unjoined = 0
        self._count = len(kept)
        self._cut_at = max(CUT_FROM_ROWS, 2 * self._count)

    def _order(self, rows: _Rows) -> Tuple[np.ndarray, np.ndarray]:
        """(rows in the order of sessions and, in these, of time; where each session starts)."""
        import numpy as np

        groups = rows.keys.astype(np.int64)
        if self._width is not None:
            windows = _windows(rows, self._width)
            span = float(windows.max() - windows.min()) + 1.0
            if span * len(self._keys) < 2.0**62:
                groups += (windows - windows.min()).astype(np.int64) * len(self._keys)
            else:  # windows so short that their numbers fill the integers
                groups += np.unique(windows, return_inverse=True)[1] * len(self._keys)
        instants = rows.instants
        if instants is None or self._as_filed or bool((instants[1:] >= instants[:-1]).all()):
            order = np.argsort(groups, kind="stable")
        else:
            order = np.lexsort((instants, groups))
        groups = groups[order]
        starts = np.flatnonzero(np.concatenate(([True], groups[1:] != groups[:-1])))
        return order, starts

    def _sessions(self, rows: _Rows) -> Iterator[Session]:
        import numpy as np

        order, starts = self._order(rows)
        ends = np.append(starts[1:], len(order))
        came_at = np.minimum.reduceat(order, starts)
        instants = None if rows.instants is None else rows.instants[order]
        if self._width is None:
            sequence = np.argsort(came_at)
        else:
            assert instants is not None
            sequence = np.lexsort((came_at, instants[starts] // self._width))
        labels = rows.labels[order]
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
        with uncollected():
            events = list(map(self._events.texts.__getitem__, rows.events[order].tolist()))
            sessions = [
                Session(key, events[begin:end], label if label >= 0 else None, started, ended, attack)
                for key, begin, end, label, started, ended, attack in zip(
                    map(self._keys.texts.__getitem__, rows.keys[order[begins]].tolist()),
                    begins.tolist(),
                    finishes.tolist(),
                    label_of[sequence].tolist(),
                    started_at,
                    ended_at,
                    attacks,
                )
            ]
        yield from sessions


def _windows(rows: _Rows, width: float) -> np.ndarray:
    assert rows.instants is not None
    return rows.instants // width


def _joined(kept: List[_Rows]) -> _Rows:
    import numpy as np

    if len(kept) == 1:
        return kept[0]
    columns = zip(*kept)
    return _Rows(*(None if column[0] is None else np.concatenate(column) for column in columns))  # type: ignore[arg-type]


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
