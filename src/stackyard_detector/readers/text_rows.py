"""Lines of text as numbered tuples of the wanted columns: raw lines, key=value, CEF, LEEF, syslog, XML.

A format's own module reads one line; here is what they share: named groups of ``fields``, the message and its
template, and where lines go that do not fit. Standard library only.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from stackyard_detector.readers import cef, key_value, leef, syslog, xml_lines
from stackyard_detector.readers.batches import Row
from stackyard_detector.readers.capture import JOINT, MATCHED_CHARACTERS, Capture, NamedGroups
from stackyard_detector.readers.fields import field_text
from stackyard_detector.readers.files import numbered_lines
from stackyard_detector.readers.pattern_watch import PatternWatch
from stackyard_detector.readers.quarantine import Quarantine
from stackyard_detector.readers.source import (
    EVENT_FOUND,
    KEY_FOUND,
    LABEL_FOUND,
    MESSAGE,
    TEMPLATE,
    TIME_FOUND,
    Source,
)


def _pairs(text: str) -> Dict[str, str]:
    found = key_value.pairs(text)
    if found is None:
        raise ValueError("has no key=value pair")
    return found


_PARSERS: Dict[str, Callable[[str], Dict[str, str]]] = {
    "key-value": _pairs,
    "cef": cef.fields,
    "leef": leef.fields,
    "syslog": syslog.fields,
    "xml-lines": xml_lines.fields,
}
_INSIDE = MESSAGE + "."


def text_rows(source: Source, columns: Sequence[str], quarantine: Quarantine) -> Iterator[Row]:
    """The lines of ``source`` as (line, values of ``columns``); ``None``: the line has no such field.

    Of raw lines, one with several keys comes once for each; one without any is passed over. Lines that are not
    what the format or a pattern says go to quarantine.

    Raises:
        BadInput: the file cannot be read, or a pattern takes too long on a line.
    """
    rows = _raw_rows if source.format == "lines" else _parsed_rows
    with PatternWatch(source.path) as watch:
        yield from rows(source, columns, quarantine, watch)


def _parsed_rows(
    source: Source, columns: Sequence[str], quarantine: Quarantine, watch: PatternWatch
) -> Iterator[Row]:
    parse = _PARSERS[source.format]
    groups = NamedGroups(source.fields) if source.fields else None
    inside = _inside(source)
    message_of = Capture(source.message_pattern) if source.message_pattern else None
    template = source.templates.match if source.uses_templates else None
    wants_message = template is not None or (message_of is not None and MESSAGE in columns)
    matched = groups is not None or message_of is not None
    for number, text in numbered_lines(source.path, quarantine, source.encoding):
        watch.line = number
        try:
            if matched and len(text) > MATCHED_CHARACTERS:
                raise ValueError(_TOO_LONG)
            values: Dict[str, Any] = parse(text)
            if wants_message:
                message = values.get(MESSAGE, "")
                if message_of is not None:
                    message = _found(message_of.first(message), "message_pattern")
                    values[MESSAGE] = message
                if template is not None:
                    values[TEMPLATE] = template(message)
            if inside is not None:
                inside(values, columns)
            if groups is not None:
                values.update((k, v) for k, v in (groups.of(text) or {}).items() if v is not None)
        except ValueError as error:
            quarantine.add(source.path, number, str(error), text)
            continue
        finally:
            watch.line = 0
        yield number, tuple([values.get(column) for column in columns])


def _raw_rows(
    source: Source, columns: Sequence[str], quarantine: Quarantine, watch: PatternWatch
) -> Iterator[Row]:
    keys_of = Capture(source.key_pattern) if source.key_pattern else None
    groups = NamedGroups(source.fields) if source.fields else None
    captures: List[Tuple[str, str, Capture]] = []
    for column, name, patterns, joint in (
        (EVENT_FOUND, "event_pattern", source.event_pattern, JOINT),
        (TIME_FOUND, "time_pattern", source.time_pattern, " "),
    ):
        if patterns:
            captures.append((column, name, Capture(patterns, joint)))
    label_of = Capture(source.label_pattern) if source.label_pattern and LABEL_FOUND in columns else None
    message_of = Capture(source.message_pattern) if source.message_pattern else None
    template = source.templates.match if source.uses_templates else None
    wants_message = template is not None or MESSAGE in columns
    for number, text in numbered_lines(source.path, quarantine, source.encoding):
        if len(text) > MATCHED_CHARACTERS:
            quarantine.add(source.path, number, _TOO_LONG, text)
            continue
        keys: Sequence[Optional[str]] = (None,)
        values: Dict[str, Optional[str]] = {}
        watch.line = number
        try:
            if keys_of is not None:
                keys = keys_of.all(text)
                if not keys:
                    continue
            if groups is not None:
                found = groups.of(text)
                if found is None:
                    raise ValueError("does not fit fields")
                values.update(found)
            if wants_message:
                message = values.get(MESSAGE)
                if message is None:
                    message = (
                        text if message_of is None else _found(message_of.first(text), "message_pattern")
                    )
                    values[MESSAGE] = message
                if template is not None:
                    values[TEMPLATE] = template(message)
            for column, name, capture in captures:
                values[column] = _found(capture.first(text), name)
            if label_of is not None:
                values[LABEL_FOUND] = label_of.first(text)
        except ValueError as error:
            quarantine.add(source.path, number, str(error), text)
            continue
        finally:
            watch.line = 0
        for key in keys:
            values[KEY_FOUND] = key
            yield number, tuple([values.get(column) for column in columns])


_TOO_LONG = f"longer than {MATCHED_CHARACTERS} characters, too long to match patterns with"


def _found(text: Optional[str], name: str) -> str:
    if text is None:
        raise ValueError(f"does not fit {name}")
    return text


def messages(source: Source) -> Iterator[str]:
    """The messages of a source whose templates are sought; lines that have none are passed over.

    Raises:
        BadInput: the file cannot be read.
    """
    if source.format == "lines" and not source.fields:
        yield from _raw_messages(source)
        return
    probe = _Probe()
    plain = dataclasses.replace(source, templates=probe, time_pattern=(), label_pattern=())
    for _ in text_rows(plain, (), Quarantine()):
        yield from probe.taken()


def _raw_messages(source: Source) -> Iterator[str]:
    has_key = Capture(source.key_pattern).first
    message_of = Capture(source.message_pattern).first if source.message_pattern else None
    with PatternWatch(source.path) as watch:
        for watch.line, text in numbered_lines(source.path, Quarantine(), source.encoding):
            if len(text) <= MATCHED_CHARACTERS and has_key(text) is not None:
                message = text if message_of is None else message_of(text)
                watch.line = 0
                if message is not None:
                    yield message
            watch.line = 0


class _Probe:
    """In the place of a template set: keeps what it is asked to match."""

    def __init__(self) -> None:
        self._messages: List[str] = []

    def match(self, message: str) -> str:
        """Keep ``message``; its event is not known yet."""
        self._messages.append(message)
        return ""

    def taken(self) -> List[str]:
        """What was kept since the last call."""
        taken, self._messages = self._messages, []
        return taken


def _inside(source: Source) -> Optional[Callable[[Dict[str, Any], Sequence[str]], None]]:
    """A function that adds the fields within a message as "message.NAME"; ``None``: nothing is within."""
    if not source.inside:
        return None

    def json_fields(values: Dict[str, Any], columns: Sequence[str]) -> None:
        try:
            value = json.loads(values.get(MESSAGE, ""))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"message is not JSON ({error})") from error
        if not isinstance(value, dict):
            raise ValueError(f"message is a JSON {type(value).__name__}, expected an object")
        for column in columns:
            if column.startswith(_INSIDE):
                text = field_text(value, column[len(_INSIDE) :])
                if text is not None and not text.isascii():
                    try:
                        text.encode("utf-8")
                    except UnicodeEncodeError:
                        raise ValueError("holds half a character (a lone surrogate)") from None
                values[column] = text

    def parsed_fields(values: Dict[str, Any], columns: Sequence[str]) -> None:
        found = parse(values.get(MESSAGE, ""))
        for column in columns:
            if column.startswith(_INSIDE):
                values[column] = found.get(column[len(_INSIDE) :])

    if source.inside == "json":
        return json_fields
    parse = _PARSERS[source.inside]
    return parsed_fields
