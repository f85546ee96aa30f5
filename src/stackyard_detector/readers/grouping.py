"""Observations -> sessions: the events of one key, per window or whole source, in time order.

Memory: an open session is two compact arrays (an event number and an instant, 12 bytes an event), never row
texts. With ``time_order = "sorted"`` a window is closed, handed on and forgotten as soon as the newest
instant is ``lateness_minutes`` past its end; with "any" (the default: many collected logs are concatenated,
not merged) sessions stay open to the end of the source, each cut to ``max_events`` whenever it has twice as
many.

Standard library only.
"""

from __future__ import annotations

from array import array
from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from stackyard_detector.readers.quarantine import Quarantine
from stackyard_detector.readers.source import Source
from stackyard_detector.sessions import Session

#: (line, key, instant or None, event, label or None)
Observation = Tuple[int, str, Optional[float], str, Optional[int]]


class _OpenSession:
    """The events of one key so far."""

    __slots__ = ("events", "in_order", "instants", "label", "last_at")

    def __init__(self, timed: bool) -> None:
        self.events = array("I")
        self.instants: Optional[array[float]] = array("d") if timed else None
        self.label: Optional[int] = None
        self.in_order = True
        self.last_at = float("-inf")

    def sort(self) -> None:
        """Bring the events into time order; those of one instant keep the order they came in."""
        if self.in_order or self.instants is None:
            return
        instants, events = self.instants, self.events
        order = sorted(range(len(instants)), key=instants.__getitem__)
        self.instants = array("d", [instants[i] for i in order])
        self.events = array("I", [events[i] for i in order])
        self.in_order = True
        self.last_at = self.instants[-1]

    def cut(self, max_events: int) -> None:
        """Keep the first ``max_events`` in time."""
        self.sort()
        del self.events[max_events:]
        if self.instants is not None:
            del self.instants[max_events:]
            self.last_at = self.instants[-1]


def sessions_of(
    observations: Iterable[Observation], source: Source, quarantine: Quarantine
) -> Iterator[Session]:
    """The sessions of one source, windows in the order of time, keys in the order they came.

    A session's label is 1 where any of its rows is malicious (rows past ``max_events`` included), 0 where all
    are benign, ``None`` where the source has no labels.
    """
    timed = bool(source.time_column or source.time_pattern)
    width = source.session_minutes * 60.0 if source.session_minutes else None
    lateness = source.lateness_minutes * 60.0
    streaming = source.time_order == "sorted"
    as_filed = source.time_order == "file"
    max_events = source.max_events
    cut_at = 2 * max_events if max_events else 0
    numbers: Dict[str, int] = {}
    names: List[str] = []
    windows: Dict[int, Dict[str, _OpenSession]] = {}
    closed_before: Optional[int] = None
    newest = float("-inf")
    window = 0
    for line, key, instant, event, label in observations:
        if instant is not None:
            if width is not None:
                window = int(instant // width)
            if streaming:
                if closed_before is not None and window < closed_before:
                    quarantine.add(
                        source.path,
                        line,
                        f"{newest - instant:.0f} s late, lateness_minutes allows less; use time_order 'any'",
                    )
                    continue
                if instant > newest:
                    newest = instant
                    assert width is not None
                    ready = int((newest - lateness) // width)
                    if closed_before is None or ready > closed_before:
                        closed_before = ready
                        for old in sorted(w for w in windows if w < ready):
                            yield from _closed(windows.pop(old), names, max_events)
        number = numbers.get(event)
        if number is None:
            number = numbers[event] = len(names)
            names.append(event)
        keys = windows.get(window)
        if keys is None:
            keys = windows[window] = {}
        session = keys.get(key)
        if session is None:
            session = keys[key] = _OpenSession(timed)
        if label is not None and (label or session.label is None):
            session.label = label
        session.events.append(number)
        if instant is not None and session.instants is not None:
            session.instants.append(instant)
            if instant < session.last_at and not as_filed:
                session.in_order = False
            else:
                session.last_at = instant
        if cut_at and len(session.events) >= cut_at:
            session.cut(max_events)  # type: ignore[arg-type]
    for old in sorted(windows):
        yield from _closed(windows.pop(old), names, max_events)


def _closed(keys: Dict[str, _OpenSession], names: List[str], max_events: Optional[int]) -> Iterator[Session]:
    for key, session in keys.items():
        session.sort()
        if max_events:
            session.cut(max_events)
        started_at = min(session.instants) if session.instants else None
        yield Session(key, [names[i] for i in session.events], session.label, started_at)
