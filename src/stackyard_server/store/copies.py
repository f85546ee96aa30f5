"""The database as one thing: copied in a snapshot, its rows counted, checked by SQLite itself and by its structure."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from . import FILE_NAME, Store, Transaction, mark, remembered, schema


def copy(store: Store, path: Path) -> None:
    """Copy the rows, all of one moment, into a new file that only its owner reads; nobody waits meanwhile."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(store.path)) as source, closing(sqlite3.connect(path)) as copied:
        source.backup(copied)  # in one step: a snapshot
        copied.execute("PRAGMA journal_mode=DELETE")


@contextmanager
def opened(path: Path) -> Iterator[Transaction]:
    """A copy, to be read: no log beside it counts, nothing of it is run, and no file is made."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as copied:
        copied.text_factory = lambda text: text.decode("utf-8", "replace")  # whatever stands there
        copied.execute("PRAGMA trusted_schema=OFF")
        copied.execute("PRAGMA cell_size_check=ON")
        yield Transaction(copied, set())


def files(tx: Transaction) -> list[tuple[Any, Any, Any, Any]]:
    """(key, content, bytes, SHA-256) of each file of a copy, as they stand there: of any kind, if it was changed.

    Raises:
        Fault: It is no database.
    """
    return [
        (row[0], row[1], row[2], row[3])
        for row in tx.all("SELECT path, blob, bytes, sha256 FROM file ORDER BY path")
    ]


def forget_files(path: Path, keys: Iterable[str]) -> None:
    """Leave files out of a copy, and what may go: its contents are not in it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as copied:
        copied.execute("BEGIN")
        copied.executemany("DELETE FROM file WHERE path=?", [(key,) for key in keys])
        copied.execute("DELETE FROM doomed")
        copied.execute("COMMIT")


def rename(path: Path) -> None:
    """Make another database of a copy: what belongs to the former one is not to be taken for its own, and what is kept
    only to answer sooner is not believed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as copied:
        if schema.version_of(copied) >= schema.WITH_LINEAGE:
            copied.execute("UPDATE lineage SET identity=lower(hex(randomblob(16)))")
            copied.execute("DELETE FROM doomed")  # of the former one's contents
        if schema.version_of(copied) >= remembered.WITH_PARAMETERS:
            remembered.forget_parameters(copied)
        remembered.count_usage(copied)


def make_mark(folder: Path) -> None:
    """Say beside the contents of a folder that they are those of the copy in it; nothing of an earlier release."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as copied:
        if schema.version_of(copied) < schema.WITH_LINEAGE:
            return
        identity, commits = copied.execute("SELECT identity, commits FROM lineage").fetchone()
    mark.Mark(folder, identity, commits, None).close()


def count_rows(tx: Transaction) -> dict[str, int]:
    """The rows of each table."""
    names = tx.all(
        "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    )
    return {name: tx.value(f'SELECT count(*) FROM "{name}"') for (name,) in names}


def faults(tx: Transaction) -> list[str]:
    """What SQLite finds wrong with the database, and rows that refer to missing ones, as sentences."""
    found = _said(tx, "integrity_check")
    if not found:
        for table, row, parent, _ in tx.all("PRAGMA foreign_key_check"):
            found.append(f"row {row} of {table} refers to a missing row of {parent}")
    return found


def torn(tx: Transaction) -> list[str]:
    """What SQLite finds wrong when it looks at each page once: less than ``faults``, in a third of the time."""
    return _said(tx, "quick_check")


def _said(tx: Transaction, check: str) -> list[str]:
    try:
        return [" ".join(str(row[0]).split()) for row in tx.all(f"PRAGMA {check}") if row[0] != "ok"]
    except sqlite3.DatabaseError as fault:  # it is so damaged that the check itself ends
        return [str(fault)]


def strange_structure(tx: Transaction, version: int) -> list[str]:
    """In what the tables, indexes and triggers of a copy are not those of this server at that version, as sentences.

    A trigger runs whenever a server writes: one of somebody else's would be their hand in the server.
    """
    found = schema.version_of(tx.connection)
    if found != version:
        return [f"it is of schema {found}, the manifest says {version}"]
    with closing(sqlite3.connect(":memory:")) as fresh:
        for script in schema.MIGRATIONS[:version]:
            fresh.executescript(script)
        expected, there = _structure(fresh), _structure(tx.connection)
    sentences = [
        f"{kind} {name!r} is none of this server's" for kind, name in sorted(there.keys() - expected.keys())
    ]
    sentences += [f"{kind} {name!r} is missing" for kind, name in sorted(expected.keys() - there.keys())]
    sentences += [
        f"{kind} {name!r} is not as this server makes it"
        for kind, name in sorted(expected.keys() & there.keys())
        if expected[kind, name] != there[kind, name]
    ]
    return sentences


def _structure(connection: sqlite3.Connection) -> dict[tuple[str, str], tuple[str, ...]]:
    """What makes each table, index, view and trigger, by kind and name: the text that SQLite keeps of it.

    All of a table stands there: columns, constraints and what becomes of a row that breaks one, references.
    """
    return {
        (str(kind), str(name)): (str(table), *_lines(str(sql)))
        for kind, name, table, sql in connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master"
        )
        if not re.fullmatch(r"sqlite_(sequence|stat\d)", str(name)) and (kind != "index" or sql is not None)
    }


def _lines(sql: str) -> tuple[str, ...]:
    """A text without how it is set; its lines stay, for a remark ends with its line."""
    lines = (" ".join(line.split()) for line in sql.splitlines())
    return tuple(line for line in lines if line)
