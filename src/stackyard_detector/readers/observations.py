"""Rows of a source -> observations: key, instant, event, label.

Whole columns at once: what a value (or a tuple of values) of key, event, filter or label columns means is
asked once and remembered. A row that lacks something is judged by itself. NumPy is imported where a source is
read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from typing import TYPE_CHECKING, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union

from stackyard_detector.readers.addresses import ExternalAddress, one_spelling
from stackyard_detector.readers.batches import (
    BadLines,
    Batch,
    ObservationBatch,
    batches_of_rows,
)
from stackyard_detector.readers.capture import JOINT
from stackyard_detector.readers.instants import first_year, instant_reader, says_no_year
from stackyard_detector.readers.json_lines import json_batches
from stackyard_detector.readers.names import Names, Remembered
from stackyard_detector.readers.quarantine import FIELDS_OF_ROW
from stackyard_detector.readers.source import Source
from stackyard_detector.readers.table import csv_batches
from stackyard_detector.readers.text_rows import text_rows
from stackyard_detector.readers.time_columns import TimeColumn
from stackyard_detector.readers.time_formats import has_year
from stackyard_detector.readers.zeek import zeek_batches
from stackyard_task.channel import BadInput

if TYPE_CHECKING:
    import numpy as np

#: Formats that are read by the batch; the others line by line.
_BATCHES: Dict[str, Callable[[Source, Sequence[str], BadLines], Iterator[Batch]]] = {
    "csv": csv_batches,
    "jsonl": json_batches,
    "zeek": zeek_batches,
}

#: A value, or one per column of a group of several.
Raw = Union[Optional[str], Tuple[Optional[str], ...]]

#: Characters of a field that are told of a quarantined row.
_VALUE = 80

# What a value is, where it is no number of a name.
_ODD = -1
_NOBODY = -2


def row_batches(source: Source, columns: Sequence[str], bad: BadLines) -> Iterator[Batch]:
    """The rows of a source as columns, whatever its format.

    Raises:
        BadInput: the file cannot be read or lacks a column.
    """
    if source.format in _BATCHES:
        return _BATCHES[source.format](source, columns, bad)
    return batches_of_rows(text_rows(source, columns, bad), len(columns))


def observations(source: Source, keys: Names, events: Names, bad: BadLines) -> Iterator[ObservationBatch]:
    """The observations of a source with rows, in file order; those without key, event or instant set aside.

    Args:
        source: its settings.
        keys: table that gets the keys.
        events: table that gets the names of events.
        bad: gets the lines that are set aside.

    Raises:
        BadInput: the file cannot be read or lacks a column.
    """
    import numpy as np

    sight = _Sight(source, keys, events)
    if source.time_column:
        times = TimeColumn(source.time_unit, source.time_format, source_instants(source))
    edition = keys.edition
    for batch in row_batches(source, sight.columns, bad):
        lines, columns = sight.accepted(batch)
        count = len(lines)
        if not count:
            # What was set aside on the way is told in time.
            yield ObservationBatch(lines, *(np.zeros(0, np.uint32),) * 2, None, np.zeros(0, np.int8))
            continue
        if keys.edition != edition:
            edition = keys.edition
            sight.keys.forget()
        found_keys = sight.keys.of(_raw(columns[: sight.key_end]))
        found_events = sight.events.of(_raw(columns[sight.key_end : sight.event_end]))
        fitting = (found_keys >= 0) & (found_events >= 0)
        instants: Optional[np.ndarray] = None
        reasons: Dict[int, str] = {}
        if sight.time_end > sight.event_end:
            moments = columns[sight.event_end : sight.time_end]
            instants, reasons = times.read(_joined_texts(moments))
            if reasons:
                fitting &= ~np.isnan(instants)
        if sight.labels is None:
            labels = np.full(count, -1 if source.label is None else source.label, dtype=np.int8)
        else:
            labels = sight.labels.of(columns[-1]).astype(np.int8)
        if not fitting.all():
            for at in np.flatnonzero(~fitting).tolist():
                reason = sight.reason([column[at] for column in columns], reasons.get(at))
                if reason is not None:
                    bad.add(source.path, lines[at], reason, sight.text([column[at] for column in columns]))
            lines = list(itertools.compress(lines, fitting.tolist()))
            found_keys, found_events, labels = found_keys[fitting], found_events[fitting], labels[fitting]
            instants = None if instants is None else instants[fitting]
        yield ObservationBatch(
            lines, found_keys.astype(np.uint32), found_events.astype(np.uint32), instants, labels
        )


def source_instants(source: Source) -> Callable[[str], float]:
    """The function text -> instant for the time columns of a source.

    Where the first instant of the file has no year, and the source names none, the file is read once for its
    instants alone.
    """
    year = source.year
    # The times alone: templates are not sought for them.
    of_times = dataclasses.replace(source, event_column=source.time_column, event_pattern=(), where={})

    def texts() -> Iterator[str]:
        for batch in row_batches(of_times, source.time_column, BadLines()):
            yield from filter(None, _joined_texts(batch.columns))

    may_lack_year = not source.time_format or not has_year(source.time_format)
    if year is None and may_lack_year:
        with contextlib.suppress(BadInput):  # whoever reads the whole says what is wrong
            if says_no_year(next(texts(), ""), source.time_format):
                year = first_year(texts(), source.time_format, source.path.stat().st_mtime)
    return instant_reader(source.time_unit, source.time_format, year)


def label_of(text: Optional[str], source: Source) -> int:
    """0 where ``text`` is one of the source's benign values (without case), else 1."""
    return 0 if (text or "").strip().lower() in source.benign_values else 1


def _raw(columns: List[List[Optional[str]]]) -> Sequence[Raw]:
    return columns[0] if len(columns) == 1 else list(zip(*columns))


def _joined_texts(columns: List[List[Optional[str]]]) -> Sequence[Optional[str]]:
    """The texts of several columns, joined by spaces; ``None`` where one of them is absent."""
    if len(columns) == 1:
        return columns[0]
    return [None if None in parts else " ".join(parts) for parts in zip(*columns)]


class _Sight:
    """What the columns of a source mean.

    Attributes:
        columns: the wanted columns: key, event, time, filters and label, in this order.
        key_end, event_end, time_end: where these groups end.
        keys, events, labels: what values are: numbers in the tables of names, or below 0.
    """

    def __init__(self, source: Source, keys: Names, events: Names) -> None:
        self._source = source
        self._key_columns = source.external_columns or source.key_column
        groups = [self._key_columns, source.event_column, source.time_column, tuple(source.where)]
        self.columns: List[str] = [c for group in groups for c in group]
        self.labels: Optional[Remembered] = None
        if source.label_column is not None and source.label is None:
            self.columns.append(source.label_column)
            self.labels = Remembered(lambda text: label_of(text, source))
        bounds = [0]
        for group in groups:
            bounds.append(bounds[-1] + len(group))
        self.key_end, self.event_end, self.time_end, self._where_end = bounds[1:]
        self._accepted = [source.where[column] for column in source.where]
        #: Names that patterns give, and not the file.
        self._groups = frozenset(name for p in source.fields for name in re.compile(p).groupindex)
        self._external = ExternalAddress(source.internal_networks) if source.external_columns else None
        self._number_key, self._number_event = keys.number, events.number
        self.keys = Remembered(self._key)
        self.events = Remembered(self._event)

    def accepted(self, batch: Batch) -> Tuple[Sequence[int], List[List[Optional[str]]]]:
        """(lines, columns) of the rows that are of interest."""
        columns = batch.columns
        mask: Optional[List[bool]] = None
        for at, values in enumerate(self._accepted, self.time_end):
            fits = list(map(values.__contains__, columns[at]))
            mask = fits if mask is None else [a and b for a, b in zip(mask, fits)]
        if mask is None or all(mask):
            return batch.lines, columns
        return (
            list(itertools.compress(batch.lines, mask)),
            [list(itertools.compress(column, mask)) for column in columns],
        )

    def reason(self, values: List[Optional[str]], time_reason: Optional[str]) -> Optional[str]:
        """Why a row is set aside; ``None``: it is nobody's, and no corrupt one."""
        lacking = self._lacking(values)
        if lacking:
            names = ", ".join(repr(c) for c in lacking)
            if self._groups.issuperset(lacking):
                what = self._meant(lacking[0])
                return (
                    f"has no {what} where the pattern in fields (the preset's, or your own) looks for {names}"
                )
            return f"has no field {names}"
        key = self._key(_raw_of(values[: self.key_end]))
        if key == _NOBODY:
            return None
        if key == _ODD:
            if self._external is None:
                return "key is empty"
            return f"no external address in {tuple(values[: self.key_end])!r}"
        if self._event(_raw_of(values[self.key_end : self.event_end])) == _ODD:
            return "event is empty"
        return f"time: {time_reason}"

    def text(self, values: List[Optional[str]]) -> str:
        """The wanted fields of a row, for the quarantine: the line itself is no longer there."""
        told = dict(zip(self.columns, values))
        return FIELDS_OF_ROW + ", ".join(f"{c}={v[:_VALUE]!r}" for c, v in told.items() if v is not None)

    def _meant(self, column: str) -> str:
        at = self.columns.index(column)
        return "key" if at < self.key_end else "event" if at < self.event_end else "time"

    def _lacking(self, values: List[Optional[str]]) -> List[str]:
        """The columns whose absence makes a row corrupt: of key and event all, of time any."""
        lacking: List[str] = []
        for start, end in ((0, self.key_end), (self.key_end, self.event_end)):
            if all(value is None for value in values[start:end]):
                lacking += self.columns[start:end]
        for at in range(self.event_end, self.time_end):
            if values[at] is None:
                lacking.append(self.columns[at])
        return lacking

    def _key(self, raw: Raw) -> int:
        parts = raw if isinstance(raw, tuple) else (raw,)
        nobody = self._source.nobody
        if self._external is not None:
            key = self._external.choose(parts)
            if key is None:
                if self._source.if_none_external == "skip":
                    return _NOBODY
                left = [part for part in parts if part and part not in nobody]
                if not left:
                    return _NOBODY if any(parts) else _ODD
                if self._source.if_none_external == "quarantine":
                    return _ODD
                key = one_spelling(left[0])
            return _NOBODY if key in nobody else self._number_key(key)
        if not any(parts):
            return _ODD
        if all(not part or part in nobody for part in parts):
            return _NOBODY
        return self._number_key(JOINT.join([one_spelling(part) if part else "" for part in parts]))

    def _event(self, raw: Raw) -> int:
        parts = [self._named(part) for part in (raw if isinstance(raw, tuple) else (raw,))]
        return self._number_event(JOINT.join(parts)) if any(parts) else _ODD

    def _named(self, text: Optional[str]) -> str:
        """The event of a column: mapped, without space around."""
        stripped = (text or "").strip()
        return self._source.action_map.get(stripped.lower(), stripped)


def _raw_of(values: List[Optional[str]]) -> Raw:
    return values[0] if len(values) == 1 else tuple(values)
