"""Logs of Zeek as columns: text with tabs below a header, or the same fields as JSON lines.

The header's lines begin with "#": "#separator" and what else parts values, what an unset and an empty value are,
"#fields" and "#types" (Book of Zeek, *Zeek Log Formats and Inspection*). It may come again, where files were joined.
An unset value is absent. A value of type bool is "true" or "false" in both forms. Standard library only.
"""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from stackyard_detector.readers.batches import BadLines, Batch, Row, batches_of_rows
from stackyard_detector.readers.files import numbered_lines
from stackyard_detector.readers.json_lines import json_batches
from stackyard_detector.readers.source import Source
from stackyard_task.channel import BadInput

_ESCAPED = re.compile(r"(?:\\x[0-9A-Fa-f]{2})+")
_BOOL = {"T": "true", "F": "false"}


def zeek_batches(source: Source, columns: Sequence[str], bad: BadLines) -> Iterator[Batch]:
    """The rows of ``source`` as columns; a row of another width than the header's goes to ``bad``.

    Raises:
        BadInput: the file cannot be read, or is neither JSON nor has the header of a log of Zeek.
    """
    for _, first in numbered_lines(source.path, BadLines(), source.encoding):
        if first.lstrip()[:1] in ("{", "["):
            return json_batches(source, columns, bad)
        break
    return batches_of_rows(_rows(source, columns, bad), len(columns))


def _rows(source: Source, columns: Sequence[str], bad: BadLines) -> Iterator[Row]:
    header = _Header()
    for number, text in numbered_lines(source.path, bad, source.encoding):
        if text.startswith("#"):
            header.read(text, columns)
            continue
        if not header.names:
            raise BadInput(
                f"{source.path}: line {number}: comes before a line #fields; expected a log of Zeek with its header, "
                "or as JSON lines"
            )
        values = text.split(header.separator)
        if len(values) != len(header.names):
            bad.add(source.path, number, f"has {len(values)} columns, expected {len(header.names)}", text)
            continue
        yield number, tuple([header.value(values, place) for place in header.places])


class _Header:
    """What the lines of the header have said so far."""

    def __init__(self) -> None:
        self.separator = "\t"
        self.names: List[str] = []
        #: Of each wanted column: its index and whether it is of type bool; ``None``: the log has no such field.
        self.places: List[Optional[Tuple[int, bool]]] = []
        self._unset, self._empty = "-", "(empty)"

    def read(self, text: str, columns: Sequence[str]) -> None:
        """One line that begins with "#"."""
        if text.startswith("#separator "):
            self.separator = _unescaped(text[len("#separator ") :].strip()) or "\t"
            return
        name, *values = text.split(self.separator)
        if name == "#unset_field" and values:
            self._unset = values[0]
        elif name == "#empty_field" and values:
            self._empty = values[0]
        elif name == "#fields":
            self.names = values
            indexes: Dict[str, int] = {field: index for index, field in reversed(list(enumerate(values)))}
            self.places = [(indexes[c], False) if c in indexes else None for c in columns]
        elif name == "#types":
            self.places = [
                place and (place[0], place[0] < len(values) and values[place[0]] == "bool")
                for place in self.places
            ]

    def value(self, values: Sequence[str], place: Optional[Tuple[int, bool]]) -> Optional[str]:
        """The value of a row in a wanted column."""
        if place is None:
            return None
        index, is_bool = place
        value = values[index]
        if value == self._unset:
            return None
        if value == self._empty:
            return ""
        if is_bool:
            return _BOOL.get(value, value)
        return _unescaped(value) if "\\x" in value else value


def _unescaped(text: str) -> str:
    r"""``text`` with each "\x09" as the byte that it stands for."""

    def meant(match: re.Match[str]) -> str:
        return bytes.fromhex(match.group(0).replace("\\x", "")).decode("utf-8", "backslashreplace")

    return _ESCAPED.sub(meant, text)
