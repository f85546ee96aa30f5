"""JSON lines as batches of the wanted fields; other JSON files go through ``json_documents``.

orjson parses where this Python has it, ``json`` where not, with the same result: what orjson refuses or may
have read otherwise (whole numbers beyond 64 bits) is read again by ``json``. A line may begin with a header,
as syslog writes one. Standard library at import.
"""

from __future__ import annotations

import json
import secrets
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from stackyard_detector.readers.batches import BATCH_ROWS, BadLines, Batch, Kept
from stackyard_detector.readers.blocks import Block, blocks
from stackyard_detector.readers.collecting import uncollected
from stackyard_detector.readers.fields import TEXTS, column, doubtful, field_text, texts
from stackyard_detector.readers.files import not_text
from stackyard_detector.readers.json_documents import document_objects
from stackyard_detector.readers.json_shapes import Asked, beginning, holds_documents
from stackyard_detector.readers.source import Source

#: Places where a header may end that are tried.
_TRIED = 4


def json_batches(source: Source, columns: Sequence[str], bad: BadLines) -> Iterator[Batch]:
    """The objects of ``source`` as columns of texts.

    Raises:
        BadInput: the file cannot be read, or its JSON is no JSON lines and breaks off or is broken.
    """
    kept = Kept(len(columns))
    if holds_documents(*beginning(source.path, source.encoding), Asked.by(source)):
        lines: List[int] = []
        values: List[Dict[str, Any]] = []
        for line, value in document_objects(source, bad):
            lines.append(line)
            values.append(value)
            if len(lines) >= BATCH_ROWS:
                kept.add(*_checked(source, lines, [_column_texts(values, c) for c in columns], bad))
                lines, values = [], []
                yield kept.taken()
        if lines:
            kept.add(*_checked(source, lines, [_column_texts(values, c) for c in columns], bad))
        yield kept.taken()
        return
    parse = _Lines(source, bad)
    for block in blocks(source.path, bad, source.encoding):
        with uncollected():
            kept.add(*parse.columns(block, columns))
        bad.read_to = block.last
        if kept.enough:
            yield kept.taken()
    yield kept.taken()


def _column_texts(values: Sequence[Dict[str, Any]], name: str) -> List[Optional[str]]:
    return texts(column(values, name))


def _orjson_loads() -> Optional[Callable[[bytes], Any]]:
    try:
        import orjson
    except ImportError:
        return None
    return orjson.loads


class _Lines:
    """Parses blocks of lines."""

    def __init__(self, source: Source, bad: BadLines) -> None:
        self._source, self._bad = source, bad
        self._loads = _orjson_loads()
        # Between the lines of a block that is parsed as one array. Nobody can write it into a line: a line
        # that is no JSON by itself would have to, to pass.
        self._between = secrets.randbits(62)
        self._joint = b",%d," % self._between

    def columns(
        self, block: Block, columns: Sequence[str]
    ) -> Tuple[Sequence[int], List[List[Optional[str]]]]:
        """(lines, columns of texts) of the objects of ``block``."""
        values = self._at_once(block)
        if values is None:
            lines, values, by_json = self._one_by_one(block)
            found = [_column_texts(values, c) for c in columns]
            if self._loads is not None:
                found = self._read_again(block, lines, values, columns, found)
            return _checked(self._source, lines, found, self._bad) if by_json else (lines, found)
        found = [column(values, c) for c in columns]
        others = [at for at, items in enumerate(found) if not set(map(type, items)) <= TEXTS]
        doubts = {at for which in others for at in doubtful(found[which])}
        for which in others:
            found[which] = texts(found[which])
        rows = range(block.number, block.number + block.line_count)
        if not doubts:
            return rows, found
        return rows, self._again(block.lines(), doubts, columns, found)

    def _at_once(self, block: Block) -> Optional[List[Dict[str, Any]]]:
        """The objects of all lines; ``None``: a line is no object, or blank."""
        if self._loads is None:
            return None
        data = block.data.replace(b"\n", self._joint)
        block.counted((len(data) - len(block.data)) // (len(self._joint) - 1) + 1)
        try:
            values = self._loads(b"".join((b"[", data, b"]")))
        except ValueError:
            return None
        objects: List[Dict[str, Any]] = values[::2]
        if len(values) != 2 * block.line_count - 1 or set(map(type, objects)) != {dict}:
            return None
        return objects if values[1::2] == [self._between] * (block.line_count - 1) else None

    def _one_by_one(self, block: Block) -> Tuple[List[int], List[Dict[str, Any]], bool]:
        """(lines, objects, whether ``json`` read some of them)."""
        lines: List[int] = []
        values: List[Dict[str, Any]] = []
        by_json = False
        for number, line in enumerate(block.lines(), block.number):
            value = None
            if self._loads is not None:
                try:
                    value = self._loads(line)
                except ValueError:
                    value = self._after_header(line)
            if value is None:
                value = self._by_json(number, line)
                by_json = True
                if value is _NOTHING:
                    continue
            if not isinstance(value, dict):
                reason = f"is a JSON {type(value).__name__}, expected an object"
                self._bad.add(self._source.path, number, reason, str(value)[:300])
                continue
            lines.append(number)
            values.append(value)
        return lines, values, by_json

    def _after_header(self, line: bytes) -> Optional[Dict[str, Any]]:
        """The object behind a header, where that is what it looks like; ``None``: ``json`` is to say."""
        at = line.find(b"{")
        if self._loads is None or at <= 0 or not line[:at].isascii() or not line[:at].strip():
            return None
        try:
            value = self._loads(line[at:])
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def _by_json(self, number: int, line: bytes) -> Any:
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            self._bad.add(self._source.path, number, not_text(error, self._source.encoding), line)
            return _NOTHING
        if not text:
            return _NOTHING
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            value = _after_header(text)
            if value is None:
                self._bad.add(self._source.path, number, f"not JSON ({error})", text)
                return _NOTHING
            return value

    def _read_again(
        self,
        block: Block,
        lines: List[int],
        values: List[Dict[str, Any]],
        columns: Sequence[str],
        found: List[List[Optional[str]]],
    ) -> List[List[Optional[str]]]:
        doubts = {at for c in columns for at in doubtful(column(values, c))}
        if not doubts:
            return found
        all_lines = block.lines()
        return self._again([all_lines[n - block.number] for n in lines], doubts, columns, found)

    def _again(
        self, lines: List[bytes], doubts: Any, columns: Sequence[str], found: List[List[Optional[str]]]
    ) -> List[List[Optional[str]]]:
        """``found`` with the rows at ``doubts`` as ``json`` reads them."""
        for at in doubts:
            text = lines[at].decode("utf-8")
            try:
                value = json.loads(text)
            except ValueError:
                value = _after_header(text)
            for items, name in zip(found, columns):
                items[at] = field_text(value, name)
        return found


_NOTHING = object()


def _after_header(text: str) -> Optional[Dict[str, Any]]:
    """The object that ends a line which begins with something else; ``None``: there is none."""
    at = text.find("{")
    if at <= 0 or not text[:at].strip():
        return None
    for _ in range(_TRIED):
        try:
            value = json.loads(text[at:])
        except (ValueError, RecursionError):
            at = text.find("{", at + 1)
            if at < 0:
                return None
            continue
        return value if isinstance(value, dict) else None
    return None


def _checked(
    source: Source, lines: List[int], columns: List[List[Optional[str]]], bad: BadLines
) -> Tuple[Sequence[int], List[List[Optional[str]]]]:
    r"""The rows whose texts can be written as UTF-8: ``json`` lets "\\ud800" through, half of a character."""
    halves = {
        at
        for items in columns
        if not "".join(filter(None, items)).isascii()
        for at, text in enumerate(items)
        if text and not text.isascii() and not _writable(text)
    }
    if not halves:
        return lines, columns
    for at in sorted(halves):
        bad.add(source.path, lines[at], "holds half a character (a lone surrogate), which is no text")
    good = [at for at in range(len(lines)) if at not in halves]
    return [lines[at] for at in good], [[items[at] for at in good] for items in columns]


def _writable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
