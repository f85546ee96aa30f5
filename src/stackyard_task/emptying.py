"""Emptying a folder that anybody may have filled: however deep, unreadable or oddly named, and no link followed.

Folders are walked by descriptor, so nothing that lies behind a name is taken for something else. Standard library only.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Set, Tuple

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


@dataclass
class _Level:
    """A folder on the way down."""

    #: In the folder above.
    name: bytes
    identity: Tuple[int, int]
    #: Names that are still to be removed, and those that cannot be.
    ahead: List[bytes] = field(default_factory=list)
    staying: Set[bytes] = field(default_factory=set)


def removed_below(top: int) -> Tuple[int, int]:
    """Remove all that is in a folder: how many files were removed, and how much could not be.

    However deep it is, two descriptors are enough: the way up is "..", seen to be the folder that it went down from.
    """
    removed = stuck = 0
    levels = [_Level(b"", _identity(top))]
    place = os.dup(top)
    try:
        while True:
            level = levels[-1]
            level.ahead = level.ahead or _some_names(place, level.staying)
            if level.ahead:
                name = level.ahead.pop()
                try:
                    if _unlinked(place, name):
                        removed += 1
                        continue
                    inner = entered(place, name)
                except OSError:
                    level.staying.add(name)
                    stuck += 1
                    continue
                os.close(place)
                place = inner
                levels.append(_Level(name, _identity(inner)))
                continue
            if len(levels) == 1:
                return removed, stuck
            above = os.open("..", OPEN_FOLDER, dir_fd=place)
            os.close(place)
            place = above
            levels.pop()
            if _identity(place) != levels[-1].identity:
                return removed, stuck + 1
            try:
                os.rmdir(level.name, dir_fd=place)
            except OSError:
                levels[-1].staying.add(level.name)
                stuck += not level.staying
    finally:
        os.close(place)


def _identity(folder: int) -> Tuple[int, int]:
    seen = os.fstat(folder)
    return seen.st_dev, seen.st_ino


def _some_names(folder: int, staying: Set[bytes]) -> List[bytes]:
    """Some of the names in a folder, but for those of ``staying``; none where it cannot be read."""
    try:
        with os.scandir(folder) as scan:
            names = (name for entry in scan if (name := os.fsencode(entry.name)) not in staying)
            return list(itertools.islice(names, MOST_NAMES))
    except OSError:
        return []


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
