"""Console lines of tasks: kept in the order of their timestamps, and of arrival within one millisecond.

Lines have no identity: each report appends. A request that is repeated because its answer was lost is known by its
bytes (``repeated``). Imports the store only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from . import Transaction, metrics

KIND = "log"
#: How long a batch is remembered, milliseconds.
REMEMBERED = 10 * 60 * 1000
_COLUMNS = "timestamp, received, worker, level, msg, extra"


def store_lines(tx: Transaction, lines: Sequence[tuple[Any, ...]]) -> None:
    """Append lines: (owner, timestamp, received, worker, level, msg, extra as JSON)."""
    tx.connection.executemany(f"INSERT INTO log(owner, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", lines)


def shown(owner: str, row: tuple[Any, ...]) -> dict[str, Any]:
    """One line in ClearML's form."""
    timestamp, received, worker, level, msg, extra = row
    event: dict[str, Any] = {"type": KIND, "task": owner}
    if level is not None:
        event["level"] = level
    if msg is not None:
        event["msg"] = msg
    event |= {"worker": worker, "timestamp": timestamp, "received": received, "metric": "", "variant": ""}
    if extra != "{}":
        event |= orjson.loads(extra)
    return event


def read(
    tx: Transaction, owner: str, size: int, after: int | None = None, descending: bool = True
) -> list[tuple[Any, ...]]:
    """The next lines of a task; the lines of one millisecond stay together.

    Args:
        tx: Any transaction.
        owner: The task.
        size: Lines wanted; more where the last millisecond has more.
        after: The last timestamp of the page before.
        descending: From the newest backwards.
    """
    compare, order = ("<", "DESC") if descending else (">", "ASC")
    bound, parameters = ("", [owner]) if after is None else (f"AND timestamp{compare}?", [owner, after])
    rows = tx.all(
        f"SELECT number, {_COLUMNS} FROM log WHERE owner=? {bound} ORDER BY timestamp {order}, number {order} LIMIT ?",
        [*parameters, size],
    )
    if len(rows) == size:
        number, timestamp = rows[-1][:2]
        rows += tx.all(
            f"SELECT number, {_COLUMNS} FROM log WHERE owner=? AND timestamp=? AND number{compare}? "
            f"ORDER BY number {order}",
            (owner, timestamp, number),
        )
    return [row[1:] for row in rows]


def count(tx: Transaction, owner: str) -> int:
    """The number of lines of a task."""
    return int(tx.value("SELECT count(*) FROM log WHERE owner=?", (owner,)))


def delete_for(tx: Transaction, owners: Iterable[str], before: int | None = None) -> int:
    """Remove the lines of these tasks, or those older than an instant; the number removed."""
    wanted = metrics.as_json(owners)
    sql = "DELETE FROM log WHERE owner IN (SELECT value FROM json_each(?))"
    if before is None:
        return tx.run(sql, (wanted,))
    return tx.run(f"{sql} AND timestamp<?", (wanted, before))


def digest(session: str, body: bytes) -> bytes:
    """What a batch of one session is known by."""
    return hashlib.blake2b(body, key=hashlib.sha256(session.encode()).digest(), digest_size=16).digest()


def repeated(tx: Transaction, known_by: bytes, now: int) -> dict[str, Any] | None:
    """The answer a batch got when it came before; None for a new one."""
    answer = tx.value("SELECT answer FROM log_batch WHERE digest=? AND at>=?", (known_by, now - REMEMBERED))
    if answer is None:
        return None
    found: dict[str, Any] = orjson.loads(answer)
    return found


def remember(tx: Transaction, known_by: bytes, now: int, answer: dict[str, Any]) -> None:
    """Keep a batch's answer for some minutes, and let older ones go."""
    tx.run("DELETE FROM log_batch WHERE at<?", (now - REMEMBERED,))
    tx.run(
        "INSERT OR REPLACE INTO log_batch VALUES (?, ?, ?)", (known_by, now, orjson.dumps(answer).decode())
    )
