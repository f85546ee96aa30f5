"""JSON files that are no JSON lines: arrays, indented objects, and objects that wrap the array of records.

Decoded record by record as the file is read; a record has 1 MiB at most. ``json_shapes`` says which files these are.
Standard library only.
"""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from stackyard_detector.readers.batches import BadLines
from stackyard_detector.readers.files import LINE_BYTES, chunks, without_mark
from stackyard_detector.readers.json_shapes import HEAD_BYTES, RECORDS, Asked, wraps
from stackyard_detector.readers.source import Source
from stackyard_task.channel import BadInput

_CHUNK = 1 << 16
_SPACE = re.compile(r"[ \t\r\n]*")
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_DECODER = json.JSONDecoder()


def document_objects(source: Source, bad: BadLines) -> Iterator[Tuple[int, Dict[str, Any]]]:
    """The records of the file with the lines they begin at; what is no object goes to ``bad``.

    Raises:
        BadInput: the file cannot be read, breaks off, or is no JSON somewhere.
    """
    yield from _objects(_Text(source.path, _decoded(source), Asked.by(source), bad))


def first_objects(text: str, most: int, asked: Asked) -> List[Dict[str, Any]]:
    """The first objects of a file of documents, as far as its beginning ``text`` has them whole.

    Args:
        text: of the file.
        most: how many are looked for.
        asked: what the settings ask for.
    """
    # Where it is cut off, whoever reads the whole file says what is wrong.
    return whole_objects(Path("the beginning"), text, most, asked)[0]


def whole_objects(
    path: Path, text: str, most: int, asked: Asked
) -> Tuple[List[Dict[str, Any]], Optional[BadInput]]:
    """(the first objects of a file of documents, what is wrong behind them or ``None``).

    Args:
        path: of the file, for the sentence.
        text: of the file.
        most: how many are looked for.
        asked: what the settings ask for.
    """
    found: List[Dict[str, Any]] = []
    try:
        for _, value in _objects(_Text(path, [text], asked, BadLines())):
            found.append(value)
            if len(found) >= most:
                break
    except BadInput as error:
        return found, error
    return found, None


def _objects(text: _Text) -> Iterator[Tuple[int, Dict[str, Any]]]:
    bad = text.bad
    in_array = False
    while True:
        text.skip(_BETWEEN if in_array else _SPACE)
        character = text.peek()
        if not character:
            if in_array:
                raise text.broken("not closed")
            break
        if in_array and character == "]":
            text.move(1)
            in_array = text.further_records()
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
        bad.lines += 1  # a line may hold many records, which are then what is counted
        if isinstance(value, dict):
            yield line, value
        else:
            reason = f"is a JSON {type(value).__name__}, expected an object"
            bad.add(text.path, line, reason, str(value)[:300])
    bad.read_to = text.last_line


class _Text:
    """The text of a file, of which a record's length is in memory."""

    def __init__(self, path: Path, chunks: Iterable[str], asked: Asked, bad: BadLines) -> None:
        self.path = path
        #: Gets what is no record.
        self.bad = bad
        self._chunks = iter(chunks)
        self._asked = asked
        self._buffer = ""
        self._at = 0
        self._ended = False
        self._wrapped = 0
        #: Whether this is not the first object of the file.
        self._several = False
        self._names: List[str] = []
        #: The line that the text is at.
        self.line = 1

    @property
    def last_line(self) -> int:
        """At the end of the text: the number of its last line."""
        return self.line - self._buffer.endswith("\n")

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
        several, self._several = self._several, True
        found = wraps(self._buffer, self._asked, several or self._is_followed(), self._at)
        if found is None:
            return False
        self._wrapped, self._names = found.depth, [*found.before]
        self.move(found.at - self._at)
        return True

    def _is_followed(self) -> bool:
        """Whether another object is seen behind the one that begins here."""
        try:
            _, end = _DECODER.raw_decode(self._buffer, self._at)
        except (ValueError, RecursionError):
            return False
        return _BETWEEN.match(self._buffer, end).end() < len(self._buffer)  # type: ignore[union-attr]

    def further_records(self) -> bool:
        """Move past what follows the records of a wrapper, if they had one, up to its next list of records.

        Returns:
            Whether there is such a list; its first record, or its end, is next then.
        """
        while self._wrapped:
            self.skip(_BETWEEN)
            if self.peek() == "}":
                self.move(1)
                self._wrapped -= 1
                continue
            if self.peek() != '"':
                raise self.broken("not closed")
            name, inside = self.value(), self._wrapped == 2
            self.skip(_SPACE)
            if self.peek() != ":":
                raise self.broken("not closed")
            self.move(1)
            self.skip(_SPACE)
            if self.peek() == "[" and (name == "hits" if inside else name in RECORDS):
                self.move(1)
                self.skip(_SPACE)
                if self.peek() == "]" or self._to_object():
                    return True
            elif self.peek() == "{" and name == "hits" and not inside:
                self.move(1)
                self._wrapped = 2
                continue
            else:
                self.value()
            if not inside:
                self._names.append(name)
        names, self._names = self._names, []
        if self._asked.all_in(names):
            self.bad.add(self.path, self.line, "wraps records, and is one itself: only those in it were read")
        return False

    def _to_object(self) -> bool:
        """Move to the first object of a list; false: it has none, and this moves past its end."""
        while self.peek() != "{":
            if self.peek() == "]":
                self.move(1)
                return False
            if not self.peek():
                raise self.broken("not closed")
            self.value()
            self.skip(_BETWEEN)
        return True

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
                        f"{self.path}: line {self.line}: is nested too deeply to be a log"
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
            f"{self.path}: line {self.line}: the JSON array is {what}; mend it or give JSON lines, "
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


def _decoded(source: Source) -> Iterator[str]:
    """The text of a file in pieces; bytes that are no text come as halves of characters."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    line = 0

    def lines_read() -> int:
        return line

    for number, data in enumerate(chunks(source.path, source.encoding, _CHUNK, lines_read)):
        line += data.count(b"\n")
        text = decoder.decode(data if number else without_mark(source.path, data))
        if text:
            yield text
    text = decoder.decode(b"", final=True)
    if text:
        yield text
