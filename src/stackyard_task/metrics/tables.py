"""Figures that a program writes into JSON files, JSON lines files and tables.

Standard library only.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, Iterator, List, Optional, Tuple, Union

from stackyard_task.counting import are, count
from stackyard_task.metric_sources import Source
from stackyard_task.metrics.figure import Figure, Nothing, from_json_value, from_text, step_from
from stackyard_task.metrics.files import Places, Say, find, lines, whole

#: Values of one JSON file: each may take a hundred bytes of the supervisor's memory.
JSON_VALUES = 1_000_000
_MARK = b"\xef\xbb\xbf"


def read_json_file(source: Source, places: Places, say: Say) -> Figure:
    """The value at a path of keys and list places, "test.accuracy" or "folds.0.loss"; a key may hold dots.

    Raises:
        Nothing: there is no such file, it is no JSON, or no figure is there.
    """
    path = find(source.file, places)
    content = whole(path)
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > JSON_VALUES:
        raise Nothing(f"{path.name} holds more than {JSON_VALUES} values")
    try:
        held = _loaded(_without_mark(content).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Nothing(f"{path.name} is no UTF-8 text") from error
    except json.JSONDecodeError as error:
        more = "; one JSON value a line is read by jsonl:" if error.msg == "Extra data" else ""
        raise Nothing(f"{path.name} is no JSON (line {error.lineno}: {error.msg}){more}") from error
    except RecursionError as error:
        raise Nothing(f"{path.name} is no JSON that can be read (nested too deeply)") from error
    figure = Figure()
    figure.add(_figure_at(held, source.key, path))
    return figure


def read_json_lines(source: Source, places: Places, say: Say) -> Figure:
    """The values of a key in each line's object; lines without it are passed over.

    Raises:
        Nothing: there is no such file, or no line has such a figure.
    """
    path = find(source.file, places)
    rows = JsonRows(source.key)
    for batch in lines(path, say):
        rows.take(batch)
    if rows.broken:
        say(f"{count(rows.broken, 'line')} of {path.name} {are(rows.broken)} no JSON")
    if rows.figure.last is None:
        raise Nothing(f"no line of {path.name} has a figure {source.key!r}")
    return rows.figure


class JsonRows:
    """A metric's key in lines of JSON, and what it found."""

    def __init__(self, key: str) -> None:
        self.figure = Figure()
        #: Lines that are no JSON.
        self.broken = 0
        self._named = _named(key)

    def take(self, batch: List[bytes]) -> None:
        """Look at some lines."""
        for line in batch:
            if not line.strip():
                continue
            try:
                row = _loaded(_without_mark(line))
            except (ValueError, RecursionError):
                self.broken += 1
                continue
            for key, step_key in self._named:
                found, value = _at(row, key)
                if found and value is not None and not isinstance(value, (list, dict)):
                    step = _at(row, step_key)[1] if step_key else None
                    self.figure.add(from_json_value(value), step_from(step))
                    break


def read_table(source: Source, places: Places, say: Say) -> Figure:
    """The values of a column, which the first row names; empty cells are passed over.

    Raises:
        Nothing: there is no such file or column, or the column is empty.
    """
    path = find(source.file, places)
    rows = _rows(path, say)
    try:
        header = [cell.strip() for cell in next(rows, [])]
        value_at, step_at = _columns(header, source.key, path)
        figure = Figure()
        for row in rows:
            if value_at < len(row) and row[value_at].strip():
                told = row[step_at] if step_at is not None and step_at < len(row) else None
                figure.add(from_text(row[value_at]), step_from(told))
    except csv.Error as error:
        raise Nothing(f"{path.name} is no table ({error})") from error
    if figure.last is None:
        raise Nothing(f"column {source.key!r} of {path.name} is empty")
    return figure


def _named(key: str) -> List[Tuple[str, Optional[str]]]:
    """What "key@step" may mean, likelier first: a key that is called so, or one beside its step."""
    before, at, after = key.rpartition("@")
    return [(key, None), (before, after)] if before and at and after else [(key, None)]


def _columns(header: List[str], key: str, path: Path) -> Tuple[int, Optional[int]]:
    for name, step in _named(key):
        if name in header and (step is None or step in header):
            return header.index(name), None if step is None else header.index(step)
    shown = ", ".join(header[:20]) or "none"
    raise Nothing(
        f"{path.name} has no column {key!r}; it has {shown if len(shown) <= 300 else shown[:297] + '...'}"
    )


def _rows(path: Path, say: Say) -> Iterator[List[str]]:
    """The rows of a table; what parts its cells is seen in its first line."""

    def text() -> Iterator[str]:
        for batch in lines(path, say):
            for line in batch:
                yield line.decode("utf-8", "replace") + "\n"

    source = text()
    first = next(source, "").lstrip("\ufeff")
    parts = max(",;\t", key=first.count)

    def again() -> Iterator[str]:
        yield first
        yield from source

    return csv.reader(again(), delimiter=parts)


def _figure_at(held: Any, key: str, path: Path) -> Any:
    found, value = _at(held, key)
    if not found:
        raise Nothing(f"{path.name} has no {key!r}{_what_it_has(held)}")
    try:
        return from_json_value(value)
    except Nothing as why:
        raise Nothing(f"{key!r} of {path.name} {why}") from None


def _at(held: Any, key: str) -> Tuple[bool, Any]:
    """Whether there is something at a path, and what. A key with dots in it is found too."""
    if isinstance(held, dict) and key in held:
        return True, held[key]
    cut = len(key)
    while cut > 0:
        first = key[:cut]
        if isinstance(held, dict) and first in held and cut < len(key):
            found, value = _at(held[first], key[cut + 1 :])
            if found:
                return True, value
        elif isinstance(held, list) and first.isdigit() and len(first) < 10 and int(first) < len(held):
            return (True, held[int(first)]) if cut == len(key) else _at(held[int(first)], key[cut + 1 :])
        cut = key.rfind(".", 0, cut)
    return False, None


def _what_it_has(held: Any) -> str:
    if isinstance(held, dict) and held:
        shown = ", ".join(str(key) for key in list(held)[:20])
        return f"; it has {shown if len(shown) <= 300 else shown[:297] + '...'}"
    return ""


def _loaded(text: Union[str, bytes]) -> Any:
    """The value of a JSON text; whole numbers of more digits than Python reads are texts that say so.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    try:
        return json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # such a number: the slower way is for the few files that have one
        return json.loads(text, parse_int=_whole_number)


def _whole_number(digits: str) -> Union[int, str]:
    try:
        return int(digits)
    except ValueError:
        sign = "negative " if digits.startswith("-") else ""
        return f"a {sign}whole number of {len(digits.lstrip('-'))} digits"


def _without_mark(data: bytes) -> bytes:
    return data[len(_MARK) :] if data.startswith(_MARK) else data
