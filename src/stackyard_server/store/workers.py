"""Workers: the agents that reported lately, and what their machines measured.

A worker is known by its user and its id, so that two users may use the same id. It is alive until it unregisters or
has been silent for its own timeout. Imports nothing but the door.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from . import Transaction

#: How long a worker may be silent unless it said otherwise, seconds.
TIMEOUT_SECONDS = 600

_COLUMNS = (
    "user, id, address, session, registered, timeout_seconds, last_active, last_report, task, queue, queues, tags, "
    "registered_tags, system_tags"
)


@dataclass(frozen=True, slots=True)
class Worker:
    """An agent as it last reported; instants in epoch milliseconds."""

    user: str
    id: str
    #: Where it called from.
    address: str
    #: The session of its token.
    session: str
    registered: int
    timeout_seconds: int
    last_active: int
    #: None until its first status report.
    last_report: int | None = None
    #: What it runs, and the queue that came from.
    task: str | None = None
    queue: str | None = None
    queues: tuple[str, ...] = ()
    #: As last reported; those it registered with.
    tags: tuple[str, ...] = ()
    registered_tags: tuple[str, ...] = ()
    system_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """What a machine measured at a moment: numbers, or one number per device."""

    at: int
    user: str
    worker: str
    task: str | None
    stats: dict[str, Any]


def _read(row: tuple[Any, ...]) -> Worker:
    lists = (tuple(orjson.loads(text)) for text in row[10:])
    return Worker(*row[:10], *lists)


def find(tx: Transaction, user: str, id: str) -> Worker | None:
    """The worker, alive or not."""
    row = tx.one(f"SELECT {_COLUMNS} FROM worker WHERE user=? AND id=?", (user, id))
    return _read(row) if row else None


def save(tx: Transaction, worker: Worker) -> None:
    """Write a worker down."""
    values = [getattr(worker, name) for name in Worker.__slots__]
    marks = ", ".join("?" * len(values))
    tx.run(
        f"INSERT OR REPLACE INTO worker({_COLUMNS}) VALUES ({marks})",
        [orjson.dumps(v).decode() if isinstance(v, tuple) else v for v in values],
    )


def remove(tx: Transaction, user: str, id: str) -> None:
    """Forget a worker; its measurements stay."""
    tx.run("DELETE FROM worker WHERE user=? AND id=?", (user, id))


def alive(tx: Transaction, now: int) -> list[Worker]:
    """The workers that are not silent for too long, newest registration first."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM worker WHERE last_active + timeout_seconds * 1000 >= ? ORDER BY registered DESC, id",
        (now,),
    )
    return [_read(row) for row in rows]


def by_queue(tx: Transaction, now: int) -> dict[str, list[Worker]]:
    """The workers that listen on each queue."""
    listening: dict[str, list[Worker]] = {}
    for worker in alive(tx, now):
        for queue in worker.queues:
            listening.setdefault(queue, []).append(worker)
    return listening


def of_session(tx: Transaction, user: str, session: str) -> list[str]:
    """The ids of the workers that a session registered or reported for."""
    return [id for (id,) in tx.all("SELECT id FROM worker WHERE user=? AND session=?", (user, session))]


def note_sample(tx: Transaction, worker: Worker, stats: Mapping[str, Any], now: int) -> None:
    """Keep what a machine measured."""
    tx.run(
        "INSERT INTO worker_sample(at, user, worker, task, stats) VALUES (?, ?, ?, ?, ?)",
        (now, worker.user, worker.id, worker.task, orjson.dumps(stats).decode()),
    )


def samples(tx: Transaction, since: int, until: int, ids: Iterable[str] = ()) -> list[Sample]:
    """What machines measured from ``since`` to before ``until``, of all workers or of those named, in order of time."""
    sql = "SELECT at, user, worker, task, stats FROM worker_sample WHERE at>=? AND at<?"
    parameters: list[Any] = [since, until]
    if wanted := list(ids):
        sql += " AND worker IN (SELECT value FROM json_each(?))"
        parameters.append(orjson.dumps(wanted).decode())
    rows = tx.all(sql + " ORDER BY at", parameters)
    return [Sample(at, user, worker, task, orjson.loads(stats)) for at, user, worker, task, stats in rows]


def activity(tx: Transaction, since: int, until: int) -> list[tuple[int, str, str, bool]]:
    """When which worker (user, id) reported, and whether it was running a task."""
    rows = tx.all(
        "SELECT at, user, worker, task IS NOT NULL FROM worker_sample WHERE at>=? AND at<?", (since, until)
    )
    return [(at, user, worker, bool(active)) for at, user, worker, active in rows]


def prune(tx: Transaction, now: int, samples_before: int) -> int:
    """Forget workers silent beyond their timeout and measurements older than that; how many went."""
    gone = tx.run("DELETE FROM worker WHERE last_active + timeout_seconds * 1000 < ?", (now,))
    return gone + tx.run("DELETE FROM worker_sample WHERE at<?", (samples_before,))
