"""What the file server keeps, as rows: each file under its key, and whose files may go.

The contents on disk, and what may be a key, are in ``files.stored``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from . import Transaction
from .documents import as_json

_COLUMNS = "path, blob, bytes, sha256, created, owner, user"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A row of the table: ``created`` is epoch milliseconds, ``owner`` a task's or model's id, ``user`` who
    uploaded."""

    path: str
    blob: str
    bytes: int
    sha256: str
    created: int
    owner: str | None = None
    user: str | None = None


def find(tx: Transaction, key: str) -> StoredFile | None:
    """The file of that key."""
    row = tx.one(f"SELECT {_COLUMNS} FROM file WHERE path=?", (key,))
    return StoredFile(*row) if row else None


def under(tx: Transaction, key: str) -> list[StoredFile]:
    """Every file below a folder."""
    # "0" follows "/" in every encoding SQLite compares by.
    return _where(tx, "path > ? AND path < ?", f"{key}/", f"{key}0")


def of_owner(tx: Transaction, owner: str) -> list[StoredFile]:
    """Every file of a task or model."""
    return _where(tx, "owner=?", owner)


def every(tx: Transaction) -> list[StoredFile]:
    """Every file, by key."""
    return _where(tx, "1 ORDER BY path")


def without_owner(tx: Transaction, before: int) -> list[StoredFile]:
    """The files from before an instant (epoch milliseconds) that lie in no task's or model's folder, or in that of one
    that is gone."""
    gone = "(owner NOT IN (SELECT id FROM task) AND owner NOT IN (SELECT id FROM model))"
    return _where(tx, f"created < ? AND (owner IS NULL OR {gone})", before)


def _where(tx: Transaction, condition: str, *parameters: str | int) -> list[StoredFile]:
    return [StoredFile(*row) for row in tx.all(f"SELECT {_COLUMNS} FROM file WHERE {condition}", parameters)]


def holds(tx: Transaction, blob: str, key: str | None = None) -> bool:
    """Whether a content belongs to a file, or to the one of that key."""
    if key is None:
        return tx.value("SELECT 1 FROM file WHERE blob=?", (blob,)) is not None
    return tx.value("SELECT 1 FROM file WHERE path=? AND blob=?", (key, blob)) is not None


def record(tx: Transaction, file: StoredFile) -> str | None:
    """Make a file visible under its key.

    Returns:
        The content it replaces, to be removed after the commit; None for a new key.
    """
    old: str | None = tx.value("SELECT blob FROM file WHERE path=?", (file.path,))
    tx.run(
        f"INSERT INTO file({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT(path) DO UPDATE SET blob=excluded.blob, "
        "bytes=excluded.bytes, sha256=excluded.sha256, created=excluded.created, user=excluded.user",
        (file.path, file.blob, file.bytes, file.sha256, file.created, file.owner, file.user),
    )
    return old


def forget(tx: Transaction, files: Iterable[StoredFile]) -> int:
    """Remove rows; the contents go after the commit."""
    paths = as_json(file.path for file in files)
    return tx.run("DELETE FROM file WHERE path IN (SELECT value FROM json_each(?))", (paths,))


def usage(tx: Transaction) -> tuple[int, int]:
    """(files, bytes) that are kept."""
    row = tx.one("SELECT files, bytes FROM file_usage")
    return (int(row[0]), int(row[1])) if row else (0, 0)


# Freed: ids of removed tasks and models, and addresses that removed ones named, with when (full seconds).


def free(tx: Transaction, addresses: Iterable[str], now: int) -> None:
    """Note that the files at these addresses may go."""
    at = now // 1000 * 1000
    tx.many("INSERT OR REPLACE INTO freed(what, at) VALUES (?, ?)", [(url, at) for url in addresses])


def keep(tx: Transaction, entries: Iterable[str]) -> None:
    """Take back that the files of these ids and addresses may go: whoever removed them asked to keep the files."""
    tx.run("DELETE FROM freed WHERE what IN (SELECT value FROM json_each(?))", (as_json(entries),))


def freed(tx: Transaction, most: int) -> set[tuple[str, int]]:
    """(id or address, since when) of what may go, ``most`` of them."""
    return {(what, at) for what, at in tx.all("SELECT what, at FROM freed LIMIT ?", (most,))}


def forget_freed(tx: Transaction, entries: Iterable[tuple[str, int]]) -> None:
    """Strike out what has been looked at."""
    tx.many("DELETE FROM freed WHERE what=? AND at=?", entries)
