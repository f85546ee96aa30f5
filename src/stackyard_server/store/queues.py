"""Queues: where tasks wait, in order, until one worker takes each.

Here: the queues themselves, their entries and the samples that tell depth and waiting time. A task waits in one
queue at most (a unique index says so), and taking one is a single transaction on the one writing connection: two
workers cannot get the same task. An empty queue is only read. Whom a task was handed to is in ``hand_outs``.
Imports the store's documents; knows no request.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from . import Transaction, hand_outs, meta
from .documents import QUEUE, Document, new_id
from .refusals import AlreadyQueued, NotQueued, QueueNameTaken, QueueNameTooShort, UnknownQueue

#: The system tag of the queue that is taken when none is named.
DEFAULT_TAG = "default"
#: The shortest name ClearML allows.
SHORTEST_NAME = 3
#: Positions closer than this are spread again.
LEAST_GAP = 1e-6
#: No entry waits for its time longer than this: beyond it the clock was set back. Milliseconds.
LONGEST_WAIT = 3_600_000
#: Entries whose time has come, at ``?2``.
_DUE = f"(e.not_before IS NULL OR e.not_before<=?2 OR e.not_before>?2+{LONGEST_WAIT})"


@dataclass(frozen=True, slots=True)
class Entry:
    """A task that waits; instants in epoch milliseconds."""

    task: str
    added: int
    #: It is passed over before that; None: it may go at once.
    not_before: int | None = None


class Depth(NamedTuple):
    """How many tasks wait in a queue, and since when the oldest of them does (epoch milliseconds)."""

    id: str
    name: str
    waiting: int
    oldest: int | None


@dataclass(frozen=True, slots=True)
class Sample:
    """A queue's depth at a moment: how many waited and the sum of when they came, before and after one left."""

    queue: str
    at: int
    waiting: int
    added_sum: int
    waiting_after: int
    added_sum_after: int


def found(tx: Transaction, now: int) -> None:
    """Make the default queue of a new data folder."""
    if default(tx) is None:
        _insert(tx, {"name": "default", "system_tags": [DEFAULT_TAG]}, now)


def default(tx: Transaction) -> str | None:
    """The id of the queue that is taken when none is named."""
    sql = (
        "SELECT id FROM queue WHERE EXISTS (SELECT 1 FROM json_each(system_tags) WHERE value=?) "
        "ORDER BY number LIMIT 1"
    )
    id: str | None = tx.value(sql, (DEFAULT_TAG,))
    return id


def depths(tx: Transaction) -> list[Depth]:
    """The depth of every queue, by name."""
    oldest = "(SELECT min(added) FROM queue_entry e WHERE e.queue=q.number)"
    rows = tx.all(f"SELECT id, name, waiting, {oldest} FROM queue q ORDER BY name")
    return [Depth(*row) for row in rows]


def by_name(tx: Transaction, name: str) -> str | None:
    """The id of the queue of exactly that name."""
    return QUEUE.id_of(tx, name)


def metadata(tx: Transaction) -> list[tuple[str, str, Any]]:
    """(id, name, metadata) of every queue."""
    rows = tx.all("SELECT id, name, metadata FROM queue")
    return [(id, name, orjson.loads(text) if text else None) for id, name, text in rows]


def find(tx: Transaction, queue_id: str) -> Document:
    """The queue.

    Raises:
        UnknownQueue: There is none.
    """
    document = QUEUE.get(tx, queue_id)
    if document is None:
        raise _unknown(tx, queue_id)
    return document


def number_of(tx: Transaction, queue_id: str) -> int:
    """The queue's row.

    Raises:
        UnknownQueue: There is none.
    """
    number: int | None = tx.value("SELECT number FROM queue WHERE id=?", (queue_id,))
    if number is None:
        raise _unknown(tx, queue_id)
    return number


def _unknown(tx: Transaction, queue_id: str) -> UnknownQueue:
    """The refusal of an id that is no queue's."""
    return UnknownQueue(queue_id, meta.company(tx))


def create(
    tx: Transaction,
    who: Any,
    name: str,
    now: int,
    *,
    display_name: str | None = None,
    tags: Iterable[str] = (),
    system_tags: Iterable[str] = (),
    metadata: Document | None = None,
) -> str:
    """Add a queue.

    Args:
        tx: The transaction.
        who: The caller's identity.
        name: At least three characters, not taken.
        now: Epoch milliseconds.
        display_name: What is shown instead of the name.
        tags: Its tags.
        system_tags: Its system tags.
        metadata: Its metadata, by key.

    Returns:
        Its id.

    Raises:
        QueueNameTooShort, QueueNameTaken: The name cannot be one.
    """
    document: Document = {
        "user": who.user,
        "name": checked_name(name),
        "display_name": display_name,
        "tags": list(tags),
        "system_tags": list(system_tags),
        "metadata": metadata or {},
    }
    return _insert(tx, document, now)


def _insert(tx: Transaction, document: Document, now: int) -> str:
    id = new_id()
    filled = {"tags": [], "system_tags": [], "metadata": {}, **document}
    filled |= {"id": id, "company": meta.company(tx), "created": now, "last_update": now}
    try:
        QUEUE.insert(tx, filled)
    except sqlite3.IntegrityError:
        raise QueueNameTaken from None
    return id


def checked_name(name: str) -> str:
    """The name without outer spaces.

    Raises:
        QueueNameTooShort: It is too short.
    """
    name = name.strip()
    if len(name) < SHORTEST_NAME:
        raise QueueNameTooShort(name)
    return name


def update(tx: Transaction, queue_id: str, changes: Document) -> int:
    """Set fields of a queue.

    Raises:
        UnknownQueue: There is none.
        QueueNameTaken: Another one has the name.
    """
    number_of(tx, queue_id)
    try:
        return QUEUE.update(tx, queue_id, changes) if changes else 0
    except sqlite3.IntegrityError:
        raise QueueNameTaken from None


def delete(tx: Transaction, queue_id: str) -> list[str]:
    """Remove a queue; the tasks that waited in it, in order."""
    number = number_of(tx, queue_id)
    waiting = [
        task for (task,) in tx.all("SELECT task FROM queue_entry WHERE queue=? ORDER BY position", (number,))
    ]
    QUEUE.delete(tx, [queue_id])
    return waiting


def is_watched(tx: Transaction, queue_id: str, now: int) -> bool:
    """Whether a worker that is alive listens on the queue."""
    sql = (
        "SELECT 1 FROM worker WHERE last_active + timeout_seconds * 1000 >= ? "
        "AND EXISTS (SELECT 1 FROM json_each(queues) WHERE value=?) LIMIT 1"
    )
    return tx.value(sql, (now, queue_id)) is not None


# Entries


def add(tx: Transaction, queue_id: str, task_id: str, now: int, not_before: int | None = None) -> None:
    """Let a task wait at the end of a queue.

    A task that was handed out before gets its fence here: what its earlier run still writes is refused from now on.

    Args:
        tx: The transaction.
        queue_id: The queue.
        task_id: The task.
        now: Epoch milliseconds.
        not_before: It is passed over before that instant.

    Raises:
        UnknownQueue: There is none.
        AlreadyQueued: The task waits already.
    """
    number = number_of(tx, queue_id)
    last = tx.value("SELECT max(position) FROM queue_entry WHERE queue=?", (number,))
    try:
        tx.run(
            "INSERT INTO queue_entry(queue, position, task, added, not_before) VALUES (?, ?, ?, ?, ?)",
            (number, 0.0 if last is None else float(int(last) + 1), task_id, now, not_before),
        )
    except sqlite3.IntegrityError:
        raise AlreadyQueued(task_id) from None
    _note_change(tx, number, now)
    hand_outs.requeue(tx, task_id, now)


def of_task(tx: Transaction, task_id: str) -> str | None:
    """The queue a task waits in; None where it waits in none."""
    sql = "SELECT q.id FROM queue_entry e JOIN queue q ON q.number=e.queue WHERE e.task=?"
    queue: str | None = tx.value(sql, (task_id,))
    return queue


def remove_task(tx: Transaction, task_id: str, now: int) -> str | None:
    """Take a task out of the queue it waits in.

    Returns:
        That queue's id; None where it waits in none.
    """
    row = tx.one(
        "SELECT e.queue, e.added, q.id FROM queue_entry e JOIN queue q ON q.number=e.queue WHERE e.task=?",
        (task_id,),
    )
    if row is None:
        return None
    _note_change(tx, row[0], now, taken=row[1])
    tx.run("DELETE FROM queue_entry WHERE task=?", (task_id,))
    queue: str = row[2]
    return queue


def pop(tx: Transaction, queue_id: str, now: int) -> Entry | None:
    """Take the first task of a queue whose time has come; None where there is none (then nothing was written).

    Raises:
        UnknownQueue: There is none.
    """
    row = tx.one(
        "SELECT q.number, e.position, e.task, e.added FROM queue q LEFT JOIN queue_entry e ON e.queue=q.number "
        f"AND {_DUE} WHERE q.id=?1 ORDER BY e.position LIMIT 1",
        (queue_id, now),
    )
    if row is None:
        raise _unknown(tx, queue_id)
    number, position, task, added = row
    if task is None:
        return None
    _note_change(tx, number, now, taken=added)
    tx.run("DELETE FROM queue_entry WHERE queue=? AND position=?", (number, position))
    return Entry(task, added)


def replace_entries(tx: Transaction, queue_id: str, waiting: Iterable[tuple[str, int]]) -> None:
    """Let these tasks wait in a queue, in this order, and no others.

    Args:
        tx: A writing transaction.
        queue_id: The queue.
        waiting: (task, since when it waits, epoch milliseconds); taken out of any other queue.
    """
    number = tx.value("SELECT number FROM queue WHERE id=?", (queue_id,))
    tx.run("DELETE FROM queue_entry WHERE queue=?", (number,))
    for position, (task, added) in enumerate(waiting, start=1):
        tx.run("DELETE FROM queue_entry WHERE task=?", (task,))
        tx.run(
            "INSERT INTO queue_entry(queue, position, task, added) VALUES (?, ?, ?, ?)",
            (number, float(position), task, added),
        )


def _note_change(tx: Transaction, number: int, now: int, taken: int | None = None) -> None:
    tx.run(
        "INSERT INTO queue_sample SELECT number, ?, waiting, added_sum, ? FROM queue WHERE number=?",
        (now, taken, number),
    )
    tx.run("UPDATE queue SET last_update=? WHERE number=?", (now, number))


def first(tx: Transaction, queue_id: str, now: int) -> str | None:
    """The task that would be taken next.

    Raises:
        UnknownQueue: There is none.
    """
    number = number_of(tx, queue_id)
    task: str | None = tx.value(
        f"SELECT task FROM queue_entry e WHERE queue=?1 AND {_DUE} ORDER BY position LIMIT 1", (number, now)
    )
    return task


def depth(tx: Transaction, queue_id: str) -> int:
    """How many tasks wait.

    Raises:
        UnknownQueue: There is none.
    """
    return int(tx.value("SELECT waiting FROM queue WHERE number=?", (number_of(tx, queue_id),)))


def entries(tx: Transaction, queue_id: str, most: int | None = None) -> list[Entry]:
    """The waiting tasks of a queue in order, the first ``most`` of them."""
    rows = tx.all(
        "SELECT task, added, not_before FROM queue_entry WHERE queue=(SELECT number FROM queue WHERE id=?) "
        "ORDER BY position LIMIT ?",
        (queue_id, -1 if most is None else max(0, most)),
    )
    return [Entry(*row) for row in rows]


def move(tx: Transaction, queue_id: str, task_id: str, places: int | None, *, towards_head: bool) -> int:
    """Move a waiting task within its queue.

    Args:
        tx: The transaction.
        queue_id: The queue.
        task_id: The task.
        places: By how many; None to the very end of that direction.
        towards_head: The direction.

    Returns:
        Its new place, the head being 0.

    Raises:
        NotQueued: The task does not wait there.
    """
    number = tx.value("SELECT number FROM queue WHERE id=?", (queue_id,))
    rows = tx.all("SELECT task, position FROM queue_entry WHERE queue=? ORDER BY position", (number,))
    order = [task for task, _ in rows]
    if task_id not in order:
        raise not_waiting(tx, queue_id, task_id)
    here = order.index(task_id)
    if places is None:
        there = 0 if towards_head else len(rows) - 1
    else:
        there = min(max(here - places if towards_head else here + places, 0), len(rows) - 1)
    if there == here:
        return here
    others = [position for task, position in rows if task != task_id]
    low = others[there - 1] if there > 0 else others[0] - 2
    high = others[there] if there < len(others) else others[-1] + 2
    if high - low > LEAST_GAP:
        tx.run("UPDATE queue_entry SET position=? WHERE task=?", ((low + high) / 2, task_id))
    else:
        order.insert(there, order.pop(here))
        _spread(tx, number, order)
    return there


def _spread(tx: Transaction, number: int, order: list[str]) -> None:
    beyond = tx.value("SELECT max(position) FROM queue_entry WHERE queue=?", (number,)) + 1
    tx.many(
        "UPDATE queue_entry SET position=? WHERE task=?",
        [(float(int(beyond) + place), task) for place, task in enumerate(order)],
    )


def not_waiting(tx: Transaction, queue_id: str, task_id: str) -> NotQueued:
    """The refusal of a task that does not wait in the queue."""
    return NotQueued(task_id, queue_id, meta.company(tx))


# Samples


def samples(tx: Transaction, queue_ids: Iterable[str], since: int, until: int) -> list[Sample]:
    """What changed in these queues (all of them when none is named), in order of time.

    Returns:
        The samples from ``since`` to ``until`` (epoch milliseconds), and before them each queue's last earlier one.
    """
    result = []
    wanted = set(queue_ids)
    for number, id in tx.all("SELECT number, id FROM queue"):
        if wanted and id not in wanted:
            continue
        earlier = "SELECT at FROM queue_sample WHERE queue=?1 AND at<?2 ORDER BY at DESC LIMIT 1"
        rows = tx.all(
            "SELECT at, waiting, added_sum, taken FROM queue_sample "
            f"WHERE queue=?1 AND at>=coalesce(({earlier}), ?2) AND at<=?3 ORDER BY at, rowid",
            (number, since, until),
        )
        for at, waiting, added_sum, taken_added in rows:
            left = (waiting, added_sum) if taken_added is None else (waiting - 1, added_sum - taken_added)
            result.append(Sample(id, at, waiting, added_sum, *left))
    return sorted(result, key=lambda s: s.at)


def prune_samples(tx: Transaction, before: int) -> int:
    """Forget samples older than that; how many went."""
    return tx.run("DELETE FROM queue_sample WHERE at<?", (before,))
