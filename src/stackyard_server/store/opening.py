"""What is looked at before a database is opened: whether it is one, whole, and that of the contents beside it.

Database and log stay as they are, whatever is found. SQLite would fold a torn log in and make a new file where there is
none.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import mark, schema

IDENTITY = re.compile(r"[0-9a-f]{32}")
#: The folder inside a data folder where a restore makes what it then moves into place.
DRAFT = ".restoring"
#: How long the check of a database may take that nobody sealed, seconds; and steps of SQLite between looks at it.
CHECK_SECONDS = 30.0
CHECK_STEPS = 100_000
#: Above this, a server that ends does not read its database once more to seal it.
MOST_SEALED_BYTES = 2 * 1024**3


class Apart(Exception):
    """Database and contents are not of one another; the message says in what."""


class Damaged(Exception):
    """The database cannot be read as one; the message says in what."""


class Changed(Damaged):
    """The database is not what the server left; whether it can be read is not known."""


class Unfinished(Exception):
    """A restore into the folder was broken off; the message says how to go on."""


@dataclass(frozen=True, slots=True)
class Found:
    """A database as it lies there: None is not known, for it is new or of an earlier release."""

    identity: str | None
    commits: int
    marked: mark.Marked | None
    #: Of its tables; 0 of a new one.
    version: int = 0


def examine(folder: Path, name: str) -> Found:
    """Look at a data folder.

    Args:
        folder: The data folder.
        name: Of the database in it.

    Raises:
        Unfinished: A restore was broken off before it came to the database.
        Apart: There are contents and no database, or one that is empty, another's, or older than they are.
        Damaged: SQLite cannot read it, or it is no database of this server.
        schema.TooNew: It is of a later release.
    """
    path = folder / name
    check_restored(folder, name)
    # Before the database: a server beside may commit meanwhile, and says so here only after it did.
    marked = _marked(folder)
    if path.exists() and not path.is_file():
        raise Apart(f"{path} is no file, so it is no database")
    if marked and Path(f"{path}-journal").exists():
        raise Apart(f"{path}-journal is not this server's, and SQLite would undo by it: move it away")
    if not path.exists() or path.stat().st_size == 0:
        if marked or has_contents(folder) or _has_log(path):
            kind = "is missing" if not path.exists() else "is empty"
            raise Apart(f"{path} {kind}, but {folder} holds what belongs to a database")
        return Found(None, 0, None)
    with _only_reading(path) as found:
        version = schema.version_of(found)
        if version > len(schema.MIGRATIONS):
            raise schema.newer(version)
        tables = _tables(found, path, version)
        if not tables:
            if marked or has_contents(folder):
                raise Apart(f"{path} is empty, but {folder} holds what belongs to a database")
            return Found(None, 0, None)
        identity, commits = None, 0
        if "lineage" in tables:
            row = found.execute("SELECT identity, commits FROM lineage").fetchone()
            if (
                row is None
                or not isinstance(row[0], str)
                or not IDENTITY.fullmatch(row[0])
                or type(row[1]) is not int
            ):
                raise Damaged(f"{path} does not say which database it is")
            identity, commits = row
        if marked is None:
            if commits:  # each was noted there; a restored or new database has its mark before its first
                raise Apart(
                    f"{folder / mark.FOLDER / mark.NAME} is missing: nobody can say whether {path} has every commit"
                )
            if has_contents(folder) and found.execute("SELECT 1 FROM file LIMIT 1").fetchone() is None:
                raise Apart(f"{path} names none of the contents in {folder / mark.FOLDER}")
        elif identity is None:
            raise Apart(f"{path} is older than the contents beside it: it is of an earlier release")
        elif identity != marked.identity:
            raise Apart(f"{path} is not the database of the contents in {folder / mark.FOLDER}")
        elif lost := marked.missing(commits):
            raise Apart(f"{path} or its log lost the last {lost} of {commits + lost} commits")
        return Found(identity, commits, marked, version)


def check_restored(folder: Path, name: str) -> None:
    """Refuse a folder that a restore did not come to the end of: the database comes last.

    Raises:
        Unfinished: It is one.
    """
    path = folder / name
    if (folder / DRAFT).exists() and (not path.exists() or (path.is_file() and path.stat().st_size == 0)):
        raise Unfinished(
            f"A restore into {folder} was broken off: repeat it with this folder, which clears what it left, "
            "or choose another folder."
        )


def migration_bytes(folder: Path, name: str) -> int:
    """The room that it takes to bring a database to this release: each page may be written to the log and then to the
    file; 0 where it is of this release, or says nothing."""
    path = folder / name
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return 0
        with _only_reading(path) as found:
            version = schema.version_of(found)
    except (OSError, Damaged, sqlite3.Error):
        return 0
    return 2 * path.stat().st_size if 0 < version < len(schema.MIGRATIONS) else 0


def check(folder: Path, name: str) -> bool:
    """Look for damage in the database of a folder that nobody has open.

    One that is sealed must be as it was left, byte by byte, with a log beside it too: whoever folds that in takes the
    seal away before. Another one is checked by SQLite, as far as ``CHECK_SECONDS`` allow. That finds no damage within
    a long text.

    Returns:
        Whether it was looked at to the end.

    Raises:
        Unfinished, Apart, Damaged: What was found.
    """
    path, found = folder / name, examine(folder, name)
    if not path.exists() or path.stat().st_size == 0:
        return True
    seal = found.marked.seal if found.marked else None
    has_log = _has_log(path)
    # Without its log and with more commits the file was folded since, by somebody who did not say so.
    if seal and (seal.commits == found.commits or has_log):
        if mark.digest_of(path) == (seal.sha256, seal.bytes):
            return True
        raise Changed(f"{path} is not what the server left when it ended: it was changed or damaged")
    return _check_by_sqlite(path, time.monotonic() + CHECK_SECONDS)


def check_alone(folder: Path, name: str) -> None:
    """Look for damage in a database, whatever the contents beside it say.

    Raises:
        Unfinished: A restore was broken off before it came to the database.
        Damaged: There is some, or it is no database of this server.
        schema.TooNew: It is of a later release.
    """
    path = folder / name
    check_restored(folder, name)
    if not path.exists() or path.stat().st_size == 0:
        return
    with _only_reading(path) as found:
        version = schema.version_of(found)
        if version > len(schema.MIGRATIONS):
            raise schema.newer(version)
        _tables(found, path, version)
    _check_by_sqlite(path, until=None)


def _tables(found: sqlite3.Connection, path: Path, version: int) -> set[str]:
    """The names of the tables; none of an empty database."""
    tables = {str(row[0]) for row in found.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    if (tables or version) and (version == 0 or not {"meta", "file"} <= tables):
        raise Damaged(f"{path} is no database of this server")
    return tables


def _check_by_sqlite(path: Path, until: float | None) -> bool:
    with _only_reading(path) as found:
        if until is not None:
            found.set_progress_handler(lambda: time.monotonic() > until, CHECK_STEPS)
        try:
            faults = [str(row[0]) for row in found.execute("PRAGMA quick_check(3)")]
        except sqlite3.OperationalError as fault:
            if "interrupt" in str(fault):
                return False
            raise
    if faults != ["ok"]:
        raise Damaged(f"{path} is damaged ({'; '.join(' '.join(fault.split()) for fault in faults)[:300]})")
    return True


def seal_of(path: Path, commits: int) -> mark.Seal | None:
    """What a database file is that nobody has open; None where its log is not folded in, or it is very large."""
    if _has_log(path) or path.stat().st_size > MOST_SEALED_BYTES:
        return None
    sha256, size = mark.digest_of(path)
    return mark.Seal(sha256, size, commits)


def read_contents(folder: Path, name: str) -> tuple[list[tuple[str, str]], set[str]]:
    """(key, content) of each file that a database names, whosever it is, and contents that may go; nothing where it
    cannot be read."""
    kept: list[tuple[str, str]] = []
    doomed: set[str] = set()
    try:
        if (folder / name).is_file():
            with _only_reading(folder / name) as found:
                kept = [
                    (str(k), str(b)) for k, b in found.execute("SELECT path, blob FROM file ORDER BY path")
                ]
                doomed = {str(blob) for (blob,) in found.execute("SELECT blob FROM doomed")}
    except (Damaged, sqlite3.Error):
        pass
    return kept, doomed


@contextmanager
def _only_reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing and folds nothing in.

    Raises:
        Damaged: SQLite cannot read the database.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA busy_timeout=10000")
            connection.execute("PRAGMA trusted_schema=OFF")
            yield connection
    except sqlite3.DatabaseError as fault:
        if isinstance(fault, sqlite3.OperationalError) and "malformed" not in str(fault):
            if "no such column" in str(fault) or "no such table" in str(fault):
                raise Damaged(f"{path} is no database of this server ({fault})") from fault
            raise  # it cannot be opened, or is locked
        raise Damaged(f"{path} is damaged ({fault})") from fault


def _marked(folder: Path) -> mark.Marked | None:
    try:
        return mark.read(folder)
    except mark.MalformedMark:
        raise Apart(
            f"{folder / mark.FOLDER / mark.NAME} is damaged: it does not say which database is this one's"
        ) from None


def belongs_to_server(folder: Path) -> bool:
    """Whether a data folder holds what a server leaves there beside its database."""
    return (folder / mark.FOLDER / mark.NAME).exists() or has_contents(folder)


def has_contents(folder: Path) -> bool:
    """Whether a data folder holds contents of files."""
    return any((folder / mark.FOLDER).glob("[0-9a-f][0-9a-f]/*"))


def _has_log(path: Path) -> bool:
    try:
        return Path(f"{path}-wal").stat().st_size > 0
    except OSError:
        return False
