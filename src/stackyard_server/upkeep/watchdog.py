"""The watchdog: looks for tasks whose worker vanished, and stops them or puts them back into their queue.

``check`` looks once; ``watch`` looks for as long as the server runs and forgets what is too old to show. What is
decided is in ``rules.vanished``. Silence counts only while the server could hear: after a start, and after the clock
jumped or the machine slept, every task gets its full time again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from ..call import Services
from ..rules import task_status, vanished
from ..store import Transaction, hand_outs, queues, workers
from ..store.documents import TASK, Document

log = logging.getLogger(__name__)

#: Who changed a task where no user did.
BY = "__watchdog__"
DAY_MS = 24 * 3600 * 1000
QUEUE_SAMPLES_DAYS = 31
WORKER_SAMPLES_DAYS = 7
PRUNE_SECONDS = 3600.0


@dataclass
class Hearing:
    """Since when the server could hear workers.

    Args:
        now: Epoch milliseconds.
        monotonic: Seconds of a clock that neither jumps nor runs while the machine sleeps.
    """

    now: int
    monotonic: float

    def __post_init__(self) -> None:
        self.since = self.now

    def tick(self, now: int, monotonic: float, tolerance_seconds: float) -> None:
        """Notice a gap: more (or less) time passed on the wall than was lived through."""
        if abs((now - self.now) / 1000 - (monotonic - self.monotonic)) > tolerance_seconds:
            self.since = now
        self.now, self.monotonic = now, monotonic


_TASK = (
    "SELECT t.id, max(coalesce(t.last_update, t.status_changed, t.started, t.created, 0), coalesce(h.at, 0)), "
    "coalesce(t.last_worker, h.header), coalesce(t.status_message, ''), q.id IS NOT NULL AND h.task IS NOT NULL, "
    "coalesce(h.lost, 0) "
)
_QUEUE = "LEFT JOIN queue q ON q.id=json_extract(t.execution, '$.queue') "
RUNNING = (
    f"{_TASK} FROM task t LEFT JOIN hand_out h ON h.task=t.id {_QUEUE} "
    "WHERE t.status='in_progress' AND coalesce(t.last_update, 0)<?"
)
TAKEN = (
    f"{_TASK} FROM hand_out h JOIN task t ON t.id=h.task {_QUEUE} WHERE h.unstarted=1 AND h.at<? "
    "AND t.status='queued' AND NOT EXISTS (SELECT 1 FROM queue_entry e WHERE e.task=h.task)"
)


def silent(tx: Transaction, before: int) -> list[vanished.Silent]:
    """The tasks without a sign of life since then that run, or that a worker took and never started."""
    return [
        vanished.Silent(id, last_sign, worker or None, message, bool(has_queue), losses)
        for id, last_sign, worker, message, has_queue, losses in (
            *tx.all(RUNNING, (before,)),
            *tx.all(TAKEN, (before,)),
        )
    ]


def check(services: Services, listening_since: int) -> list[tuple[str, vanished.Verdict]]:
    """Look once.

    Args:
        services: The server's store, clock and settings.
        listening_since: Epoch milliseconds.

    Returns:
        The tasks that were stopped or queued again.
    """
    now = int(services.clock() * 1000)
    settings = services.settings
    allowed = int(settings.watchdog_minutes * 60_000)
    with services.store.reading() as tx:
        suspects = silent(tx, now - allowed)
    found = [
        (task, verdict)
        for task in suspects
        if (verdict := vanished.verdict(task, now, listening_since, allowed, settings.requeue_limit))
    ]
    if found:
        with services.store.writing() as tx:
            for task, verdict in found:
                _apply(tx, task, verdict, now)
        for task, verdict in found:
            log.warning("task %s is %s now. %s. %s", task.id, verdict.status, verdict.reason, verdict.message)
    return [(task.id, verdict) for task, verdict in found]


def _apply(tx: Transaction, task: vanished.Silent, verdict: vanished.Verdict, now: int) -> None:
    changes: Document = {
        "status": verdict.status,
        "status_reason": verdict.reason,
        "status_message": verdict.message,
        "status_changed": now,
        "last_update": now,
        "last_change": now,
        "last_changed_by": BY,
    }
    if verdict.status == task_status.QUEUED:
        queue = tx.value("SELECT json_extract(execution, '$.queue') FROM task WHERE id=?", (task.id,))
        queues.remove_task(tx, task.id, now)
        queues.add(tx, queue, task.id, now)
        hand_outs.set_losses(tx, task.id, task.losses + 1)
        changes["enqueue_status"] = task_status.CREATED
    else:
        queues.remove_task(tx, task.id, now)
        changes["completed"] = now
    TASK.update(tx, task.id, changes)


def prune(services: Services) -> None:
    """Forget what is too old to show: samples of queues and machines, silent workers, hand-outs of deleted tasks."""
    now = int(services.clock() * 1000)
    with services.store.writing("metrics") as tx:
        queues.prune_samples(tx, now - QUEUE_SAMPLES_DAYS * DAY_MS)
        workers.prune(tx, now, now - WORKER_SAMPLES_DAYS * DAY_MS)
        hand_outs.prune(tx)


async def watch(services: Services) -> None:
    """Look and forget, again and again, until cancelled. ``watchdog_minutes`` 0 looks for nothing."""
    minutes = services.settings.watchdog_minutes
    pause = vanished.check_seconds(minutes) if minutes > 0 else 60.0
    hearing = Hearing(int(services.clock() * 1000), time.monotonic())
    pruned = time.monotonic()
    while True:
        await asyncio.sleep(pause)
        hearing.tick(int(services.clock() * 1000), time.monotonic(), tolerance_seconds=pause)
        try:
            if minutes > 0:
                check(services, hearing.since)
            if time.monotonic() - pruned > PRUNE_SECONDS:
                pruned = time.monotonic()
                prune(services)
        except Exception:  # the edge of a tick: the disk may be full, the next look may do better
            log.exception("the watchdog failed")
