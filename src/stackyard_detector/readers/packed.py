"""Packed files -> streams of the bytes within: gzip, xz, lzma, bzip2, Zstandard, and a zip of one file.

Which it is, the first bytes say, else the suffix. Standard library only; Zstandard is part of it from Python 3.14
on, before that the package zstandard is used where it is installed.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Callable, Dict, Tuple, Type

from stackyard_task.channel import BadInput

#: First bytes -> the suffix that files of this kind usually have.
_BEGINNINGS = (
    (re.compile(rb"\x1f\x8b"), ".gz"),
    (re.compile(rb"\xfd7zXZ\x00"), ".xz"),
    (re.compile(rb"\x5d\x00\x00"), ".lzma"),
    (re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), ".bz2"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), ".zst"),
    (re.compile(rb"PK\x03\x04|PK\x05\x06"), ".zip"),
)
_BEGINNING_BYTES = 10


def unpacked(path: Path, raw: IO[bytes]) -> IO[bytes]:
    """What ``raw``, the opened file ``path``, holds: unpacked where it is packed, else ``raw`` itself.

    Raises:
        BadInput: a zip of no file or several, or locked; Zstandard where nothing can unpack it.
    """
    try:
        beginning = raw.peek(_BEGINNING_BYTES)[:_BEGINNING_BYTES]  # type: ignore[attr-defined]
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
    kind = next((suffix for first, suffix in _BEGINNINGS if first.match(beginning)), path.suffix.lower())
    if kind not in _UNPACKERS:
        return raw
    return io.BufferedReader(_Unpacked(_UNPACKERS[kind](path, raw), raw), 1 << 16)


def broken() -> Tuple[Type[BaseException], ...]:
    """The errors of data that cannot be unpacked."""
    return (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, *_zstd_errors)


def _zip(path: Path, raw: IO[bytes]) -> Any:
    try:
        archive = zipfile.ZipFile(raw)
        files = [member for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise BadInput(f"{path}: is no zip file that can be read ({error})") from error
    if len(files) != 1:
        names = ", ".join(repr(member.filename) for member in files[:3])[:200] or "none"
        raise BadInput(f"{path}: holds {len(files)} files ({names}), expected one; unpack it")
    try:
        return archive.open(files[0])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise BadInput(f"{path}: the file in it cannot be read ({error})") from error


def _zst(path: Path, raw: IO[bytes]) -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]

        _know(zstd.ZstdError)
        return zstd.ZstdFile(raw)
    except ImportError:
        pass
    try:
        import zstandard  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise BadInput(
            f"{path}: is packed with Zstandard, which this Python cannot unpack; add the package zstandard to "
            "the stack, or unpack the file"
        ) from error
    _know(zstandard.ZstdError)
    return _Zstandard(raw, zstandard.ZstdDecompressor())


class _Zstandard:
    """Frames of Zstandard one after the other; unlike the package's own reader it tells a file that is cut off."""

    #: So little is unpacked at once: it can become 32,000 times as much.
    _PIECE = 512

    def __init__(self, raw: IO[bytes], decompressor: Any) -> None:
        self._raw = raw
        self._new_frame = decompressor.decompressobj
        self._frame: Any = None
        self._packed = b""
        self._ready = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end.

        Raises:
            EOFError: the last frame is not complete.
        """
        while self._at >= len(self._ready):
            piece = self._packed or self._raw.read(self._PIECE)
            self._packed = b""
            if not piece:
                if self._frame is not None:
                    raise EOFError("the file ended before the end of its last frame")
                return b""
            if self._frame is None:
                self._frame = self._new_frame()
            self._ready, self._at = self._frame.decompress(piece), 0
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        found = self._ready[self._at : self._at + size]
        self._at += len(found)
        return found

    def close(self) -> None:
        """Forget what was unpacked."""
        self._ready = self._packed = b""


_UNPACKERS: Dict[str, Callable[[Path, IO[bytes]], Any]] = {
    ".gz": lambda path, raw: gzip.GzipFile(fileobj=raw),
    ".xz": lambda path, raw: lzma.LZMAFile(raw),  # noqa: SIM115 - the stream closes it
    ".lzma": lambda path, raw: lzma.LZMAFile(raw),  # noqa: SIM115 - it sees which of the two it is
    ".bz2": lambda path, raw: bz2.BZ2File(raw),
    ".zst": _zst,
    ".zip": _zip,
}
_zstd_errors: Tuple[Type[BaseException], ...] = ()


def _know(error: Type[BaseException]) -> None:
    global _zstd_errors
    _zstd_errors = (error,)


class _Unpacked(io.RawIOBase):
    """An unpacker that closes the file below it, which unpackers leave open."""

    def __init__(self, unpacker: Any, below: IO[bytes]) -> None:
        self._unpacker = unpacker
        self._below = below

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        try:
            data = self._unpacker.read(len(buffer))
        except (OSError, RuntimeError, ValueError) as error:  # bzip2 and zip have no error of their own
            if getattr(error, "errno", None) is not None or isinstance(error, broken()):
                raise
            raise EOFError(str(error)) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._unpacker.close()
            self._below.close()
        super().close()
