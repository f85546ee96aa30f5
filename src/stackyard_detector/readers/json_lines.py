"""JSON lines, or one JSON array of objects, as numbered tuples of the wanted fields.

Fields inside objects are named with dots ("alert.signature"); a key that itself has dots ("id.orig_h", as
Zeek writes) is found too. Standard library only.
"""

from __future__ import annotations

import itertools
import json
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple

from stackyard_detector.readers.files import LINE_BYTES, numbered_lines
from stackyard_detector.readers.quarantine import Quarantine
from stackyard_detector.readers.source import Source
from stackyard_detector.readers.table import Row
from stackyard_task.channel import BadInput


def json_rows(source: Source, columns: Sequence[str], quarantine: Quarantine) -> Iterator[Row]:
    """The objects of ``source`` as (line, values of ``columns`` as texts).

    Raises:
        BadInput: the file cannot be read, or it is a JSON array that breaks off or is no JSON in the middle.
    """
    lines = numbered_lines(source.path, quarantine, source.encoding)
    first = next(lines, None)
    if first is None:
        return
    lines = itertools.chain([first], lines)
    if first[1].lstrip().startswith("["):
        objects = _array_objects(source, lines)
    else:
        objects = _line_objects(source, lines, quarantine)
    for line, value in objects:
        if not isinstance(value, dict):
            quarantine.add(
                source.path, line, f"is a JSON {type(value).__name__}, expected an object", str(value)[:300]
            )
            continue
        texts = tuple([field_text(value, c) for c in columns])
        if not all(t is None or t.isascii() or _writable(t) for t in texts):
            quarantine.add(source.path, line, "holds half a character (a lone surrogate), which is no text")
            continue
        yield line, texts


def field_text(value: Dict[str, Any], name: str) -> Optional[str]:
    """The field ``name`` of a record as text, dots descending into objects; ``None``: it has none."""
    found: Any = value.get(name)
    if found is None and "." in name:
        found = value
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    if found is None or isinstance(found, str):
        return found
    return json.dumps(found)


def _writable(text: str) -> bool:
    r"""Whether ``text`` can be written as UTF-8: JSON lets "\\ud800" through, half of a character."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _line_objects(
    source: Source, lines: Iterator[Tuple[int, str]], quarantine: Quarantine
) -> Iterator[Tuple[int, Any]]:
    for number, text in lines:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            quarantine.add(source.path, number, f"not JSON ({error})", text)
            continue
        yield number, value


def _array_objects(source: Source, lines: Iterator[Tuple[int, str]]) -> Iterator[Tuple[int, Any]]:
    """The members of a JSON array, decoded one by one as their lines arrive."""
    decoder = json.JSONDecoder()
    number, text = next(lines)
    buffer = text.lstrip()[1:]
    began_at = number
    tried = 0
    while True:
        buffer = buffer.lstrip(" \t\n,")
        if buffer.startswith("]"):
            return
        # A member can only be complete where a "}" or "]" came since the last try: that keeps this linear.
        if buffer and (buffer[0] != "{" or "}" in buffer[tried:]):
            try:
                value, end = decoder.raw_decode(buffer)
            except RecursionError as error:
                raise BadInput(f"{source.path}: line {number}: is nested too deeply to be a log") from error
            except ValueError as error:
                if len(buffer) > LINE_BYTES:
                    raise BadInput(
                        f"{source.path}: line {began_at}: the JSON array is broken here ({error}); mend it "
                        "or give JSON lines, where one corrupt line costs one line"
                    ) from error
                tried = len(buffer)
            else:
                yield began_at, value
                buffer, tried, began_at = buffer[end:], 0, number
                continue
        following = next(lines, None)
        if following is None:
            raise BadInput(
                f"{source.path}: line {began_at}: the JSON array is broken or not closed here; mend it "
                "or give JSON lines"
            )
        if not buffer:
            began_at = following[0]
        number = following[0]
        buffer += following[1] + "\n"
