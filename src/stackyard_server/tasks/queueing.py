"""The way of a task into a queue and out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..calls import Call
from ..protocol.error_table import error
from ..rules import fate, task_status
from ..store import Transaction, queues, tasks
from ..store.documents import TASK, Document
from . import changes


def resolve_queue(call: Call, data: Mapping[str, Any]) -> str:
    """The queue a request means: its ``queue``, the one named ``queue_name`` (made where there is none), the default.

    Raises:
        ApiError: 400/701 no such queue; 400/12 both an id and a name.
    """
    id, name = data.get("queue"), data.get("queue_name")
    if id and name:
        raise error("validation", "queue and queue_name cannot be used together")
    if id:
        queues.number_of(call.tx, id)
        return str(id)
    if name:
        known = queues.by_name(call.tx, name)
        return known if known is not None else queues.create(call.tx, call.who, name, call.now)
    default: str | None = queues.default(call.tx)
    if default is None:
        raise error("invalid_queue_id", "there is no default queue", company=call.who.company)
    return default


def enqueue(
    call: Call,
    id: str,
    queue: str,
    *,
    force: bool = False,
    reason: str | None = None,
    message: str | None = None,
    keep_execution_queue: bool = False,
) -> Document:
    """Put a task at the end of a queue, out of any other: a new start, from which its tries are counted anew.

    Args:
        call: Who asks, and when.
        id: The task's.
        queue: The queue's id, known to exist.
        force: Skip the status machine.
        reason: The new ``status_reason``.
        message: The new ``status_message``.
        keep_execution_queue: The task waits already; it moves, and still shows the queue it was first given.

    Returns:
        What was written, as ``fields``.

    Raises:
        ApiError: 400/101, 400/110, 400/706, 400/12.
    """
    task = changes.require(call.tx, id, [*changes.STATUS_FIELDS, "execution", "runtime"])
    if keep_execution_queue and task["status"] != task_status.QUEUED:
        raise error(
            "validation", "update_execution_queue can be turned off only for a task that is already queued"
        )
    held = queues.remove_task(call.tx, id, call.now)
    if held == queue:
        raise error("already_queued", task=id)
    before = task["status"]
    if before == task_status.QUEUED and held is None:
        before = task.get("enqueue_status") or task_status.CREATED  # a worker took it and did not start it
    more: Document = {"enqueue_status": before}
    fields = changes.change_status(
        call, task, task_status.QUEUED, force=force, reason=reason, message=message, more=more
    )
    queues.add(call.tx, queue, id, call.now)
    quiet: Document = {}
    tags = task.get("system_tags") or []
    if "development" in tags:
        quiet["system_tags"] = [tag for tag in tags if tag != "development"]
    runtime = task.get("runtime") or {}
    if fate.RETRIES in runtime:
        quiet["runtime"] = fate.with_tries(runtime, 0)
    if not keep_execution_queue:
        quiet["execution"] = {**(task.get("execution") or {}), "queue": queue}
        fields["execution.queue"] = queue
    TASK.update(call.tx, id, quiet)
    return fields


def dequeue(
    call: Call,
    id: str,
    *,
    new_status: str | None = None,
    reason: str | None = None,
    message: str | None = None,
) -> Document:
    """Take a task out of its queue; one that waits or runs gets the status it had before, or the one asked for.

    Returns:
        ``updated`` and ``fields``; nothing is updated for a task in another status, or that does not exist.
    """
    queues.remove_task(call.tx, id, call.now)
    task = TASK.get(call.tx, id, changes.STATUS_FIELDS)
    if task is None or task["status"] not in (task_status.QUEUED, task_status.IN_PROGRESS):
        return {"fields": {}, "updated": 0}
    status = new_status or task_status.status_after_queue(task.get("enqueue_status"))
    fields = changes.change_status(
        call, task, status, force=True, reason=reason, message=message, more={"enqueue_status": None}
    )
    return {"fields": fields, "updated": 1}


def left_behind(tx: Transaction, queue: str) -> list[str]:
    """Tasks that a queue gave away and nobody has started: still queued, in no queue."""
    return tasks.left_behind(tx, queue)


def is_left_behind(tx: Transaction, task: str) -> bool:
    """Whether a task is still queued, in no queue."""
    return queues.of_task(tx, task) is None and TASK.field(tx, task, "status") == task_status.QUEUED
