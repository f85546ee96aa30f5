"""CSV files with a header as numbered tuples of the wanted columns. Standard library only."""

from __future__ import annotations

import csv
from typing import Iterator, List, Optional, Sequence, Tuple

from stackyard_detector.readers.files import LINE_BYTES, numbered_lines
from stackyard_detector.readers.quarantine import Quarantine
from stackyard_detector.readers.source import Source
from stackyard_task.channel import BadInput

#: csv's own limit: what an unclosed quote can swallow at most. A session that is one field may be longer.
FIELD_CHARACTERS = 1 << 17
#: (line, one text per wanted column; ``None``: the record has no such field)
Row = Tuple[int, Tuple[Optional[str], ...]]


def csv_rows(source: Source, columns: Sequence[str], quarantine: Quarantine) -> Iterator[Row]:
    """The rows of ``source`` as (line, values of ``columns``); rows of another width go to quarantine.

    Raises:
        BadInput: the file cannot be read, or its header lacks a column (both named).
    """
    path = source.path
    at = [0]
    csv.field_size_limit(LINE_BYTES if source.format == "csv-sequences" else FIELD_CHARACTERS)

    def lines() -> Iterator[str]:
        for at[0], text in numbered_lines(path, quarantine, source.encoding):
            yield text + "\n"

    reader = csv.reader(lines(), delimiter=source.delimiter)
    try:
        header = [name.strip() for name in next(reader)]
    except StopIteration:
        raise BadInput(
            f"{path}: line 1: has no readable header; expected columns {', '.join(columns)}"
        ) from None
    except csv.Error as error:
        raise BadInput(f"{path}: line 1: the header is not CSV ({error})") from error
    indexes = _indexes(source, header, columns)
    width = len(header)
    while True:
        try:
            for row in reader:
                if len(row) != width:
                    reason = f"has {len(row)} columns, expected {width}"
                    quarantine.add(path, at[0], reason, source.delimiter.join(row))
                    continue
                yield at[0], tuple([row[i] for i in indexes])
            return
        except csv.Error as error:
            quarantine.add(path, at[0], f"not CSV ({error})")


def shortened(text: str) -> str:
    """``text`` on one line and in a length that a sentence can carry."""
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:300] + "..."


def _indexes(source: Source, header: List[str], columns: Sequence[str]) -> List[int]:
    missing = [c for c in columns if c not in header]
    if missing:
        raise BadInput(
            f"{source.path}: line 1: has no column {', '.join(repr(c) for c in missing)}; "
            f"it has: {shortened(', '.join(header))}"
        )
    return [header.index(c) for c in columns]
