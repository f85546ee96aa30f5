"""CSV files as batches of the wanted columns: below a header, or with columns named by the source.

Blocks without a quote are split as a whole; where there are quotes, ``csv`` reads. Standard library at
import; NumPy is imported where a file is read.
"""

from __future__ import annotations

import csv
import secrets
from typing import Iterator, List, Optional, Sequence, Tuple

from stackyard_detector.readers.batches import BadLines, Batch, Kept
from stackyard_detector.readers.blocks import Block, blocks
from stackyard_detector.readers.files import LINE_BYTES, not_text
from stackyard_detector.readers.source import WHITE_SPACE, Source
from stackyard_task.channel import BadInput

#: csv's own limit: what an unclosed quote can swallow at most. A session that is one field may be longer.
FIELD_CHARACTERS = 1 << 17
Lines = List[Tuple[int, str]]
#: (line of each row, a list per wanted column)
Columns = Tuple[Sequence[int], List[List[Optional[str]]]]


def csv_batches(source: Source, columns: Sequence[str], bad: BadLines) -> Iterator[Batch]:
    """The rows of ``source`` as columns; rows of another width than the header's go to ``bad``.

    Raises:
        BadInput: the file cannot be read, or its header lacks a column (both named).
    """
    table: Optional[_Table] = None
    kept = Kept(len(columns))
    if source.columns:
        table = _Table(source, list(source.columns), columns, bad)
    for block in blocks(source.path, bad, source.encoding):
        if table is None:
            lines = _decoded(source, block, bad)
            if not lines:
                continue
            bad.read_to = lines[0][0]
            header, used = _header(source, lines, columns)
            table = _Table(source, header, columns, bad)
            kept.add(*table.rows_of_lines(lines[used:]))
        else:
            kept.add(*table.rows(block))
        bad.read_to = block.last
        if kept.enough:
            yield kept.taken()
    if table is None:
        raise BadInput(
            f"{source.path}: line 1: has no readable header; expected columns {', '.join(columns)}"
        )
    kept.add(*table.rest())
    yield kept.taken()


def shortened(text: str) -> str:
    """``text`` on one line and in a length that a sentence can carry."""
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:300] + "..."


def _decoded(source: Source, block: Block, bad: BadLines) -> Lines:
    """The readable lines of a block, blank ones left out."""
    lines: Lines = []
    for number, line in enumerate(block.lines(), block.number):
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            bad.add(source.path, number, not_text(error, source.encoding), line)
            continue
        if text:
            lines.append((number, text))
    return lines


def _header(source: Source, lines: Lines, columns: Sequence[str]) -> Tuple[List[str], int]:
    """(the names of the columns, how many lines they take)."""
    if len(source.delimiter) > 1:
        return _split(lines[0][1], source.delimiter), 1
    used = [0]

    def texts() -> Iterator[str]:
        for _, text in lines:
            used[0] += 1
            yield text + "\n"

    csv.field_size_limit(_field_limit(source))
    try:
        return [name.strip() for name in next(csv.reader(texts(), delimiter=source.delimiter))], used[0]
    except StopIteration:
        raise BadInput(
            f"{source.path}: line 1: has no readable header; expected columns {', '.join(columns)}"
        ) from None
    except csv.Error as error:
        raise BadInput(f"{source.path}: line 1: the header is not CSV ({error})") from error


def _field_limit(source: Source) -> int:
    return LINE_BYTES if source.format == "csv-sequences" else FIELD_CHARACTERS


def _split(text: str, delimiter: str) -> List[str]:
    return text.split() if delimiter == WHITE_SPACE else text.split(delimiter)


class _Table:
    """Turns blocks into the wanted columns."""

    def __init__(self, source: Source, header: List[str], columns: Sequence[str], bad: BadLines) -> None:
        missing = [c for c in columns if c not in header]
        if missing:
            where = "columns" if source.columns else "line 1"
            raise BadInput(
                f"{source.path}: {where}: has no column {', '.join(repr(c) for c in missing)}; "
                f"it has: {shortened(', '.join(header))}"
            )
        self._source, self._bad = source, bad
        self._width = len(header)
        self._indexes = [header.index(c) for c in columns]
        self._limit = _field_limit(source)
        self._delimiter = source.delimiter
        self._byte = ord(source.delimiter) if len(source.delimiter) == 1 else 0
        #: A line that no file has: where csv gives it back as a row, the record before it was complete.
        self._end = secrets.token_hex(16)
        #: Lines of a record that goes on in the next block.
        self._open: Lines = []

    def rows(self, block: Block) -> Columns:
        """The rows of ``block``; a record that goes on in the next block is kept."""
        if not self._open:
            columns = self._split_at_once(block)
            if columns is not None:
                return range(block.number, block.number + block.line_count), columns
        return self.rows_of_lines(_decoded(self._source, block, self._bad))

    def rows_of_lines(self, lines: Lines) -> Columns:
        """The rows of ``lines``."""
        if len(self._delimiter) > 1:
            rows = [_split(text, self._delimiter) for _, text in lines]
            return self._columns([number for number, _ in lines], rows)
        return self._columns(*self._read(self._open + lines, at_end=False))

    def rest(self) -> Columns:
        """The rows of what is left at the end of the file."""
        if not self._open:
            return [], [[] for _ in self._indexes]
        return self._columns(*self._read(self._open, at_end=True))

    def _split_at_once(self, block: Block) -> Optional[List[List[Optional[str]]]]:
        """The columns of a block in which every line is a row of the right width without a quote, or ``None``."""
        data = block.data
        if not 0 < self._byte < 128 or self._width < 2 or b'"' in data or b"\0" in data:
            return None
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
            data = data[:-1] if data.endswith(b"\r") else data
            if b"\r" in data:
                return None
        import numpy as np

        width, count = self._width, block.line_count
        data += b"\n"
        letters = np.frombuffer(data, dtype=np.uint8)
        ends = np.flatnonzero((letters == self._byte) | (letters == 10))
        if len(ends) != count * width:
            return None
        table = ends.reshape(count, width)
        line_ends = table[:, -1]
        if not bool((letters[line_ends] == 10).all()):
            return None
        if (
            len(data) > self._limit
            and int((line_ends[1:] - line_ends[:-1]).max(initial=line_ends[0])) >= self._limit
        ):
            return None
        text = None
        if data.isascii():
            text = data.decode("ascii")
        else:
            try:
                data.decode("utf-8")
            except UnicodeDecodeError:
                return None
        columns: List[List[Optional[str]]] = []
        for index in self._indexes:
            if index:
                starts = (table[:, index - 1] + 1).tolist()
            else:
                starts = [0, *(line_ends[:-1] + 1).tolist()]
            fields = zip(starts, table[:, index].tolist())
            if text is not None:
                columns.append([text[a:b] for a, b in fields])
            else:
                columns.append([data[a:b].decode("utf-8") for a, b in fields])
        return columns

    def _read(self, lines: Lines, at_end: bool) -> Tuple[List[int], List[List[str]]]:
        """(line numbers, rows) as csv reads them; what is left of a record at the end is kept."""
        csv.field_size_limit(self._limit)
        self._open = []
        if not at_end:
            try:
                rows = list(csv.reader(self._fed(lines, at_end, [0]), delimiter=self._delimiter))
            except csv.Error:
                rows = []
            if len(rows) == len(lines) + 1 and rows[-1] == [self._end]:
                rows.pop()  # every line is a record
                return [number for number, _ in lines], rows
        return self._read_slowly(lines, at_end)

    def _fed(self, lines: Lines, at_end: bool, at: List[int]) -> Iterator[str]:
        for at[0], (_, text) in enumerate(lines):
            yield text + "\n"
        if not at_end:
            at[0] = len(lines)
            yield self._end + "\n"

    def _read_slowly(self, lines: Lines, at_end: bool) -> Tuple[List[int], List[List[str]]]:
        numbers: List[int] = []
        rows: List[List[str]] = []
        at = [0]
        done = 0
        reader = csv.reader(self._fed(lines, at_end, at), delimiter=self._delimiter)
        while True:
            try:
                for row in reader:
                    if at[0] == len(lines):
                        if row != [self._end]:
                            self._open = lines[done:]
                        return numbers, rows
                    numbers.append(lines[at[0]][0])
                    rows.append(row)
                    done = at[0] + 1
                return numbers, rows
            except csv.Error as error:
                if at[0] == len(lines):
                    self._open = lines[done:]
                    return numbers, rows
                self._bad.add(self._source.path, lines[at[0]][0], f"not CSV ({error})")
                done = at[0] + 1

    def _columns(self, numbers: List[int], rows: List[List[str]]) -> Columns:
        width = self._width
        if set(map(len, rows)) - {width}:
            fitting: List[int] = []
            for at, row in enumerate(rows):
                if len(row) == width:
                    fitting.append(at)
                else:
                    joint = " " if self._delimiter == WHITE_SPACE else self._delimiter
                    reason = f"has {len(row)} columns, expected {width}"
                    self._bad.add(self._source.path, numbers[at], reason, joint.join(row))
            numbers, rows = [numbers[at] for at in fitting], [rows[at] for at in fitting]
        return numbers, [[row[index] for row in rows] for index in self._indexes]
