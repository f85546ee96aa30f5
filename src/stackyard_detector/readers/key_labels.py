"""Labels of whole sessions, by key, from a file of their own. Standard library only."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Dict, Iterable, Iterator

from stackyard_detector.readers.files import numbered_lines
from stackyard_detector.readers.observations import label_of
from stackyard_detector.readers.quarantine import Quarantine
from stackyard_detector.readers.source import Source
from stackyard_detector.sessions import Session
from stackyard_task.channel import BadInput


def key_labels(path: Path, source: Source) -> Dict[str, int]:
    """Key -> label from a CSV with a header whose first two columns are key and label.

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


def labelled(sessions: Iterable[Session], labels: Dict[str, int]) -> Iterator[Session]:
    """``sessions`` with the labels of their keys; one whose key has none stays unlabelled."""
    for session in sessions:
        session.label = labels.get(session.key)
        yield session
