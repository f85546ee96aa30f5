"""The mark in the folder of contents: which database they belong to, and how far that one had come.

``files/mark`` is one line of JSON, overwritten in place after each commit: a few microseconds. A start that finds a
database with fewer commits than the mark knows is told that something is gone, which SQLite itself passes over: it
leaves out what is torn in its log, silently.

``synced`` counts commits that were on the disk before they were answered. ``written`` counts those of metrics too, of
those that follow each other within moments the first; it holds as long as the machine runs (``boot``), for a process
that is killed loses nothing. The mark itself is synced when the log is folded in and at the end; the kernel brings it
to the disk within seconds anyway. The ``seal`` is the digest of the database file as a server left it that ended by
itself. It holds until the log is folded in for the first time after, or a command writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

FOLDER = "files"
NAME = "mark"
#: The whole file, below what a disk writes at once.
SIZE = 400
STEP_BYTES = 1024 * 1024


class MalformedMark(Exception):
    """The mark is none."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What the database file was when a server left it: its SHA-256, its size and the commits in it."""

    sha256: str
    bytes: int
    commits: int


@dataclass(frozen=True, slots=True)
class Marked:
    """What a mark says."""

    identity: str
    synced: int
    written: int
    boot: str
    seal: Seal | None = None

    def missing(self, commits: int) -> int:
        """How many commits a database lacks that has so many."""
        known = max(self.synced, self.written) if self.boot and self.boot == boot() else self.synced
        return max(0, known - commits)


def boot() -> str:
    """Which run of the machine this is; empty where nobody can tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def read(folder: Path) -> Marked | None:
    """What the mark of a data folder says; None where there is none.

    Raises:
        MalformedMark: It cannot be read as one.
    """
    try:
        text = (folder / FOLDER / NAME).read_bytes()[: SIZE * 2]
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise MalformedMark from fault
    try:
        said = json.loads(text)
        seal = said["seal"]
        marked = Marked(
            said["identity"], said["synced"], said["written"], said["boot"], Seal(**seal) if seal else None
        )
        texts = (marked.identity, marked.boot, *((marked.seal.sha256,) if marked.seal else ()))
        counts = (
            marked.synced,
            marked.written,
            *((marked.seal.bytes, marked.seal.commits) if marked.seal else ()),
        )
        if not all(type(text) is str for text in texts) or not all(type(count) is int for count in counts):
            raise MalformedMark
    except (ValueError, TypeError, KeyError, RecursionError) as fault:
        raise MalformedMark from fault
    return marked


class Mark:
    """The mark of a data folder, open for writing; made where there is none.

    Args:
        folder: The data folder.
        identity: Its database's.
        commits: How many that has.
        marked: What the mark says that is there and stays; None to make a new one.
        keeps_seal: Whether a seal stays while the log is not folded in: for the server.
    """

    def __init__(
        self, folder: Path, identity: str, commits: int, marked: Marked | None, keeps_seal: bool = False
    ) -> None:
        self.identity = identity
        self._folder = folder
        self._boot = boot()
        self._failed = False
        # Of commits that were found nobody knows whether they are on the disk yet: the next one tells.
        self._synced = marked.synced if marked else 0
        self._written = commits
        self._seal = marked.seal if marked and keeps_seal else None
        self._lock = threading.Lock()
        path = folder / FOLDER / NAME
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if marked is None:
            self._make(path)
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)

    def _make(self, path: Path) -> None:
        draft = path.with_name(f".{NAME}.{os.getpid()}")
        number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(number, self._text())
            os.fsync(number)
        finally:
            os.close(number)
        draft.replace(path)
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)

    @property
    def is_sealed(self) -> bool:
        """Whether the database file is said to be what a server left."""
        return self._seal is not None

    def note(self, commits: int, synced: bool) -> None:
        """Say how far the database has come. Never raises: what was committed is committed."""
        with self._lock:
            self._written = commits
            if synced:
                self._synced = commits
            self._write(self._text())

    def seal(self, seal: Seal) -> None:
        """Say what the database file is now that nobody has it open."""
        with self._lock:
            self._written = self._synced = seal.commits
            self._seal = seal
            self._write(self._text())
        self.sync()

    def unseal(self) -> None:
        """Say that the database file is about to change, whoever sealed it; any thread."""
        with self._lock:
            try:
                there = read(self._folder)
            except MalformedMark:
                there = None
            if self._seal is None and (there is None or there.seal is None):
                return
            if there is not None:  # another process may have come further
                self._synced, self._written = (
                    max(self._synced, there.synced),
                    max(self._written, there.written),
                )
            self._seal = None
            self._write(self._text())
        self.sync()

    def _text(self) -> bytes:
        seal = self._seal
        stated = (
            f'{{"sha256": "{seal.sha256}", "bytes": {seal.bytes}, "commits": {seal.commits}}}'
            if seal
            else "null"
        )
        line = (
            f'{{"identity": "{self.identity}", "synced": {self._synced}, "written": {self._written}, '
            f'"boot": "{self._boot}", "seal": {stated}}}'
        )
        return line.ljust(SIZE - 1).encode() + b"\n"

    def _write(self, text: bytes) -> None:
        try:
            os.pwrite(self._file, text, 0)
            self._failed = False
        except OSError as fault:
            if not self._failed:
                log.error("the mark beside the contents cannot be written: %s", fault)
            self._failed = True

    def sync(self) -> None:
        """Bring it to the disk; any thread."""
        with contextlib.suppress(OSError):
            os.fdatasync(self._file)

    def close(self) -> None:
        """Bring it to the disk and let go of it."""
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1


def digest_of(path: Path) -> tuple[str, int]:
    """(SHA-256, bytes) of a file."""
    with path.open("rb") as file:
        return digest_of_rest(file)


def digest_of_rest(file: IO[bytes], copy: IO[bytes] | None = None) -> tuple[str, int]:
    """(SHA-256, bytes) of what is left of an open file, written to ``copy`` as it is read."""
    digest, seen = hashlib.sha256(), 0
    while data := file.read(STEP_BYTES):
        digest.update(data)
        seen += len(data)
        if copy is not None:
            copy.write(data)
    return digest.hexdigest(), seen
