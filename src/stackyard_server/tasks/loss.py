"""A lost task: who may say so, what is decided, and that written down. What is decided is in ``rules.fate``."""

from __future__ import annotations

import math

from ..calls import Call
from ..identity import roles
from ..protocol.error_table import error, field_error
from ..rules import fate, queue_policy, task_status
from ..rules.fate import End, Fate, Lost
from ..store import Transaction, hand_outs, projects, queues
from ..store.documents import QUEUE, TASK, Document
from . import changes

#: What a report of a loss has to know of the task.
FIELDS = (*changes.STATUS_FIELDS, "execution", "runtime")
LONGEST_WORKER = 1000
LARGEST_NUMBER = 2**31
#: A report may have waited for a server that was away.
LONGEST_AGO_SECONDS = 366 * 24 * 3600.0


def report(call: Call) -> Fate | None:
    """Decide what becomes of a task of which somebody says how its agent came to its end, and write it down.

    Returns:
        What was decided; None where the report is not about the task's present run.

    Raises:
        ApiError: 400/101 no such task; 400/12 a value out of bounds; 403/20 another user's agent took the task.
    """
    data = call.data
    task = changes.require(call.tx, data["task"], FIELDS, public=True)
    taker = hand_outs.taker(call.tx, task["id"])
    if not roles.allows(call.who.role, "admin") and taker not in (call.who.user, hand_outs.UNKNOWN):
        raise error("not_your_task", task=task["id"])
    worker, end, number = data["worker"], End(data["end"]), call.get("number")
    if not worker or len(worker) > LONGEST_WORKER:
        raise field_error("worker", f": 1 to {LONGEST_WORKER} characters were expected.")
    if number is not None and not 0 <= number < LARGEST_NUMBER:
        raise field_error("number", f": 0 to {LARGEST_NUMBER - 1} was expected, found {number}.")
    asked = _instant(call, "asked_seconds_ago")
    ended = _instant(call, "ended_seconds_ago")
    if task.get("last_worker") != worker or not fate.is_of_this_run(
        task["status"],
        task.get("status_reason") or "",
        started=task.get("started"),
        changed=task.get("status_changed"),
        ended=call.now if ended is None else ended,
        asked=asked,
    ):
        return None
    policy = _policy(call.tx, task)
    settings = call.services.settings
    found = fate.reported(
        Lost(
            status_message=task.get("status_message") or "",
            status_reason=task.get("status_reason") or "",
            has_queue=taker is not None and policy is not None,
            tries=fate.tries(task.get("runtime")),
            retries=settings.requeue_limit if policy is None or policy.retries is None else policy.retries,
            is_archived=fate.is_archived(task.get("system_tags")),
        ),
        end,
        number,
        started=task.get("started"),
        asked=asked,
    )
    write(call.tx, task["id"], found, call.now, call.who.user)
    return found


def _instant(call: Call, name: str) -> int | None:
    ago = call.get(name)
    if ago is None:
        return None
    if not math.isfinite(ago) or not 0 <= ago <= LONGEST_AGO_SECONDS:
        raise field_error(name, f": 0 to {LONGEST_AGO_SECONDS:.0f} seconds were expected, found {ago}.")
    return call.now - int(ago * 1000)


def _policy(tx: Transaction, task: Document) -> queue_policy.QueuePolicy | None:
    """What the queue asks for that the task came from; None where it is gone."""
    queue = QUEUE.get(tx, (task.get("execution") or {}).get("queue") or "", ["metadata"])
    return None if queue is None else queue_policy.read(queue.get("metadata"))


def write(tx: Transaction, id: str, found: Fate, now: int, by: str) -> None:
    """Write down what becomes of a lost task.

    Args:
        tx: The transaction.
        id: The task's.
        found: What was decided.
        now: Epoch milliseconds.
        by: Who changes it.
    """
    new: Document = {
        "status": found.status,
        "status_reason": found.reason,
        "status_message": found.message,
        "status_changed": now,
        "last_update": now,
        "last_change": now,
        "last_changed_by": by,
    }
    queues.remove_task(tx, id, now)
    if found.status == task_status.QUEUED:
        kept = TASK.get(tx, id, ("execution", "runtime", "enqueue_status")) or {}
        queue = kept["execution"]["queue"]
        # The fence begins here, before anyone can take it: what the lost run still writes is refused.
        not_before = now + found.wait_seconds * 1000 if found.wait_seconds else None
        queues.add(tx, queue, id, now, not_before=not_before)
        if found.first:
            queues.move(tx, queue, id, None, towards_head=True)
        new["enqueue_status"] = kept.get("enqueue_status") or task_status.CREATED
        if new["enqueue_status"] == task_status.CREATED:
            # It begins anew: a client adds what is here to every iteration it reports. Of a task that a user queued
            # to go on where an earlier run ended, nobody knows any more where that was.
            new["last_iteration"] = 0
        if found.tries != fate.tries(kept.get("runtime")):
            new["runtime"] = fate.with_tries(kept.get("runtime"), found.tries)
    else:
        new["completed"] = now
    TASK.update(tx, id, new)
    projects.touch_of(tx, id, now)
