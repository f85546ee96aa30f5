"""JSON files that are no JSON lines: arrays, indented objects, and objects that wrap the array of records.

Wrappers are ``{"Records": [...]}`` (CloudTrail), ``{"records": [...]}``, ``{"value": [...]}`` (Microsoft),
``{"logEvents": [...]}`` and ``{"hits": {"hits": [...]}}`` (Elasticsearch). Decoded record by record as the
file is read; a record has 1 MiB at most. Standard library only.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import re
from typing import Any, Dict, Iterator, Optional, Tuple

from stackyard_detector.readers.batches import BadLines
from stackyard_detector.readers.files import LINE_BYTES, opened, without_mark
from stackyard_detector.readers.packed import broken
from stackyard_detector.readers.source import Source
from stackyard_task.channel import BadInput

#: Keys of a wrapper that hold its records.
RECORDS = ("Records", "records", "value", "logEvents")
#: How much of a file is looked at to tell what it is, and what comes before the records of a wrapper.
HEAD_BYTES = 1 << 16
_CHUNK = 1 << 16
_SPACE = re.compile(r"[ \t\r\n]*")
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_DECODER = json.JSONDecoder()


def holds_documents(source: Source) -> bool:
    """Whether the file is one of those that are read here.

    Raises:
        BadInput: it cannot be read, or is empty.
    """
    data = b""
    with (
        contextlib.closing(opened(source.path, source.encoding)) as stream,
        contextlib.suppress(OSError, *broken()),
    ):
        while len(data) < HEAD_BYTES:  # broken data: whoever reads on says so
            more = stream.read1(HEAD_BYTES)  # type: ignore[attr-defined]
            if not more:
                break
            data += more
    text = without_mark(source.path, data).decode("utf-8", "replace").lstrip(" \t\r\n")
    if text.startswith("["):
        return True
    if not text.startswith("{"):
        return False
    if _records_at(text) is not None:
        return True
    line, ended, rest = text.partition("\n")
    if not ended or rest.lstrip(" \t\r\n")[:1] in ("{", ""):
        return False
    # An object that goes on after its first line is an indented one; any other first line is a corrupt line.
    line = line.rstrip()
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        return error.pos >= len(line)
    except (ValueError, RecursionError):
        return False
    return False


def _records_at(text: str) -> Optional[int]:
    """Where the records of a wrapper begin that begins with ``text``; ``None``: it is none."""
    at, inside = 1, ""
    try:
        while True:
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
            if text[at : at + 1] != '"':
                return None
            key, at = _DECODER.raw_decode(text, at)
            at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
            if text[at : at + 1] != ":":
                return None
            at = _SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
            opening = text[at : at + 1]
            if opening == "[" and (key == "hits" if inside else key in RECORDS):
                inner = _SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
                return at + 1 if text[inner : inner + 1] in ("{", "]", "") else None
            if opening == "{" and not inside and key == "hits":
                at, inside = at + 1, "hits"
                continue
            _, at = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None


def document_objects(source: Source, bad: BadLines) -> Iterator[Tuple[int, Dict[str, Any]]]:
    """The records of the file with the lines they begin at; what is no object goes to ``bad``.

    Raises:
        BadInput: the file cannot be read, breaks off, or is no JSON somewhere.
    """
    text = _Text(source)
    in_array = False
    while True:
        text.skip(_BETWEEN if in_array else _SPACE)
        character = text.peek()
        if not character:
            if in_array:
                raise text.broken("not closed")
            break
        if in_array and character == "]":
            in_array = False
            text.move(1)
            text.close_wrapper()
            continue
        if not in_array and character == "[":
            in_array = True
            text.move(1)
            continue
        if not in_array and character == "{" and text.open_wrapper():
            in_array = True
            continue
        line = text.line
        value = text.value()
        bad.read_to = text.line
        if isinstance(value, dict):
            yield line, value
        else:
            reason = f"is a JSON {type(value).__name__}, expected an object"
            bad.add(source.path, line, reason, str(value)[:300])
    bad.read_to = text.line


class _Text:
    """The text of a file, of which a record's length is in memory."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._chunks = _chunks(source)
        self._buffer = ""
        self._at = 0
        self._ended = False
        self._wrapped = 0
        #: The line that the text is at.
        self.line = 1

    def skip(self, what: re.Pattern[str]) -> None:
        """Move past all that ``what`` matches."""
        while True:
            self.move(what.match(self._buffer, self._at).end() - self._at)  # type: ignore[union-attr]
            if self._at < len(self._buffer) or not self._more():
                return

    def peek(self) -> str:
        """The next character; empty at the end."""
        return self._buffer[self._at : self._at + 1]

    def move(self, count: int) -> None:
        """Move on by ``count`` characters."""
        self.line += self._buffer.count("\n", self._at, self._at + count)
        self._at += count

    def open_wrapper(self) -> bool:
        """Move to the first record of the wrapper that begins here; false: none does."""
        while len(self._buffer) - self._at < HEAD_BYTES and self._more():
            pass
        head = self._buffer[self._at : self._at + HEAD_BYTES]
        at = _records_at(head)
        if at is None:
            return False
        before = self._buffer[self._at : self._at + at]
        self._wrapped = 2 if re.search(r'"hits"\s*:\s*\[\Z', before) else 1
        self.move(at)
        return True

    def close_wrapper(self) -> None:
        """Move past what follows the records of a wrapper, if they had one."""
        while self._wrapped:
            self.skip(_BETWEEN)
            if self.peek() == "}":
                self.move(1)
                self._wrapped -= 1
                continue
            if self.peek() != '"':
                raise self.broken("not closed")
            self.value()
            self.skip(_SPACE)
            if self.peek() != ":":
                raise self.broken("not closed")
            self.move(1)
            self.skip(_SPACE)
            self.value()

    def value(self) -> Any:
        """The JSON value that begins here; moves past it."""
        tried = 0
        while True:
            rest = len(self._buffer) - self._at
            # An object can only be complete where a "}" came since the last try: that keeps this linear.
            if self.peek() != "{" or self._ended or self._buffer.find("}", self._at + tried) >= 0:
                try:
                    value, end = _DECODER.raw_decode(self._buffer, self._at)
                except RecursionError as error:
                    raise BadInput(
                        f"{self._source.path}: line {self.line}: is nested too deeply to be a log"
                    ) from error
                except ValueError as error:
                    if rest > LINE_BYTES:
                        raise self.broken("wrong", error) from error
                    if self._ended:
                        raise self.broken("not closed") from error
                    tried = rest
                else:
                    # A number may go on in the next chunk.
                    if end < len(self._buffer) or self._ended:
                        self.move(end - self._at)
                        return value
            if rest > LINE_BYTES:
                raise self.broken("not closed")
            self._more()

    def broken(self, how: str, error: Optional[ValueError] = None) -> BadInput:
        """The sentence that the JSON is wrong here."""
        what = f"broken here ({error})" if how == "wrong" else "broken or not closed here"
        return BadInput(
            f"{self._source.path}: line {self.line}: the JSON array is {what}; mend it or give JSON lines, "
            "where one corrupt line costs one line"
        )

    def _more(self) -> bool:
        """Read on; false: the end."""
        chunk = next(self._chunks, None)
        if chunk is None:
            self._ended = True
            return False
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return True


def _chunks(source: Source) -> Iterator[str]:
    """The text of a file in pieces; bytes that are no text come as halves of characters."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    first = True
    line = 0
    with contextlib.closing(opened(source.path, source.encoding)) as stream:
        while True:
            try:
                data = stream.read1(_CHUNK)  # type: ignore[attr-defined]
            except broken() as error:
                raise BadInput(
                    f"{source.path}: the compressed data is cut off or broken after line {line} ({error}); "
                    "get it again"
                ) from error
            except OSError as error:
                raise BadInput(f"{source.path}: cannot be read past line {line} ({error})") from error
            if not data:
                break
            if first:
                data, first = without_mark(source.path, data), False
            line += data.count(b"\n")
            text = decoder.decode(data)
            if text:
                yield text
        text = decoder.decode(b"", final=True)
        if text:
            yield text
