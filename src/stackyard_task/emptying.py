"""Emptying a folder that anybody may have filled: however deep, unreadable or oddly named, and no link followed.

Folders are walked by descriptor, so nothing that lies behind a name is taken for something else. Standard library only.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import time
from pathlib import Path
from typing import Iterator, Set, Tuple

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Names of one folder that are held at once.
MOST_NAMES = 20_000


def emptied(folder: Path) -> None:
    """Remove all that is in a folder, as far as it can be removed."""
    with contextlib.suppress(OSError):
        top = os.open(str(folder), OPEN_FOLDER)
        try:
            removed_below(top)
        finally:
            os.close(top)


def removed_below(top: int) -> Tuple[int, int]:
    """Remove all that is in a folder: how many files were removed, and how much could not be.

    However deep it is, two descriptors are enough: folders in a folder are moved to the top before it is removed.
    """
    removed = stuck = count = 0
    prefix = b".removed-%d-" % time.monotonic_ns()
    refusing: Set[bytes] = set()
    for name in _as_they_come(top, refusing):
        try:
            if _unlinked(top, name):
                removed += 1
                continue
            inner = entered(top, name)
        except OSError:
            refusing.add(name)
            stuck += 1
            continue
        try:
            staying: Set[bytes] = set()
            for below in _as_they_come(inner, staying):
                try:
                    if _unlinked(inner, below):
                        removed += 1
                        continue
                    _let_in(inner, below)
                    count += 1
                    os.rename(below, prefix + b"%d" % count, src_dir_fd=inner, dst_dir_fd=top)
                except OSError:
                    staying.add(below)
                    stuck += 1
        finally:
            os.close(inner)
        try:
            os.rmdir(name, dir_fd=top)
        except OSError:
            refusing.add(name)
    return removed, stuck


def _as_they_come(folder: int, staying: Set[bytes]) -> Iterator[bytes]:
    """The names in a folder until it holds only those of ``staying``; whoever asks removes each, or adds it there."""
    while True:
        try:
            with os.scandir(folder) as scan:
                fresh = (name for entry in scan if (name := os.fsencode(entry.name)) not in staying)
                names = list(itertools.islice(fresh, MOST_NAMES))
        except OSError:
            return
        if not names:
            return
        yield from names


def _unlinked(folder: int, name: bytes) -> bool:
    """Remove what is no folder; whether it was that.

    Raises:
        OSError: it cannot be removed.
    """
    if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return False
    os.unlink(name, dir_fd=folder)
    return True


def entered(folder: int, name: bytes) -> int:
    """A descriptor of a folder in a folder, made readable and writable where it is not.

    Raises:
        OSError: it is no folder, or somebody else's.
    """
    _let_in(folder, name)
    return os.open(name, OPEN_FOLDER, dir_fd=folder)


def _let_in(folder: int, name: bytes) -> None:
    seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISDIR(seen.st_mode) and seen.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        with contextlib.suppress(OSError):
            os.chmod(name, seen.st_mode | stat.S_IRWXU, dir_fd=folder)
