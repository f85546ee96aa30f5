"""Files as bounded streams of bytes: plain, gzip or xz, seen by their first bytes. Standard library only."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import lzma
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Union

from stackyard_task.channel import BadInput

#: A file may hold so many bytes once it is unpacked.
MOST_BYTES = 8 << 30
_OPENERS: Dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7": lzma.open}
_CHUNK = 1 << 20


class _Bounded(io.RawIOBase):
    """A stream that refuses to go on beyond ``most`` bytes."""

    def __init__(self, inner: Any, path: Path, most: int) -> None:
        self._inner, self._path, self._most, self._read = inner, path, most, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        self._read += len(data)
        if self._read > self._most:
            raise BadInput(
                f"{self._path}: holds more than {self._most} bytes, which is the most that is read"
            )
        buffer[: len(data)] = data
        return len(data)


@contextlib.contextmanager
def opened(path: Path, most: int = MOST_BYTES) -> Iterator[io.BufferedReader]:
    """The unpacked content of ``path`` as a stream.

    Raises:
        BadInput: it cannot be read, is packed and broken, or holds more than ``most`` bytes.
    """
    try:
        with open(path, "rb") as plain:
            opener = _OPENERS.get(plain.read(2))
            plain.seek(0)
            inner: Any = plain if opener is None else opener(plain, "rb")
            yield io.BufferedReader(_Bounded(inner, path, most), _CHUNK)
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            raise BadInput(f"{path}: the packed data is broken ({error})") from error
        raise BadInput(f"{path}: cannot be read ({error.strerror or error})") from error
    except (EOFError, lzma.LZMAError, zlib.error) as error:
        raise BadInput(f"{path}: the packed data is broken ({error})") from error


def sha256(path: Union[str, Path]) -> str:
    """The SHA-256 of a file as it lies there, in hexadecimal.

    Raises:
        BadInput: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            for chunk in iter(lambda: stream.read(_CHUNK), b""):
                digest.update(chunk)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error})") from error
    return digest.hexdigest()
