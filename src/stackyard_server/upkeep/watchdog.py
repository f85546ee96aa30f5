"""The watchdog: tasks whose worker vanished are tried again or ended, tasks beyond their time limit are ended.

``check`` and ``check_limits`` look once; ``watch`` looks for as long as the server runs and forgets what is too old to
show. What is decided is in ``rules.vanished`` and ``rules.time_limits``, from settings and what queues ask for. Silence
counts only while the server could hear: after a start, and after the clock jumped or the machine slept, every task gets
its full time again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from ..call import Services
from ..rules import queue_policy, task_status, time_limits, vanished
from ..rules.queue_policy import QueuePolicy
from ..store import Transaction, hand_outs, queues, tasks, workers
from ..store.documents import TASK, Document
from ..tasks.queueing import RETRIES

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


def policies(tx: Transaction) -> dict[str, tuple[str, QueuePolicy]]:
    """Each queue's name and what it asks for its tasks, by id."""
    return {id: (name, queue_policy.read(asked)) for id, name, asked in queues.metadata(tx)}


def silent(services: Services, tx: Transaction, now: int) -> list[vanished.Silent]:
    """The tasks without a sign of life for as long as allowed that run, or that a worker took and never started."""
    settings, asked = services.settings, policies(tx)
    usual = int(settings.watchdog_minutes * 60_000)
    least = min([usual, *(int(p.silence_seconds * 1000) for _, p in asked.values() if p.silence_seconds)])
    found = []
    for task in (*tasks.silent(tx, now - least), *tasks.taken(tx, now - least)):
        known = asked.get(task.queue or "") if task.handed_out else None
        policy = known[1] if known else QueuePolicy()
        found.append(
            vanished.Silent(
                id=task.id,
                last_sign=task.last_sign,
                worker=task.worker or None,
                status_message=task.status_message,
                has_queue=known is not None,
                losses=task.losses,
                allowed=usual if policy.silence_seconds is None else int(policy.silence_seconds * 1000),
                retries=settings.requeue_limit if policy.retries is None else policy.retries,
                was_started=task.status == task_status.IN_PROGRESS,
            )
        )
    return found


def check(services: Services, listening_since: int) -> list[tuple[str, vanished.Verdict]]:
    """Look once for tasks whose worker vanished.

    Args:
        services: The server's store, clock and settings.
        listening_since: Epoch milliseconds.

    Returns:
        The tasks that were ended or queued again.
    """
    now = int(services.clock() * 1000)
    with services.store.reading() as tx:
        suspects = silent(services, tx, now)
    found = [(task, v) for task in suspects if (v := vanished.verdict(task, now, listening_since))]
    if found:
        with services.store.writing() as tx:
            for task, verdict in found:
                _apply(tx, task, verdict, now)
        for task, verdict in found:
            services.meter.watchdog["requeued" if verdict.status == "queued" else verdict.status] += 1
            log.warning("task %s is %s now. %s. %s", task.id, verdict.status, verdict.reason, verdict.message)
    return [(task.id, verdict) for task, verdict in found]


def _apply(tx: Transaction, task: vanished.Silent, verdict: vanished.Verdict, now: int) -> None:
    changes = _status(verdict.status, verdict.reason, verdict.message, now)
    queues.remove_task(tx, task.id, now)
    if verdict.status == task_status.QUEUED:
        kept = TASK.get(tx, task.id, ("execution", "runtime")) or {}
        queue = kept["execution"]["queue"]
        # The fence begins here, before anyone can take it: what the lost run still writes is refused.
        queues.add(tx, queue, task.id, now, not_before=now + verdict.wait_seconds * 1000)
        hand_outs.set_losses(tx, task.id, verdict.losses)
        changes["enqueue_status"] = task_status.CREATED
        if verdict.losses:
            changes["runtime"] = {**kept.get("runtime", {}), RETRIES: verdict.losses}
    else:
        changes["completed"] = now
    TASK.update(tx, task.id, {**changes, "last_update": now})


def _status(status: str, reason: str, message: str, now: int) -> Document:
    return {
        "status": status,
        "status_reason": reason,
        "status_message": message,
        "status_changed": now,
        "last_change": now,
        "last_changed_by": BY,
    }


def check_limits(services: Services) -> list[tuple[str, time_limits.Verdict]]:
    """Look once for tasks that run longer than they may: those that were asked to stop, or ended."""
    now, grace = int(services.clock() * 1000), services.settings.time_limit_grace_seconds
    with services.store.reading() as tx:
        asked = policies(tx)
        running = tasks.running(tx, now - int(grace * 1000), *queue_policy.TASK_TIME_LIMIT)
    found = []
    for id, started, message, changed, queue, own in running:
        name, policy = asked.get(queue or "", ("", QueuePolicy()))
        limit = policy.time_limit_seconds
        task = time_limits.Running(id, started, message, changed, queue_policy.seconds(own), limit, name)
        if verdict := time_limits.verdict(task, now, grace):
            found.append((id, verdict))
    if found:
        with services.store.writing() as tx:
            for id, verdict in found:
                asking = verdict.action == "ask"
                status = task_status.IN_PROGRESS if asking else task_status.FAILED
                message = task_status.STOPPING if asking else "Ended by the server."
                changes = _status(status, verdict.reason, message, now)
                # Being asked is no sign of life; the end is the last one.
                TASK.update(tx, id, changes if asking else {**changes, "completed": now, "last_update": now})
        for id, verdict in found:
            services.meter.watchdog[f"time_limit_{'asked' if verdict.action == 'ask' else 'failed'}"] += 1
            log.warning("task %s: %s", id, verdict.reason)
    return found


def prune(services: Services) -> None:
    """Forget what is too old to show: samples of queues and machines, silent workers, hand-outs of deleted tasks."""
    now = int(services.clock() * 1000)
    with services.store.writing("metrics") as tx:
        queues.prune_samples(tx, now - QUEUE_SAMPLES_DAYS * DAY_MS)
        workers.prune(tx, now, now - WORKER_SAMPLES_DAYS * DAY_MS)
        hand_outs.prune(tx)


async def watch(services: Services) -> None:
    """Look and forget, again and again, until cancelled. ``watchdog_minutes`` 0 takes no worker for lost."""
    settings = services.settings
    pause = vanished.check_seconds(min(settings.watchdog_minutes or 60, 1) * 60)
    hearing = Hearing(int(services.clock() * 1000), time.monotonic())
    pruned = time.monotonic()
    while True:
        await asyncio.sleep(pause)
        hearing.tick(int(services.clock() * 1000), time.monotonic(), tolerance_seconds=pause)
        try:
            if settings.watchdog_minutes > 0:
                check(services, hearing.since)
            check_limits(services)
            if time.monotonic() - pruned > PRUNE_SECONDS:
                pruned = time.monotonic()
                prune(services)
        except Exception:  # the edge of a tick: the disk may be full, the next look may do better
            log.exception("the watchdog failed")
