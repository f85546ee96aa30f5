"""Disk space that environments take, where files are shared between them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def size_bytes(folder: Path, only_here: bool = False) -> int:
    """Disk space a folder takes; a file with several names counts once.

    Args:
        folder: the folder.
        only_here: without files that have a name elsewhere too: what removing the folder gives back.
    """
    return sizes(folder)[1 if only_here else 0]


def sizes(folder: Path) -> tuple[int, int]:
    """(disk space a folder takes, that of the files which have no name elsewhere), both in bytes."""
    files: dict[tuple[int, int], tuple[os.stat_result, int]] = {}
    for parent, _folders, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # removed while we look
                status = os.lstat(os.path.join(parent, name))
                key = (status.st_dev, status.st_ino)
                files[key] = (status, files[key][1] + 1 if key in files else 1)
    every = sum(status.st_blocks for status, _names in files.values())
    here = sum(status.st_blocks for status, names in files.values() if status.st_nlink <= names)
    return every * 512, here * 512
