"""Hand-outs: to whom a queue gave a task last, and what is remembered of its earlier runs.

A task that is queued again after it was handed out, or reset while it runs, has a *fence*: what its earlier run still
writes is refused. Who is refused is decided in ``rules.fencing``; here is what the decision needs. Tasks with a fence
are also known by their ids in memory (``Transaction.fenced``), so that all others cost a look into an empty set. That
set may hold more than the table does (a transaction that was undone, a deleted task), never less.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from . import Transaction

#: The taker of a task that a queue gave away before takers were written down.
UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class HandOut:
    """A task that was queued again, and who pulled it since."""

    #: Epoch milliseconds.
    requeued_at: int
    #: None while it waits.
    pulled_at: int | None
    #: The puller's session, its X-ClearML-Worker and the worker ids it had registered; empty while it waits.
    session: str
    header: str
    workers: frozenset[str]
    #: Names and sessions of the workers of earlier runs.
    former: frozenset[str]
    former_sessions: frozenset[str]


def requeue(tx: Transaction, task_id: str, now: int) -> None:
    """Give a task that was handed out before its fence; nothing for any other."""
    row = tx.one("SELECT header, workers, former FROM hand_out WHERE task=?", (task_id,))
    if row is None:
        return
    header, workers, former = row
    last = tx.value("SELECT last_worker FROM task WHERE id=?", (task_id,))
    known = {name for name in (*orjson.loads(former), *orjson.loads(workers), header, last) if name}
    tx.run(
        "UPDATE hand_out SET requeued=?, former=?, at=NULL, session='', header='', workers='[]', unstarted=0 "
        "WHERE task=?",
        (now, orjson.dumps(sorted(known)).decode(), task_id),
    )
    tx.run("UPDATE run_session SET fenced=1 WHERE task=?", (task_id,))
    tx.fenced.add(task_id)


def reset(tx: Transaction, task_id: str, now: int, session: str) -> None:
    """Give a task that was made a draft again while it ran its fence: only whoever did that, and sessions begun since,
    may run it. Names of workers do not count: the same machine may run it anew, without a queue."""
    if tx.value("SELECT 1 FROM run_session WHERE task=? AND session=?", (task_id, session)) is not None:
        return  # the run itself begins anew
    tx.run(
        "INSERT INTO hand_out(task, at, session, header, workers, requeued) VALUES (?1, NULL, ?2, '', '[]', ?3) "
        "ON CONFLICT(task) DO UPDATE SET at=NULL, session=?2, header='', workers='[]', requeued=?3, unstarted=0",
        (task_id, session, now),
    )
    tx.run("UPDATE run_session SET fenced=1 WHERE task=?", (task_id,))
    tx.fenced.add(task_id)


def note(
    tx: Transaction, task_id: str, now: int, *, user: str, session: str, header: str, workers: Iterable[str]
) -> None:
    """Write down who got a task; a puller that ran it before is let in again."""
    tx.run(
        "INSERT INTO hand_out(task, at, user, session, header, workers, unstarted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1) "
        "ON CONFLICT(task) DO UPDATE SET at=?2, user=?3, session=?4, header=?5, workers=?6, unstarted=1",
        (task_id, now, user, session, header, orjson.dumps(sorted(workers)).decode()),
    )
    if task_id in tx.fenced:
        tx.run("UPDATE run_session SET fenced=0 WHERE task=? AND session=?", (task_id, session))


def note_start(tx: Transaction, task_id: str, session: str) -> None:
    """Write down that a session runs a task that a queue handed out."""
    tx.run("UPDATE hand_out SET unstarted=0 WHERE task=? AND unstarted=1", (task_id,))
    if not session:
        return
    tx.run(
        "INSERT OR IGNORE INTO run_session(task, session) SELECT task, ? FROM hand_out WHERE task=?",
        (session, task_id),
    )


def fenced(tx: Transaction, task_id: str) -> HandOut | None:
    """What is remembered of a task that has a fence; None for all others."""
    row = tx.one(
        "SELECT requeued, at, session, header, workers, former FROM hand_out WHERE task=? AND requeued IS NOT NULL",
        (task_id,),
    )
    if row is None:
        return None
    requeued, pulled, session, header, workers, former = row
    refused = tx.all("SELECT session FROM run_session WHERE task=? AND fenced=1", (task_id,))
    return HandOut(
        requeued_at=requeued,
        pulled_at=pulled,
        session=session,
        header=header,
        workers=frozenset(orjson.loads(workers)),
        former=frozenset(orjson.loads(former)),
        former_sessions=frozenset(s for (s,) in refused),
    )


def taker(tx: Transaction, task_id: str) -> str | None:
    """The user whose agent a queue gave the task last, UNKNOWN of an earlier release's; None where none did."""
    user = tx.value("SELECT user FROM hand_out WHERE task=?", (task_id,))
    return None if user is None else str(user)


def is_holder(tx: Transaction, task_id: str, session: str) -> bool:
    """Whether a queue gave the task last to that session, and nobody has queued it again since."""
    row = tx.one("SELECT session FROM hand_out WHERE task=? AND at IS NOT NULL", (task_id,))
    return row is not None and bool(session) and row[0] == session


def prune(tx: Transaction) -> int:
    """Forget tasks that are gone; how many were."""
    tx.run("DELETE FROM run_session WHERE task NOT IN (SELECT id FROM task)")
    return tx.run("DELETE FROM hand_out WHERE task NOT IN (SELECT id FROM task)")
