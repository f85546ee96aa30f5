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


def find_named(tx: Transaction, key: str) -> StoredFile | None:
    """The file that a client names so: forms send a double quote as %22, whether it stood so in the name or not."""
    forms = dict.fromkeys((key, key.replace('"', "%22"), key.replace("%22", '"')))
    return next((file for form in forms if (file := find(tx, form)) is not None), None)


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


def record(tx: Transaction, file: StoredFile) -> None:
    """Make a file visible under its key; a content that it replaces may go from then on."""
    tx.run(
        f"INSERT INTO file({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT(path) DO UPDATE SET blob=excluded.blob, "
        "bytes=excluded.bytes, sha256=excluded.sha256, created=excluded.created, user=excluded.user",
        (file.path, file.blob, file.bytes, file.sha256, file.created, file.owner, file.user),
    )


def forget(tx: Transaction, files: Iterable[StoredFile]) -> int:
    """Remove rows; the contents may go from then on."""
    return forget_keys(tx, (file.path for file in files))


def forget_keys(tx: Transaction, keys: Iterable[str]) -> int:
    """The same by key."""
    return tx.run("DELETE FROM file WHERE path IN (SELECT value FROM json_each(?))", (as_json(keys),))


def contents(tx: Transaction, prefix: str) -> dict[str, str]:
    """The key of each content whose name begins so (two digits, as its folder is called)."""
    return dict(tx.all("SELECT blob, path FROM file WHERE blob >= ? AND blob < ?", (prefix, f"{prefix}g")))


def add(tx: Transaction, found: Iterable[StoredFile]) -> None:
    """Files under keys that are new."""
    tx.many(
        f"INSERT INTO file({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(f.path, f.blob, f.bytes, f.sha256, f.created, f.owner, f.user) for f in found],
    )


def usage(tx: Transaction) -> tuple[int, int]:
    """(files, bytes) that are kept."""
    row = tx.one("SELECT files, bytes FROM file_usage")
    return (int(row[0]), int(row[1])) if row else (0, 0)


# Doomed: contents that no file has any more. Triggers note them when a row goes or gets another content.


def doom(tx: Transaction, blobs: Iterable[str], at: int) -> None:
    """Note that contents without a file may go, since an instant (epoch milliseconds)."""
    tx.many("INSERT OR IGNORE INTO doomed(blob, at) VALUES (?, ?)", [(blob, at) for blob in blobs])


def doomed(tx: Transaction, prefix: str = "") -> set[str]:
    """Contents that may go, now or later, whose name begins so."""
    return {
        blob
        for (blob,) in tx.all("SELECT blob FROM doomed WHERE blob >= ? AND blob < ?", (prefix, f"{prefix}g"))
    }


def due(tx: Transaction, before: int, most: int) -> list[str]:
    """Contents that may go since before an instant (epoch milliseconds), ``most`` of them; never one of a file."""
    unnamed = "NOT EXISTS (SELECT 1 FROM file WHERE file.blob = doomed.blob)"
    sql = f"SELECT blob FROM doomed WHERE at < ? AND {unnamed} LIMIT ?"
    return [blob for (blob,) in tx.all(sql, (before, most))]


def forget_doomed(tx: Transaction, blobs: Iterable[str]) -> None:
    """Strike out contents that are gone."""
    tx.many("DELETE FROM doomed WHERE blob=?", [(blob,) for blob in blobs])


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
