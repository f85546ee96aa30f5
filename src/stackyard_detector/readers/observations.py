"""Rows of a CSV, JSON lines or key=value source -> observations: key, instant, event, label.

Standard library only.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from stackyard_detector.readers.addresses import ExternalAddress
from stackyard_detector.readers.grouping import Observation
from stackyard_detector.readers.instants import instant_reader
from stackyard_detector.readers.json_lines import json_rows
from stackyard_detector.readers.quarantine import Quarantine
from stackyard_detector.readers.source import Source
from stackyard_detector.readers.table import Row, csv_rows
from stackyard_detector.readers.text_rows import text_rows

_ROWS: Dict[str, Callable[[Source, Sequence[str], Quarantine], Iterator[Row]]] = {
    "csv": csv_rows,
    "jsonl": json_rows,
    **dict.fromkeys(("lines", "key-value", "cef", "leef", "syslog"), text_rows),
}

#: What joins the parts of an event or key made of several columns.
JOINT = "|"


def observations(source: Source, quarantine: Quarantine) -> Iterator[Observation]:
    """The observations of a source with rows, in file order; those without key, event or instant set aside.

    Raises:
        BadInput: the file cannot be read or lacks a column.
        QuarantineLimit: more corrupt lines than the user allows.
    """
    key_columns = source.external_columns or source.key_column
    groups = [key_columns, source.event_column, source.time_column, tuple(source.where)]
    columns: List[str] = [c for group in groups for c in group]
    if source.label_column is not None and source.label is None:
        columns.append(source.label_column)
    bounds = [0]
    for group in groups:
        bounds.append(bounds[-1] + len(group))
    key_end, event_end, time_end, where_end = bounds[1:]
    accepted = [source.where[c] for c in source.where]
    external = ExternalAddress(source.internal_networks) if source.external_columns else None
    read_instant = instant_reader(source.time_unit, source.time_format)
    labelled = len(columns) > where_end
    single_key = key_end == 1
    single_event = event_end - key_end == 1
    single_time = time_end - event_end == 1
    events = _EventNames(source)
    labels: Dict[Optional[str], int] = {}
    instant: Optional[float] = None
    label = source.label
    path = source.path

    for line, values in _ROWS[source.format](source, columns, quarantine):
        if accepted and not all(v in a for v, a in zip(values[time_end:where_end], accepted)):
            continue
        if None in values:
            lacking = [c for c, v in zip(columns, values) if v is None]
            if external is not None:  # one of two addresses may be absent
                lacking = [
                    c for c in lacking if c not in key_columns or values[:key_end] == (None,) * key_end
                ]
            if labelled and source.label_column in lacking:
                lacking.remove(source.label_column)  # no label: benign, like an empty one
            if lacking:
                quarantine.add(path, line, f"has no field {', '.join(repr(c) for c in lacking)}")
                continue
        if external is not None:
            key = external.choose(values[:key_end])
            if key is None:
                if source.if_none_external == "skip":
                    continue
                key = next((v for v in values[:key_end] if v), None)
                if source.if_none_external == "quarantine" or key is None:
                    quarantine.add(path, line, f"no external address in {values[:key_end]!r}")
                    continue
        else:
            key = values[0] if single_key else JOINT.join([v or "" for v in values[:key_end]])
        event_parts = values[key_end:event_end]
        event = events.one(values[key_end]) if single_event else events.joined(event_parts)  # type: ignore[arg-type]
        if not key or not event:
            quarantine.add(path, line, f"{'key' if not key else 'event'} is empty")
            continue
        if time_end > event_end:
            moment = (
                values[event_end] if single_time else " ".join([v or "" for v in values[event_end:time_end]])
            )
            try:
                instant = read_instant(moment or "")
            except (ValueError, OverflowError) as error:
                quarantine.add(path, line, f"time: {error}")
                continue
        if labelled:
            text = values[-1]
            found = labels.get(text)
            if found is None:
                found = labels[text] = label_of(text, source)
            label = found
        yield line, key, instant, event, label


def label_of(text: Optional[str], source: Source) -> int:
    """0 where ``text`` is one of the source's benign values (without case), else 1."""
    return 0 if (text or "").strip().lower() in source.benign_values else 1


class _EventNames:
    """Event names from column values: mapped, joined, each distinct one made once."""

    def __init__(self, source: Source) -> None:
        self._map = source.action_map
        self._known: Dict[str, str] = {}
        self._joined: Dict[Tuple[Optional[str], ...], str] = {}

    def one(self, text: str) -> str:
        """The event of a single column."""
        name = self._known.get(text)
        if name is None:
            if len(self._known) > 100_000:  # free text as events: the names are kept by the sessions alone
                self._known.clear()
            stripped = text.strip()
            name = self._known[text] = self._map.get(stripped.lower(), stripped)
        return name

    def joined(self, texts: Tuple[Optional[str], ...]) -> str:
        """The event of several columns, joined; empty where all of them are."""
        name = self._joined.get(texts)
        if name is None:
            if len(self._joined) > 100_000:
                self._joined.clear()
            parts = [self.one(t or "") for t in texts]
            name = self._joined[texts] = JOINT.join(parts) if any(parts) else ""
        return name
