"""Files as a stream of decoded, numbered lines: plain or compressed, never whole in memory.

What is said here in one sentence each: a file that is missing, empty, not in its encoding at all, or cut off.
Standard library only (``packed`` says where more is needed).
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import io
from pathlib import Path
from typing import IO, Callable, Iterator, Tuple

from stackyard_detector.readers import packed
from stackyard_detector.readers.quarantine import Quarantine
from stackyard_task.channel import BadInput

#: A line longer than this is corrupt: no log has one, and it would fill the memory.
LINE_BYTES = 1 << 20
UTF_8 = "utf-8"
_CHUNK = 1 << 16


def opened(path: Path, encoding: str = UTF_8) -> IO[bytes]:
    """``path`` as a stream of bytes, unpacked, and as UTF-8 whatever ``encoding`` it has.

    Of another encoding, bytes that are no character of it come as bytes that are no UTF-8, on the same line.

    Raises:
        BadInput: missing, a folder, not readable, or packed in a way that this Python cannot unpack.
    """
    try:
        if path.is_dir():
            raise BadInput(f"{path}: is a folder, expected a file")
        if path.exists() and not path.is_file():
            raise BadInput(
                f"{path}: is no regular file, but a pipe, a socket or a device; copy it to a file first"
            )
        raw = path.open("rb")
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file; check the path of the source") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise BadInput(f"{str(path)!r}: is no path ({error})") from error
    try:
        stream = packed.unpacked(path, raw)
    except BaseException:
        raw.close()
        raise
    if encoding == UTF_8:
        return stream
    return io.BufferedReader(_Recoded(stream, encoding), _CHUNK)


def raw_lines(path: Path, encoding: str = UTF_8) -> Iterator[bytes]:
    """The lines of ``path`` as UTF-8 with their line ends; a longer line comes in pieces of LINE_BYTES.

    Raises:
        BadInput: the file cannot be read, or its compressed data is broken or cut off.
    """
    count = 0
    with contextlib.closing(opened(path, encoding)) as stream, _read_faults(path, lambda: count):
        for line in iter(functools.partial(stream.readline, LINE_BYTES), b""):
            count += 1
            yield line


def chunks(path: Path, encoding: str, size: int, line: Callable[[], int]) -> Iterator[bytes]:
    """The bytes of ``path`` as UTF-8 in pieces of at most ``size``, as they come.

    Args:
        path: the file.
        encoding: what it has.
        size: bytes.
        line: says how many lines were read, for the sentence of a fault.

    Raises:
        BadInput: the file cannot be read, or its compressed data is broken or cut off.
    """
    with contextlib.closing(opened(path, encoding)) as stream, _read_faults(path, line):
        while True:
            data = stream.read1(size)  # type: ignore[attr-defined]
            if not data:
                return
            yield data


@contextlib.contextmanager
def _read_faults(path: Path, line: Callable[[], int]) -> Iterator[None]:
    """What is said where a file cannot be read on after so many lines."""
    try:
        yield
    except packed.broken() as error:
        raise BadInput(
            f"{path}: the compressed data is cut off or broken after line {line()} ({error}); get it again"
        ) from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read past line {line()} ({error})") from error
    except UnicodeError as error:
        raise BadInput(
            f"{path}: has no mark that says which UTF-16 it is; name utf-16-le or utf-16-be"
        ) from error


def numbered_lines(path: Path, quarantine: Quarantine, encoding: str = UTF_8) -> Iterator[Tuple[int, str]]:
    """The readable lines of ``path`` with their numbers from 1, without line ends, blank ones left out.

    Lines that are not of the encoding or longer than LINE_BYTES go to ``quarantine``.

    Raises:
        BadInput: missing, empty, UTF-16 without being called so, or broken compressed data.
        QuarantineLimit: more corrupt lines than the user allows.
    """
    number = 0
    in_long_line = False
    for line in raw_lines(path, encoding):
        if in_long_line:
            in_long_line = not line.endswith(b"\n")
            continue
        number += 1
        quarantine.lines += 1
        if number == 1:
            line = without_mark(path, line)
        if len(line) >= LINE_BYTES and not line.endswith(b"\n"):
            in_long_line = True
            quarantine.add(path, number, f"longer than {LINE_BYTES} bytes", line[:800])
            continue
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            quarantine.add(path, number, not_text(error, encoding), line)
            continue
        text = text.rstrip("\r\n")
        if text:
            yield number, text
    if number == 0:
        raise BadInput(f"{path}: is empty, expected log lines or sessions")


def not_text(error: UnicodeDecodeError, encoding: str) -> str:
    """Why a line is corrupt that could not be decoded."""
    return f"not UTF-8 at byte {error.start}" if encoding == UTF_8 else f"not {encoding}"


def without_mark(path: Path, line: bytes) -> bytes:
    """The first line without a UTF-8 byte order mark."""
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInput(f"{path}: line 1: is UTF-16, expected UTF-8; set encoding = 'utf-16' in the source")
    return line[3:] if line.startswith(b"\xef\xbb\xbf") else line


class _Recoded(io.RawIOBase):
    """A stream of another encoding as UTF-8."""

    def __init__(self, below: IO[bytes], encoding: str) -> None:
        self._below = below
        # UTF-16 knows no "surrogateescape": halves of characters pass, and are no UTF-8 either.
        self._errors = "surrogatepass" if encoding.startswith("utf-16") else "surrogateescape"
        self._decoder = codecs.getincrementaldecoder(encoding)(self._errors)
        self._ready = b""
        self._at = 0
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        while self._at == len(self._ready) and not self._ended:
            chunk = self._below.read(_CHUNK)
            self._ended = not chunk
            try:
                text = self._decoder.decode(chunk, final=self._ended)
            except (
                UnicodeDecodeError
            ):  # half a character at the end, or where no mark says which UTF-16 it is
                self._ready, self._at, self._ended = b"\xff", 0, True
                continue
            self._ready, self._at = text.encode("utf-8", "surrogatepass"), 0
        piece = self._ready[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._below.close()
        super().close()
