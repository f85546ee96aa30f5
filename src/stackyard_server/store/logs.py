"""Console lines of tasks: kept in the order of their timestamps, and of arrival within one millisecond.

Lines have no identity: each report appends. A request that is repeated because its answer was lost is known by its
bytes (``repeated``). Imports the store only.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from . import Transaction, metrics
from .documents import weight
from .scalars import Wanted

KIND = "log"
#: How long a batch is remembered, milliseconds.
REMEMBERED = 10 * 60 * 1000
#: Lines that are looked at in one step, where they are to go.
LOOKED_AT = 500
#: More lines than these go later, so many at a time, as long as a step may take (seconds): a line may be long.
FEW, AT_ONCE, STEP_SECONDS = 20, 50, 0.02
#: The place before a task's first line.
START = (-(2**63), -(2**63))
_COLUMNS = "timestamp, received, worker, level, msg, extra"
#: The metric and variant of a line, which few have.
_METRIC, _VARIANT = (
    f"CASE extra WHEN '{{}}' THEN '' ELSE ifnull(json_extract(extra, '$.{name}'), '') || '' END"
    for name in ("metric", "variant")
)

#: The lines of a task (its id is bound twice), without those that are gone.
_OF_OWNER = "log WHERE owner=? AND number>ifnull((SELECT number FROM log_gone WHERE owner=?), -1)"


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
    tx: Transaction,
    owner: str,
    size: int,
    after: int | None = None,
    descending: bool = True,
    wanted: Wanted = None,
) -> list[tuple[Any, ...]]:
    """The next lines of a task; the lines of one millisecond stay together.

    Args:
        tx: Any transaction.
        owner: The task.
        size: Lines wanted; more where the last millisecond has more.
        after: The last timestamp of the page before.
        descending: From the newest backwards.
        wanted: Only lines of these metrics and variants; "" is the metric of the lines without one.
    """
    compare, order = ("<", "DESC") if descending else (">", "ASC")
    bound, parameters = ("", []) if after is None else (f"AND timestamp{compare}?", [after])
    only, named = metrics.among(wanted, _METRIC, _VARIANT)
    rows = tx.weighed(
        f"SELECT number, {_COLUMNS} FROM {_OF_OWNER} {bound} AND {only} "
        f"ORDER BY timestamp {order}, number {order} LIMIT ?",
        [owner, owner, *parameters, *named, size],
        weight,
    )
    if len(rows) == size:
        number, timestamp = rows[-1][:2]
        rows += tx.weighed(
            f"SELECT number, {_COLUMNS} FROM {_OF_OWNER} AND timestamp=? AND number{compare}? AND {only} "
            f"ORDER BY number {order}",
            (owner, owner, timestamp, number, *named),
            weight,
        )
    return [row[1:] for row in rows]


def from_place(
    tx: Transaction, owner: str, place: tuple[int, int], size: int
) -> tuple[list[tuple[Any, ...]], tuple[int, int]]:
    """The lines of a task behind a place, oldest first, and the place where to go on.

    Args:
        tx: Any transaction.
        owner: The task.
        place: Timestamp and number of the last line that was read; ``START`` before any.
        size: Lines at most.
    """
    rows = tx.weighed(
        f"SELECT number, {_COLUMNS} FROM {_OF_OWNER} AND (timestamp, number) > (?, ?) "
        "ORDER BY timestamp, number LIMIT ?",
        (owner, owner, *place, size),
        weight,
    )
    return [row[1:] for row in rows], (rows[-1][1], rows[-1][0]) if rows else place


def count(tx: Transaction, owner: str, wanted: Wanted = None) -> int:
    """The number of lines of a task."""
    only, named = metrics.among(wanted, _METRIC, _VARIANT)
    return int(tx.value(f"SELECT count(*) FROM {_OF_OWNER} AND {only}", (owner, owner, *named)))


def pairs(tx: Transaction, owners: Iterable[str]) -> list[tuple[str, str, str]]:
    """(owner, metric, variant) of the lines of these tasks, in order; "" of lines without one."""
    sql = (
        f"SELECT DISTINCT owner, {_METRIC} AS metric, {_VARIANT} AS variant FROM log "
        "LEFT JOIN log_gone gone USING (owner) WHERE owner IN (SELECT value FROM json_each(?)) "
        "AND log.number>ifnull(gone.number, -1) ORDER BY metric, variant"
    )
    return [(owner, metric, variant) for owner, metric, variant in tx.all(sql, (metrics.as_json(owners),))]


def delete_for(tx: Transaction, owners: Iterable[str]) -> None:
    """Remove every line of these tasks; many of a task are no more found, and go later (``clear_gone``)."""
    for owner in owners:
        few = tx.all(f"SELECT number FROM {_OF_OWNER} LIMIT ?", (owner, owner, FEW + 1))
        if len(few) <= FEW:
            tx.many("DELETE FROM log WHERE number=?", few)
            continue
        # a last line that stays until the others have gone: none that comes meanwhile gets a number below it
        store_lines(tx, [(owner, 0, 0, "", None, None, "{}")])
        tx.run("INSERT OR REPLACE INTO log_gone VALUES (?, last_insert_rowid())", (owner,))


def has_gone(tx: Transaction) -> bool:
    """Whether lines are left that were removed."""
    return tx.one("SELECT 1 FROM log_gone LIMIT 1") is not None


def clear_gone(tx: Transaction) -> None:
    """Remove some of the lines that are left of a task whose lines were removed."""
    found = tx.one("SELECT owner, number FROM log_gone LIMIT 1")
    if found is None:
        return
    until = time.monotonic() + STEP_SECONDS
    some = "SELECT number FROM log WHERE owner=? AND number<? LIMIT ?"
    while tx.run(f"DELETE FROM log WHERE number IN ({some})", (*found, AT_ONCE)) == AT_ONCE:
        if time.monotonic() >= until:
            return
    tx.run("DELETE FROM log WHERE owner=? AND number=?", found)
    tx.run("DELETE FROM log_gone WHERE owner=?", found[:1])


def delete_next(
    tx: Transaction,
    owner: str,
    place: tuple[int, int],
    before: int | None = None,
    *,
    only: Wanted = None,
    but: Wanted = None,
) -> tuple[int, tuple[int, int] | None]:
    """Look at some lines of a task, and remove those that are to go.

    Args:
        tx: A writing transaction.
        owner: The task.
        place: Behind which it looks; ``START`` before any line.
        before: Only lines older than this instant.
        only: Only lines of these metrics and variants.
        but: No lines of these.

    Returns:
        The number removed, and the place where to go on; None where no line is left to be looked at.
    """
    behind = f"FROM {_OF_OWNER} AND (timestamp, number) > (?, ?)"
    last = tx.one(
        f"SELECT timestamp, number {behind} ORDER BY timestamp, number LIMIT 1 OFFSET ?",
        (owner, owner, *place, LOOKED_AT - 1),
    )
    sql, bound = f"DELETE {behind}", [owner, owner, *place]
    if last is not None:
        sql, bound = f"{sql} AND (timestamp, number) <= (?, ?)", [*bound, *last]
    if before is not None:
        sql, bound = f"{sql} AND timestamp<?", [*bound, before]
    for wanted, form in ((only, "{}"), (but, "NOT {}")):
        if wanted is not None:
            condition, named = metrics.among(wanted, _METRIC, _VARIANT)
            sql, bound = f"{sql} AND {form.format(condition)}", [*bound, *named]
    gone = tx.run(sql, bound)
    if last is None or (before is not None and last[0] >= before):
        return gone, None
    return gone, (last[0], last[1])


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
