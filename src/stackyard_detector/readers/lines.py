"""Raw text lines -> observations: a key found by pattern, the message's template as event.

Standard library at import; ``templates`` brings drain3 when it is needed.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Dict, Iterator, Optional

from stackyard_detector.readers.files import numbered_lines
from stackyard_detector.readers.grouping import Observation
from stackyard_detector.readers.instants import instant_reader
from stackyard_detector.readers.observations import label_of
from stackyard_detector.readers.quarantine import Quarantine
from stackyard_detector.readers.source import Source
from stackyard_detector.readers.templates import EventTemplates
from stackyard_task.channel import BadInput


def messages(source: Source) -> Iterator[str]:
    """The messages of a source of lines: what ``message_pattern`` finds, else the whole line."""
    quiet = Quarantine()
    find = re.compile(source.message_pattern).search if source.message_pattern else None
    for _, text in numbered_lines(source.path, quiet):
        if find is None:
            yield text
        else:
            match = find(text)
            if match is not None:
                yield match.group(1)


def line_observations(
    source: Source, templates: EventTemplates, quarantine: Quarantine
) -> Iterator[Observation]:
    """The observations of a source of lines; a line with several keys belongs to each of them once.

    Lines without message or instant go to quarantine; lines without key belong to no session and are passed
    over (most logs have some).

    Raises:
        BadInput: the file, or the file of labels, cannot be read.
    """
    keys_of = re.compile(source.key_pattern).findall
    message_of = re.compile(source.message_pattern).search if source.message_pattern else None
    time_of = re.compile(source.time_pattern).search if source.time_pattern else None
    read_instant = instant_reader(source.time_unit, source.time_format)
    labels = key_labels(source.labels_path, source) if source.labels_path else {}
    match_event = templates.match
    instant: Optional[float] = None
    for number, text in numbered_lines(source.path, quarantine):
        keys = keys_of(text)
        if not keys:
            continue
        message = text
        if message_of is not None:
            found = message_of(text)
            if found is None:
                quarantine.add(source.path, number, "does not fit message_pattern", text)
                continue
            message = found.group(1)
        if time_of is not None:
            found = time_of(text)
            try:
                if found is None:
                    raise ValueError("does not fit time_pattern")
                instant = read_instant(found.group(1))
            except (ValueError, OverflowError) as error:
                quarantine.add(source.path, number, f"time: {error}", text)
                continue
        event = match_event(message)
        for key in dict.fromkeys(keys):
            yield number, key, instant, event, labels.get(key) if source.label is None else source.label


def key_labels(path: Path, source: Source) -> Dict[str, int]:
    """Key -> label from a CSV whose first two columns are key and label.

    Raises:
        BadInput: the file cannot be read, or a row has no label.
    """
    labels: Dict[str, int] = {}
    quarantine = Quarantine(limit=0)
    rows = csv.reader(text for _, text in numbered_lines(path, quarantine))
    try:
        next(rows, None)
        for number, row in enumerate(rows, 2):
            if len(row) < 2:
                raise BadInput(f"{path}: line {number}: has {len(row)} columns, expected key and label")
            labels[row[0]] = label_of(row[1], source)
    except csv.Error as error:
        raise BadInput(f"{path}: is not CSV ({error})") from error
    if not labels:
        raise BadInput(f"{path}: has no labels; expected a header and rows of key and label")
    return labels
