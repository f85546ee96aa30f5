"""Reports and studies below some folders of this machine: found, and opened without ever leaving those folders.

A path is walked name by name from the folder's own descriptor, and no link is followed: nothing outside can be named.
"""

from __future__ import annotations

import datetime
import io
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stackyard.reports import outputs
from stackyard_task.studies import STUDY_FILE

#: What lies in a folder with a report -> its kind.
FILES = {outputs.file_name(ending): kind for ending, kind in outputs.KINDS.items()}
#: How deep below a folder reports are looked for, how many entries are looked at, and how many reports are listed.
DEPTH, MOST_ENTRIES, MOST_SHOWN = 4, 20_000, 200
#: A file that is sent.
MOST_BYTES = 256 << 20
#: Folders that are parts of a run folder.
_NOT_BELOW = frozenset({"runs", "prepared", "abandoned", "outputs"})


@dataclass(frozen=True)
class Found:
    """A folder with a report."""

    #: The place of the given folder, and the path below it ("." for the folder itself).
    place: int
    name: str
    #: What is there, of FILES; a study may have none yet.
    files: tuple[str, ...]
    #: Epoch seconds of the newest of them.
    at: float
    #: Whether it is the folder of a study.
    study: bool = False

    @property
    def when(self) -> str:
        """Its time, for people."""
        return f"{datetime.datetime.fromtimestamp(self.at, datetime.UTC):%-d %B %Y, %H:%M} UTC"


@dataclass(frozen=True)
class Listing:
    """What a look found."""

    reports: list[Found]
    #: Studies, with and without a report.
    studies: list[Found]
    #: Reports beyond those that are listed; whether the look ended before it had seen everything.
    more: int
    cut_off: bool


class RunFolders:
    """The reports below some folders.

    Args:
        folders: where they lie; one that is not there holds none.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = list(folders)

    def found(self) -> Listing:
        """The reports and the studies, the newest first."""
        found: list[Found] = []
        left = MOST_ENTRIES
        for place, folder in enumerate(self.folders):
            with suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    left = self._look(descriptor, place, (), found, left)
                finally:
                    os.close(descriptor)
        found.sort(key=lambda each: (-each.at, each.place, each.name))
        reports = [each for each in found if each.files]
        studies = [each for each in found if each.study]
        return Listing(
            reports[:MOST_SHOWN], studies[:MOST_SHOWN], max(0, len(reports) - MOST_SHOWN), left <= 0
        )

    def files(self, place: str, name: str) -> list[str]:
        """The files of a report; empty: there is none."""
        with self.opened(place, name) as folder:
            return [] if folder is None else [each for each in FILES if _size(folder, each) is not None]

    def open(self, place: str, name: str, file: str) -> tuple[io.FileIO, int] | None:
        """An open file and its size; ``None``: there is none."""
        if file not in FILES:
            return None
        with self.opened(place, name) as folder:
            return None if folder is None else opened_file(folder, file, MOST_BYTES)

    def opened(self, place: str, name: str) -> Opened:
        """The folder of a report or study, to be used as a context: its descriptor, or ``None``."""
        return Opened(self._folder(place), name)

    def _folder(self, place: str) -> Path | None:
        number = int(place) if place.isascii() and place.isdigit() and len(place) < 4 else -1
        return self.folders[number] if 0 <= number < len(self.folders) else None

    def _look(self, descriptor: int, place: int, path: tuple[str, ...], found: list[Found], left: int) -> int:
        """Look at one folder and those below; how many entries may still be looked at."""
        below, there, newest, study = [], [], 0.0, False
        with os.scandir(descriptor) as entries:
            for entry in entries:
                left -= 1
                if left <= 0:
                    break
                with suppress(OSError):
                    if entry.name in FILES and entry.is_file(follow_symlinks=False):
                        there.append(entry.name)
                        newest = max(newest, entry.stat(follow_symlinks=False).st_mtime)
                    elif entry.name == STUDY_FILE and entry.is_file(follow_symlinks=False):
                        study = True
                        newest = max(newest, entry.stat(follow_symlinks=False).st_mtime)
                    elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                        below.append(entry.name)
        if there or study:
            files = tuple(name for name in FILES if name in there)
            name = "/".join(path) or "."
            if name.isprintable():
                found.append(Found(place, name, files, newest, study))
        if len(path) < DEPTH:
            for name in sorted(below):
                if left <= 0:
                    break
                if (there or study) and name in _NOT_BELOW:
                    continue
                with suppress(OSError):
                    inner = os.open(
                        name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor
                    )
                    try:
                        left = self._look(inner, place, (*path, name), found, left)
                    finally:
                        os.close(inner)
        return left


class Opened:
    """The descriptor of a folder below another, walked to without following a link; ``None``: there is none."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self._folder, self._name = folder, name
        self._descriptor: int | None = None

    def __enter__(self) -> int | None:
        parts = [] if self._name == "." else self._name.split("/")
        if self._folder is None or len(parts) > DEPTH or not all(_is_plain(part) for part in parts):
            return None
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self._folder, flags)
            for part in parts:
                inner = os.open(part, flags | os.O_NOFOLLOW, dir_fd=self._descriptor)
                os.close(self._descriptor)
                self._descriptor = inner
        except OSError:
            self.__exit__()
            return None
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def opened_file(folder: int, name: str, most_bytes: int) -> tuple[io.FileIO, int] | None:
    """A plain file of a folder, open, and its size; ``None``: there is none, or it is larger."""
    with suppress(OSError):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_size <= most_bytes:
            return io.FileIO(descriptor), status.st_size
        os.close(descriptor)
    return None


def _is_plain(part: str) -> bool:
    return bool(part) and not part.startswith(".") and "\0" not in part and len(part) < 256


def _size(folder: int, name: str) -> int | None:
    """The size of a plain file; ``None``: there is none of that name."""
    with suppress(OSError):
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            return status.st_size
    return None
