"""The watchdog: tasks whose worker vanished are tried again or ended, tasks beyond their time limit are ended.

``check`` and ``check_limits`` look once; ``watch`` looks for as long as the server runs and forgets what is too old to
show. What is decided is in ``rules.fate``, from settings and what queues ask for. Silence counts only while the server
could hear: after a start, and after the clock jumped or the machine slept, every task gets its full time again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from ..calls import Services
from ..rules import fate, queue_policy, task_status
from ..rules.queue_policy import QueuePolicy
from ..settings import YEAR_SECONDS
from ..store import Transaction, credentials, hand_outs, queues, tasks, workers
from ..store.documents import TASK
from ..tasks import loss

log = logging.getLogger(__name__)

#: Who changed a task where no user did.
BY = "__watchdog__"
DAY_MS = 24 * 3600 * 1000
QUEUE_SAMPLES_DAYS = 31
WORKER_SAMPLES_DAYS = 7
SESSIONS_DAYS = 7
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


def silent(services: Services, tx: Transaction, now: int) -> list[fate.Silent]:
    """The tasks without a sign of life for as long as allowed that run, or that a worker took and never started.

    Where ``watchdog_minutes`` is 0, only what a queue says by itself is a silence that counts.
    """
    settings, asked = services.settings, policies(tx)
    usual = int(settings.watchdog_minutes * 60_000) or None
    own = {
        id: int(min(policy.silence_seconds, YEAR_SECONDS) * 1000)
        for id, (_, policy) in asked.items()
        if policy.silence_seconds is not None
    }
    counted = [*own.values(), *([usual] if usual is not None else [])]
    if not counted:
        return []
    least, found = min(counted), []
    for task in (*tasks.silent(tx, now - least), *tasks.taken(tx, now - least)):
        known = asked.get(task.queue or "") if task.handed_out else None
        allowed = own.get(task.queue or "", usual) if known else usual
        if allowed is None:
            continue
        policy = known[1] if known else QueuePolicy()
        lost = fate.Lost(
            status_message=task.status_message,
            status_reason=task.status_reason,
            has_queue=known is not None,
            tries=fate.tries(task.runtime),
            retries=settings.requeue_limit if policy.retries is None else policy.retries,
            was_started=task.status == task_status.IN_PROGRESS,
            is_archived=fate.is_archived(task.system_tags),
        )
        found.append(fate.Silent(task.id, lost, task.last_sign, task.worker or None, allowed))
    return found


def check(services: Services, listening_since: int) -> list[tuple[str, fate.Fate]]:
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
    found = [(task.id, f) for task in suspects if (f := fate.silent(task, now, listening_since))]
    if found:
        with services.store.writing() as tx:
            for id, decided in found:
                loss.write(tx, id, decided, now, BY)
        for id, decided in found:
            services.meter.watchdog["requeued" if decided.status == "queued" else decided.status] += 1
            log.warning("task %s is %s now. %s. %s", id, decided.status, decided.reason, decided.message)
    return found


def check_limits(services: Services) -> list[tuple[str, fate.OverTime]]:
    """Look once for tasks that run longer than they may: those that were asked to stop, or ended."""
    now, grace = int(services.clock() * 1000), services.settings.time_limit_grace_seconds
    with services.store.reading() as tx:
        asked = policies(tx)
        limits = [policy.time_limit_seconds for _, policy in asked.values() if policy.time_limit_seconds]
        since = now - int(min([grace, *limits]) * 1000)
        running = tasks.running(tx, since, *queue_policy.TASK_TIME_LIMIT)
    found = []
    for id, started, message, changed, queue, own in running:
        name, policy = asked.get(queue or "", ("", QueuePolicy()))
        task = fate.Running(
            started=started,
            asked=changed if fate.is_stopping(message) else None,
            own_limit_seconds=queue_policy.seconds(own),
            queue_limit_seconds=policy.time_limit_seconds,
            queue_name=name,
        )
        if decided := fate.over_time(task, now, grace):
            found.append((id, decided))
    if found:
        with services.store.writing() as tx:
            for id, decided in found:
                asking = decided.action == "ask"
                changes = {
                    "status": task_status.IN_PROGRESS if asking else task_status.FAILED,
                    "status_reason": decided.reason,
                    "status_message": decided.message,
                    "status_changed": now,
                    "last_change": now,
                    "last_changed_by": BY,
                }
                # Being asked is no sign of life; the end is the last one.
                TASK.update(tx, id, changes if asking else {**changes, "completed": now, "last_update": now})
        for id, decided in found:
            services.meter.watchdog[f"time_limit_{'asked' if decided.action == 'ask' else 'failed'}"] += 1
            log.warning("task %s: %s", id, decided.reason)
    return found


def prune(services: Services) -> None:
    """Forget what is too old to show: samples of queues and machines, silent workers, hand-outs of deleted
    tasks, sessions that ended long ago."""
    now = int(services.clock() * 1000)
    with services.store.writing("metrics") as tx:
        queues.prune_samples(tx, now - QUEUE_SAMPLES_DAYS * DAY_MS)
        workers.prune(tx, now, now - WORKER_SAMPLES_DAYS * DAY_MS)
        hand_outs.prune(tx)
        credentials.forget_sessions(tx, now // 1000 - SESSIONS_DAYS * DAY_MS // 1000)


def check_seconds(allowed_seconds: float) -> float:
    """How often to look: a twelfth of the allowed silence, between half a second and five."""
    return min(5.0, max(0.5, allowed_seconds / 12))


async def watch(services: Services, noted: Callable[[str], AbstractContextManager[None]]) -> None:
    """Look and forget, again and again, until cancelled.

    Args:
        services: The server's.
        noted: Around each look: says that it failed; the next one may do better.
    """
    pause = check_seconds(min(services.settings.watchdog_minutes or 60, 1) * 60)
    hearing = Hearing(int(services.clock() * 1000), time.monotonic())
    pruned = time.monotonic()
    while True:
        await asyncio.sleep(pause)
        hearing.tick(int(services.clock() * 1000), time.monotonic(), tolerance_seconds=pause)
        looks: list[Callable[[], object]] = [
            partial(check, services, hearing.since),
            partial(check_limits, services),
        ]
        if time.monotonic() - pruned > PRUNE_SECONDS:
            pruned = time.monotonic()
            looks.append(partial(prune, services))
        for look in looks:
            with noted("the watchdog's look"):
                look()
