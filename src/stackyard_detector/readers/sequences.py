"""Event-id sequences: one session a line, or a CSV with one session a row. Standard library only."""

from __future__ import annotations

import sys
from typing import Iterator

from stackyard_detector.readers.files import numbered_lines
from stackyard_detector.readers.instants import instant_reader
from stackyard_detector.readers.observations import JOINT, label_of
from stackyard_detector.readers.quarantine import Quarantine
from stackyard_detector.readers.source import Source
from stackyard_detector.readers.table import csv_rows
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
    """One session a row: events in one column, key, label and instant in others where the source names them.

    A row without events is a corrupt row.

    Raises:
        BadInput: the file cannot be read or lacks a column.
    """
    columns = [(source.event_column or (EVENTS_COLUMN,))[0], *source.key_column, *source.time_column]
    key_end = 1 + len(source.key_column)
    time_end = len(columns)
    labelled = source.label_column is not None and source.label is None
    if labelled:
        columns.append(str(source.label_column))
    read_instant = instant_reader(source.time_unit, source.time_format)
    intern, separator, most = sys.intern, source.event_separator, source.max_events
    for line, values in csv_rows(source, columns, quarantine):
        events = [intern(e) for e in (values[0] or "").split(separator) if e.strip()]
        if not events:
            quarantine.add(source.path, line, "has no events")
            continue
        started_at = None
        if time_end > key_end:
            try:
                started_at = read_instant(" ".join([v or "" for v in values[key_end:time_end]]))
            except (ValueError, OverflowError) as error:
                quarantine.add(source.path, line, f"time: {error}")
                continue
        if most:
            del events[most:]
        key = JOINT.join([v or "" for v in values[1:key_end]]) or str(line)
        yield Session(key, events, label_of(values[-1], source) if labelled else source.label, started_at)
