"""Rows that nothing needs any more, events without an owner among them; and texts that may name files."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from typing import Literal

from . import Transaction, credentials

Kind = Literal["sessions", "worker_samples", "queue_samples", "hand_outs"]

_OLD: dict[Kind, str] = {
    "sessions": credentials.expired_sessions(),
    "worker_samples": "worker_sample WHERE at < ?",
    "queue_samples": "queue_sample WHERE at < ?",
    "hand_outs": "hand_out WHERE at < ? AND task NOT IN (SELECT id FROM task)",
}
#: The keys of tables without row numbers.
_KEYS = {"revoked_session": "session", "hand_out": "task"}
#: Columns whose texts may name files.
_TEXTS = {
    "task": (
        "execution",
        "configuration",
        "hyperparams",
        "comment",
        "report",
        "runtime",
        "models",
        "output",
        "script",
    ),
    "model": ("uri", "comment", "metadata", "design", "labels"),
    "project": ("description",),
}


def count_old(tx: Transaction, kind: Kind, before: int) -> int:
    """How many rows of a kind are from before an instant (of sessions epoch seconds, else milliseconds)."""
    count: int = tx.value(f"SELECT count(*) FROM {_OLD[kind]}", (before,))
    return count


def remove_old(tx: Transaction, kind: Kind, before: int, most: int) -> int:
    """Remove some of the rows that ``count_old`` counts; how many."""
    table = _OLD[kind].partition(" ")[0]
    key = _KEYS.get(table, "rowid")
    return tx.run(
        f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {_OLD[kind]} LIMIT ?)", (before, most)
    )


def texts(tx: Transaction) -> Iterator[str]:
    """Every text of documents, plots and images that may hold an address, one after the other."""
    for table, columns in _TEXTS.items():
        for column in columns:
            sql = f"SELECT {column} FROM \"{table}\" WHERE {column} LIKE '%http%'"
            for (text,) in tx.connection.execute(sql):
                yield text
    for (body,) in tx.connection.execute("SELECT body FROM sample WHERE body IS NOT NULL"):
        if isinstance(body, bytes):
            with contextlib.suppress(zlib.error):
                body = zlib.decompress(body)
            body = body.decode("utf-8", "replace")
        yield str(body)


def owners(tx: Transaction) -> list[str]:
    """Owners of events that are neither task nor model, but for lines that go already."""
    found: set[str] = set()
    for table in ("metric", "sample", "log"):
        rows = tx.all(
            f"SELECT DISTINCT owner FROM {table} WHERE owner NOT IN (SELECT id FROM task) "
            "AND owner NOT IN (SELECT id FROM model) AND owner NOT IN (SELECT owner FROM log_gone)"
        )
        found.update(owner for (owner,) in rows)
    return sorted(found)


def sizes(tx: Transaction, owner: str) -> tuple[int, int, int]:
    """(scalar points, plots, images and console lines, bytes of those but the points) of an owner's events."""
    points = tx.value(
        "SELECT count(*) FROM scalar WHERE series IN (SELECT number FROM metric WHERE owner=?)", (owner,)
    )
    samples = tx.one("SELECT count(*), coalesce(sum(length(body)), 0) FROM sample WHERE owner=?", (owner,))
    lines = tx.one("SELECT count(*), coalesce(sum(length(msg)), 0) FROM log WHERE owner=?", (owner,))
    assert samples is not None
    assert lines is not None
    return points, samples[0] + lines[0], samples[1] + lines[1]
