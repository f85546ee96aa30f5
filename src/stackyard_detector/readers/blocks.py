"""Files as blocks of whole lines: some thousand lines at once, for the readers that work on columns.

What ``files.numbered_lines`` does line by line is done here by the block; the rules are the same: a byte
order mark is no part of the first line, and a line of more than LINE_BYTES is corrupt. Standard library at
import; NumPy is imported where a file is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, List

from stackyard_detector.readers.batches import BadLines
from stackyard_detector.readers.files import LINE_BYTES, UTF_8, chunks, without_mark
from stackyard_task.channel import BadInput

#: How much is read at once: large enough for work by columns, small enough for the processor's caches (twice as
#: much costs a fifth more time).
BLOCK_BYTES = 1 << 17


class Block:
    """Whole lines of a file.

    Attributes:
        number: of the first line, from 1.
        data: the lines, without the end of the last one.
    """

    __slots__ = ("_line_count", "data", "number")

    def __init__(self, number: int, data: bytes) -> None:
        self.number = number
        self.data = data
        self._line_count = 0

    @property
    def line_count(self) -> int:
        """How many lines that are, blank ones included."""
        if not self._line_count:
            import numpy as np

            # NumPy counts several times as fast as bytes.count.
            ends = np.count_nonzero(np.frombuffer(self.data, dtype=np.uint8) == 10)
            self._line_count = int(ends) + 1
        return self._line_count

    def counted(self, line_count: int) -> None:
        """Somebody knows how many lines that are."""
        self._line_count = line_count

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.number + self.line_count - 1

    def lines(self) -> List[bytes]:
        """The lines without their ends (a carriage return may be left)."""
        return self.data.split(b"\n")


def blocks(path: Path, bad: BadLines, encoding: str = UTF_8) -> Iterator[Block]:
    """The lines of ``path`` in blocks, as UTF-8 whatever ``encoding`` they have.

    Lines that are too long go to ``bad``. Whoever has read a block says so to ``bad.read_to``, if that is to be
    known before the next one.

    Raises:
        BadInput: missing, empty, UTF-16, or broken compressed data.
    """
    number = 1
    rest = b""
    skipping = False

    def lines_read() -> int:
        return number - 1

    for data in chunks(path, encoding, BLOCK_BYTES, lines_read):
        if skipping:
            end = data.find(b"\n")
            if end < 0:
                continue
            data, skipping = data[end + 1 :], False
            number += 1
            if not data:
                continue
        end = data.rfind(b"\n")
        if end >= 0:
            whole = b"".join((rest, memoryview(data)[:end]))
            rest = data[end + 1 :]
            if number == 1:
                whole = without_mark(path, whole)
            yield from _block(path, number, whole, bad)
            number = bad.read_to + 1
        else:
            rest += data
        if len(rest) >= LINE_BYTES:
            if number == 1:
                rest = without_mark(path, rest)
            bad.read_to = number
            bad.add(path, number, f"longer than {LINE_BYTES} bytes", rest[:800])
            rest, skipping = b"", True
    if rest:
        yield from _block(path, number, without_mark(path, rest) if number == 1 else rest, bad)
    elif number == 1 and not skipping:
        raise BadInput(f"{path}: is empty, expected log lines or sessions")


def _block(path: Path, number: int, data: bytes, bad: BadLines) -> Iterator[Block]:
    """``data`` as one block, or, where a line in it is too long, as the blocks beside that line."""
    if len(data) >= LINE_BYTES:
        lines = data.split(b"\n")
        if max(map(len, lines)) >= LINE_BYTES:
            for at, line in enumerate(lines, number):
                bad.read_to = at
                if len(line) >= LINE_BYTES:
                    bad.add(path, at, f"longer than {LINE_BYTES} bytes", line[:800])
                else:
                    yield Block(at, line)
            return
    block = Block(number, data)
    yield block
    bad.read_to = block.last
