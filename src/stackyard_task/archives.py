"""The zip that a folder of code travels in, looked at before it is believed: no more than a manifest, whoever made it.

Standard library only.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, Dict

from stackyard_task import manifest

#: Greatest archive: all that may travel, unpacked, and the names around it.
_ARCHIVE_BYTES = manifest.MOST_BYTES + (32 << 20)
_END, _END64, _DIRECTORY_ENTRY = b"PK\5\6", b"PK\6\7", 46
#: When what travelled was last changed, as its files say: none of it is taken for something that the run wrote. Zip
#: archives name no earlier day, in any time zone.
UNPACKED_AT = 315_619_200  # 1980-01-02, in seconds since 1970
#: What reading one that is damaged, or made to harm, may raise.
BAD = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
)


def opened(archive: Path) -> BinaryIO:
    """The archive, its list of entries seen to be of a size that can be read.

    Raises:
        OSError, ValueError: it cannot be read, or is no archive of ours.
    """
    descriptor = os.open(str(archive), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    stream = os.fdopen(descriptor, "rb")
    try:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            raise ValueError("it is no regular file")
        if seen.st_size > _ARCHIVE_BYTES:
            raise ValueError(f"it has more than {_ARCHIVE_BYTES >> 20} MiB")
        stream.seek(max(0, seen.st_size - 42))
        tail = stream.read().rjust(42, b"\0")
        # ours has no comment at its end and needs no larger numbers: what says otherwise is not read
        if tail[20:24] != _END or tail[:4] == _END64 or tail[40:] != b"\0\0":
            raise ValueError("its end is not that of a whole zip")
        entries, size = struct.unpack("<HL", tail[30:36])
        if entries > manifest.MOST_FILES or size > manifest.MOST_FILES * (
            _DIRECTORY_ENTRY + manifest.NAME_BYTES
        ):
            raise ValueError(f"it has more than {manifest.MOST_FILES} files")
        stream.seek(0)
        return stream
    except BaseException:
        stream.close()
        raise


def entries(archive: zipfile.ZipFile) -> Dict[str, zipfile.ZipInfo]:
    """Name -> entry, all of them such as may be unpacked together.

    Raises:
        ValueError: one may not.
    """
    found: Dict[str, zipfile.ZipInfo] = {}
    size = 0
    for entry in archive.infolist():
        name, mode = entry.filename, entry.external_attr >> 16
        why = manifest.why_not(name)
        if why is not None:
            raise ValueError(f"{name[:200]!r} {why}")
        if name in found:
            raise ValueError(f"{name} is there twice")
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            raise ValueError(f"{name} is neither a file nor a link")
        if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} is encrypted or packed in another way")
        size += entry.file_size
        most = manifest.NAME_BYTES * 4 if stat.S_ISLNK(mode) else manifest.MOST_FILE_BYTES
        if entry.file_size > most or size > manifest.MOST_BYTES:
            raise ValueError(f"with {name} it holds more than may travel")
        found[name] = entry
    if len(found) > manifest.MOST_FILES:
        raise ValueError(f"it has more than {manifest.MOST_FILES} files")
    within = manifest.folders_of(found) & set(found)
    if within:
        raise ValueError(f"{min(within)} is a file and a folder")
    return found
