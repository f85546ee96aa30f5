"""What the beginning of a JSON file says: JSON lines, or documents, and where the records of a wrapper begin.

Wrappers are ``{"Records": [...]}`` (CloudTrail), ``{"records": [...]}``, ``{"value": [...]}`` (Microsoft),
``{"logEvents": [...]}`` and ``{"hits": {"hits": [...]}}`` (Elasticsearch). A record may have such a list too; it is
no wrapper where it has itself what the settings ask for. A wrapper with several such lists has the records of all.
Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from stackyard_detector.readers.files import LINE_BYTES, UTF_8, chunks, without_mark
from stackyard_detector.readers.source import Source
from stackyard_task.channel import BadInput

#: Keys of a wrapper that hold its records.
RECORDS = ("Records", "records", "value", "logEvents")
#: How much of a file is looked at to tell what it is, and what comes before the records of a wrapper.
HEAD_BYTES = 1 << 16
_SPACE = re.compile(r"[ \t\r\n]*")
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_BLANKS = " \t\r\n"
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Asked:
    """The columns that say whose event a row is, and what happened: any one of each is enough for a row."""

    keys: Tuple[str, ...] = ()
    events: Tuple[str, ...] = ()

    @classmethod
    def by(cls, source: Source) -> Asked:
        """What the settings of a source ask for."""
        return cls(source.external_columns or source.key_column, source.event_column)

    @classmethod
    def by_settings(cls, settings: Mapping[str, Any]) -> Asked:
        """What settings ask for that nobody has checked yet."""
        external = settings.get("external_key")
        keys = _texts(
            external.get("columns") if isinstance(external, Mapping) else settings.get("key_column")
        )
        return cls(keys, _texts(settings.get("event_column")))

    def any_in(self, names: Iterable[str]) -> bool:
        """Whether an object with keys of these ``names`` has something of what is asked for."""
        return _among(self.keys + self.events, set(names))

    def all_in(self, names: Iterable[str]) -> bool:
        """Whether an object with keys of these ``names`` has what makes a row."""
        given = set(names)
        return _among(self.keys, given) and _among(self.events, given)


def _texts(value: Any) -> Tuple[str, ...]:
    return tuple(text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))


def _among(columns: Iterable[str], names: Any) -> bool:
    """Whether one of ``columns`` is in an object with keys of these ``names``, or may be further down in it."""
    for column in columns:
        end = len(column)
        while end >= 0:
            if column[:end] in names:
                return True
            end = column.rfind(".", 0, end)
    return False


class Wrapper(NamedTuple):
    """An object that wraps its records, as far as it is known."""

    #: The key that holds them.
    name: str
    #: Where the first record begins, or the end of the list.
    at: int
    #: How many objects are to be closed behind the records.
    depth: int
    #: The keys before that of the records.
    before: List[str]


def wrapper(text: str, start: int = 0) -> Optional[Wrapper]:
    """The wrapper whose "{" is at ``start`` of ``text``; ``None``: there is none."""
    before: List[str] = []
    at, inside = start + 1, False
    try:
        while True:
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
            if inside and text[at : at + 1] == "}":  # no records in "hits"
                at, inside = at + 1, False
                before.append("hits")
                continue
            if text[at : at + 1] != '"':
                return None
            key, at = _DECODER.raw_decode(text, at)
            at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
            if text[at : at + 1] != ":":
                return None
            at = _SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
            opening = text[at : at + 1]
            listed = opening == "[" and (key == "hits" if inside else key in RECORDS)
            if listed:
                inner = _SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
                if text[inner : inner + 1] in ("{", "]", ""):
                    return Wrapper(key, at + 1, 2 if inside else 1, before)
            if opening == "{" and not inside and key == "hits":
                at, inside = at + 1, True
                continue
            value, end = _DECODER.raw_decode(text, at)
            if listed and any(isinstance(each, dict) for each in value):  # the first of them is no object
                return Wrapper(key, at + 1, 2 if inside else 1, before)
            if not inside:
                before.append(key)
            at = end
    except (ValueError, RecursionError):
        return None


def wraps(text: str, asked: Asked, several: bool, start: int = 0) -> Optional[Wrapper]:
    """The wrapper at ``start`` of ``text``; ``None``: the object there is none, or is a record itself.

    Args:
        text: of the file, as far as it is looked at.
        asked: what the settings ask for.
        several: whether the file has further objects: then one with any of it is no wrapper.
        start: where the object begins.
    """
    found = wrapper(text, start)
    if found is None:
        return None
    names = found.before
    with contextlib.suppress(ValueError, RecursionError):  # it may be cut off here
        whole, _ = _DECODER.raw_decode(text, start)
        names = [name for name in whole if name != found.name]
    return None if (asked.any_in(names) if several else asked.all_in(names)) else found


def beginning(path: Path, encoding: str = UTF_8) -> Tuple[str, bool]:
    """(the beginning of a file as text, whether it goes on): HEAD_BYTES, or its first line where that is longer.

    Raises:
        BadInput: it cannot be opened. Where it cannot be read on, whoever reads it says so.
    """
    data, more = b"", False
    try:
        for chunk in chunks(path, encoding, HEAD_BYTES, lambda: 0):
            more = len(data) >= (HEAD_BYTES if b"\n" in data else LINE_BYTES)
            if more:
                break
            data += chunk
    except BadInput:
        if not data:
            raise
        more = True
    return without_mark(path, data).decode("utf-8", "replace"), more


def holds_documents(text: str, more: bool, asked: Asked) -> bool:
    """Whether a file is JSON, and no JSON lines: an array, indented objects, or wrappers.

    A first line that is a whole object with further lines below it begins JSON lines, unless each line is a wrapper.

    Args:
        text: the beginning of the file.
        more: whether the file goes on behind it.
        asked: what the settings ask for.
    """
    text = text.lstrip(_BLANKS)
    if text[:1] != "{":
        return text[:1] == "["
    line, ended, rest = text.partition("\n")
    if more and not ended:  # longer than a line of JSON lines may be
        return wraps(text[:HEAD_BYTES], asked, several=False) is not None
    line, below = line.rstrip(), rest.lstrip(_BLANKS)
    fault = _fault(line)
    if fault is not None:
        # An object that goes on after its first line is an indented one; any other first line is a corrupt line.
        goes_on = fault >= len(line)
        if (goes_on or not (below or more)) and wraps(text, asked, several=False) is not None:
            return True
        return goes_on and bool(ended) and below[:1] not in ("{", "")
    if not below and not more:
        return wraps(line, asked, several=False) is not None
    lines = text.split("\n")
    if more and len(lines) > 1:  # the last one may be cut off
        del lines[-1]
    return all(
        wraps(each.lstrip(_BLANKS), asked, several=True) is not None and _fault(each) is None
        for each in filter(str.strip, lines)
    )


def _fault(line: str) -> Optional[int]:
    """Where ``line`` stops being JSON; ``None``: it is JSON."""
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        return error.pos
    except (ValueError, RecursionError):
        return 0
    return None
