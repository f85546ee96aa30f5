"""The database as one thing: copied in a snapshot, its rows counted, checked by SQLite itself."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from . import Store, Transaction


def copy(store: Store, path: Path) -> None:
    """Copy the rows, all of one moment, into a new file that only its owner reads; nobody waits meanwhile."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(store.path)) as source, closing(sqlite3.connect(path)) as copied:
        source.backup(copied)  # in one step: a snapshot
        copied.execute("PRAGMA journal_mode=DELETE")


def files(path: Path) -> list[tuple[str, str, int]]:
    """(key, content, bytes) of each file in the copy at that path.

    Raises:
        Fault: It is no database.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as copied:
        return copied.execute("SELECT path, blob, bytes FROM file").fetchall()


def forget_files(path: Path, keys: Iterable[str]) -> None:
    """Leave files out of a copy."""
    with closing(sqlite3.connect(path, isolation_level=None)) as copied:
        copied.execute("BEGIN")
        copied.executemany("DELETE FROM file WHERE path=?", [(key,) for key in keys])
        copied.execute("COMMIT")


def count_copied_rows(path: Path) -> dict[str, int]:
    """The rows of each table of a copy."""
    with closing(sqlite3.connect(path)) as copied:
        return count_rows(Transaction(copied, set()))


def count_rows(tx: Transaction) -> dict[str, int]:
    """The rows of each table."""
    names = tx.all(
        "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    )
    return {name: tx.value(f'SELECT count(*) FROM "{name}"') for (name,) in names}


def faults(tx: Transaction) -> list[str]:
    """What SQLite finds wrong with the database, and rows that refer to missing ones, as sentences."""
    found = [str(row[0]) for row in tx.all("PRAGMA integrity_check") if row[0] != "ok"]
    for table, row, parent, _ in tx.all("PRAGMA foreign_key_check"):
        found.append(f"row {row} of {table} refers to a missing row of {parent}")
    return found
