"""Files as a stream of decoded, numbered lines: plain, .gz or .xz, never whole in memory.

What is said here in one sentence each: a file that is missing, empty, not UTF-8 at all, or cut off.
Standard library only.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import lzma
import zlib
from pathlib import Path
from typing import IO, Iterator, Tuple, Union

from stackyard_detector.readers.quarantine import Quarantine
from stackyard_task.channel import BadInput

#: A line longer than this is corrupt: no log has one, and it would fill the memory.
LINE_BYTES = 1 << 20

_BROKEN = (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error)


def opened(path: Path) -> IO[bytes]:
    """``path`` as a stream of uncompressed bytes; .gz and .xz by suffix.

    Raises:
        BadInput: missing, a folder, or not readable.
    """
    try:
        if path.is_dir():
            raise BadInput(f"{path}: is a folder, expected a file")
        raw = path.open("rb")
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file; check the path of the source") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
    if path.suffix == ".gz":
        return io.BufferedReader(_Decompressed(gzip.GzipFile(fileobj=raw), raw), 1 << 16)
    if path.suffix == ".xz":
        return io.BufferedReader(_Decompressed(lzma.LZMAFile(raw), raw), 1 << 16)
    return raw


def raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of ``path`` as bytes, each with its line end; a longer line comes in pieces of LINE_BYTES.

    Raises:
        BadInput: the file cannot be read, or its compressed data is broken or cut off.
    """
    with contextlib.closing(opened(path)) as stream:
        count = 0
        try:
            for line in iter(functools.partial(stream.readline, LINE_BYTES), b""):
                count += 1
                yield line
        except _BROKEN as error:
            raise BadInput(
                f"{path}: the compressed data is cut off or broken after line {count} ({error}); get it again"
            ) from error
        except OSError as error:
            raise BadInput(f"{path}: cannot be read past line {count} ({error})") from error


def numbered_lines(path: Path, quarantine: Quarantine) -> Iterator[Tuple[int, str]]:
    """The readable lines of ``path`` with their numbers from 1, without line ends, blank ones left out.

    Lines that are not UTF-8 or longer than LINE_BYTES go to ``quarantine``.

    Raises:
        BadInput: missing, empty, UTF-16, or broken compressed data.
        QuarantineLimit: more corrupt lines than the user allows.
    """
    number = 0
    in_long_line = False
    for line in raw_lines(path):
        if in_long_line:
            in_long_line = not line.endswith(b"\n")
            continue
        number += 1
        quarantine.lines += 1
        if number == 1:
            line = _without_mark(path, line)
        if len(line) >= LINE_BYTES and not line.endswith(b"\n"):
            in_long_line = True
            quarantine.add(path, number, f"longer than {LINE_BYTES} bytes", line[:800])
            continue
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            quarantine.add(path, number, f"not UTF-8 at byte {error.start}", line)
            continue
        text = text.rstrip("\r\n")
        if text:
            yield number, text
    if number == 0:
        raise BadInput(f"{path}: is empty, expected log lines or sessions")


def _without_mark(path: Path, line: bytes) -> bytes:
    """The first line without a UTF-8 byte order mark."""
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInput(
            f"{path}: line 1: is UTF-16, expected UTF-8; convert it with: iconv -f UTF-16 -t UTF-8"
        )
    return line[3:] if line.startswith(b"\xef\xbb\xbf") else line


class _Decompressed(io.RawIOBase):
    """A decompressor that closes the file below it; GzipFile and LZMAFile leave a given file open."""

    def __init__(self, decompressor: Union[gzip.GzipFile, lzma.LZMAFile], below: IO[bytes]) -> None:
        self._decompressor = decompressor
        self._below = below

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        data = self._decompressor.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._decompressor.close()
            self._below.close()
        super().close()
