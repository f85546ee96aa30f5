"""Event-id sequences: one session a line, or a CSV with one session a row. Standard library at import."""

from __future__ import annotations

import sys
from typing import Iterator, List, Optional

from stackyard_detector.readers.batches import BadLines
from stackyard_detector.readers.capture import JOINT
from stackyard_detector.readers.files import numbered_lines
from stackyard_detector.readers.instants import instant_reader
from stackyard_detector.readers.observations import label_of
from stackyard_detector.readers.quarantine import Quarantine
from stackyard_detector.readers.source import Source
from stackyard_detector.readers.table import csv_batches
from stackyard_detector.sessions import Session

#: Column of a csv-sequences source that holds the events, unless the source says otherwise.
EVENTS_COLUMN = "events"


def sequence_sessions(source: Source, quarantine: Quarantine) -> Iterator[Session]:
    """One session a line; its key is its line number.

    Raises:
        BadInput: the file cannot be read.
    """
    intern, separator, most, label = sys.intern, source.event_separator, source.max_events, source.label
    for number, text in numbered_lines(source.path, quarantine, source.encoding):
        events = list(map(intern, text.split(separator)))
        if separator is not None:
            events = [e for e in events if e.strip()]
        if not events:
            continue
        if most:
            del events[most:]
        yield Session(str(number), events, label)


def csv_sequence_sessions(source: Source, quarantine: Quarantine) -> Iterator[Session]:
    """One session a row: events in one column; key, label, instant and attack in others where they are named.

    A row without events is a corrupt row.

    Raises:
        BadInput: the file cannot be read or lacks a column.
    """
    columns = [(source.event_column or (EVENTS_COLUMN,))[0], *source.key_column, *source.time_column]
    key_end = 1 + len(source.key_column)
    time_end = len(columns)
    if source.attack_column is not None:
        columns.append(source.attack_column)
    labelled = source.label_column is not None and source.label is None
    if labelled:
        columns.append(str(source.label_column))
    read_instant = instant_reader(source.time_unit, source.time_format, source.year)
    intern, separator, most = sys.intern, source.event_separator, source.max_events
    bad = BadLines()
    before = quarantine.lines
    for batch in csv_batches(source, columns, bad):
        sessions: List[Session] = []
        for line, *values in zip(batch.lines, *batch.columns):
            events = [intern(e) for e in (values[0] or "").split(separator) if e.strip()]
            if not events:
                bad.add(source.path, line, "has no events")
                continue
            started_at = attack = None
            try:
                if time_end > key_end:
                    started_at = read_instant(" ".join([v or "" for v in values[key_end:time_end]]))
            except (ValueError, OverflowError) as error:
                bad.add(source.path, line, f"time: {error}")
                continue
            if source.attack_column is not None:
                try:
                    attack = _attack(values[time_end], len(events))
                except ValueError as error:
                    bad.add(source.path, line, f"attack: {error}")
                    continue
            if most:
                del events[most:]
                # A session that is cut before its attack has the index of the event after its last one.
                attack = None if attack is None else min(attack, len(events))
            key = JOINT.join([v or "" for v in values[1:key_end]]) or str(line)
            label = label_of(values[-1], source) if labelled else source.label
            sessions.append(Session(key, events, label, started_at, attack_starts_at=attack))
        bad.hand_over(source.path, quarantine, before)
        yield from sessions
    bad.hand_over(source.path, quarantine, before)


def _attack(text: Optional[str], length: int) -> Optional[int]:
    """The index of the first malicious event; ``None`` where the column is empty: there is none.

    ``length`` itself is one too: so a preparation writes a session that it cut before its attack.

    Raises:
        ValueError: it is no index of an event in a session of ``length`` events.
    """
    if not (text or "").strip():
        return None
    try:
        index = int(text)  # type: ignore[arg-type]
    except ValueError:
        index = -1
    if not 0 <= index <= length:
        raise ValueError(f"{text!r} is no index of an event (the session has {length}, counted from 0)")
    return index
