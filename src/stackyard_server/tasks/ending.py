"""How a task ends and what becomes of it: started, stopped, published, archived."""

from __future__ import annotations

from typing import Any

from ..calls import Call
from ..rules import fate, task_status
from ..store import Transaction, hand_outs, tasks
from ..store.documents import MODEL, TASK, Document
from . import changes, queueing

#: The system tag of a pipeline's controllers: each run of it is one.
PIPELINE = "pipeline"


def start(call: Call, id: str, *, force: bool, reason: str | None, message: str | None) -> Document:
    """Note that a task runs; what was started before goes on.

    An agent that ends a container says so before the container has died, and what was about to begin in there may
    still say that it begins. Nobody would be left to take that back, so it is not believed.

    A task that somebody stopped between its hand-out and the word of whoever took it is asked to stop: an agent says
    by force that it begins, looks at nothing before, and ends what it is asked to end. Anybody else who starts a
    stopped task means it.

    Returns:
        What was written; nothing where the run is over.

    Raises:
        ApiError: 400/101, 400/110.
    """
    task = changes.require(call.tx, id)
    ended = task["status"] in (task_status.STOPPED, task_status.FAILED)
    if ended and fate.is_echo(task.get("status_reason"), task.get("status_changed"), call.now):
        return {}
    if task["status"] == task_status.STOPPED and hand_outs.is_holder(call.tx, id, call.who.session):
        reason, message = task.get("status_reason"), task_status.STOPPING
    running = task["status"] == task_status.IN_PROGRESS
    return changes.change_status(
        call,
        task,
        task_status.IN_PROGRESS,
        force=force,
        reason=reason,
        message=message,
        more=None if running else {"started": call.now},
        quiet=None if running else {"completed": None, "active_duration": None},
    )


def finish(
    call: Call, id: str, status: str, *, force: bool, reason: str | None, message: str | None
) -> Document:
    """Note that a task ended as stopped, failed or completed.

    What it is said to be may give way to what was decided of it: ``rules.fate.said_to_end``.

    Raises:
        ApiError: 400/101, 400/110.
    """
    task = changes.require(call.tx, id)
    status, reason = fate.said_to_end(
        status, reason, held_status=task["status"], held=task.get("status_reason")
    )
    ended = {"completed": call.now}
    return changes.change_status(call, task, status, force=force, reason=reason, message=message, more=ended)


def stop(
    call: Call, id: str, *, force: bool, reason: str | None = None, with_steps: bool = False
) -> Document:
    """Ask a task to stop: its worker is told if one runs it, else it is stopped at once.

    Args:
        call: Who asks.
        id: The task's.
        force: Skip the status machine.
        reason: The new ``status_reason``.
        with_steps: Stop the steps of a pipeline, too.

    Raises:
        ApiError: 400/101, 400/110.
    """
    task = changes.require(call.tx, id)
    fields = _stop(call, task, force, reason)
    if with_steps:
        for step in steps_of(call.tx, task):
            if step["status"] in (task_status.QUEUED, task_status.IN_PROGRESS):
                _stop(call, step, True, reason)
    return fields


def _stop(call: Call, task: Document, force: bool, reason: str | None) -> Document:
    told = (
        task["status"] == task_status.IN_PROGRESS
        and "development" not in (task.get("system_tags") or [])
        and task_status.is_run_by_worker(task.get("last_worker"), task.get("last_update"), call.now)
    )
    if told:
        return changes.change_status(
            call, task, task_status.IN_PROGRESS, force=True, reason=reason, message=task_status.STOPPING
        )
    return changes.change_status(
        call, task, task_status.STOPPED, force=force, reason=reason, message=f"Stopped by {call.who.name}"
    )


def steps_of(tx: Transaction, task: Document) -> list[Document]:
    """The steps of a pipeline's controller; none of any other task.

    A run that was copied from this one has it as its parent, too. It is a controller itself, and so no step.
    """
    if PIPELINE not in (task.get("system_tags") or []):
        return []
    children = TASK.get_many(tx, tasks.children(tx, task["id"]), changes.STATUS_FIELDS)
    return [child for child in children if PIPELINE not in (child.get("system_tags") or [])]


def publish(
    call: Call,
    id: str,
    *,
    force: bool,
    reason: str | None = None,
    message: str | None = None,
    with_model: bool = True,
) -> Document:
    """Publish a task and its newest output model.

    Raises:
        ApiError: 400/101, 400/110.
    """
    task = changes.require(call.tx, id, [*changes.STATUS_FIELDS, "output", "models"])
    fields = changes.change_status(
        call,
        task,
        task_status.PUBLISHED,
        force=force,
        reason=reason,
        message=message,
        more={"published": call.now, "output": task.get("output") or {}},
    )
    if with_model:
        publish_model(call, task)
    return fields


def publish_model(call: Call, task: Document) -> None:
    """Set the last output model of a task ready, if there is one that is not."""
    output: list[dict[str, Any]] = (task.get("models") or {}).get("output") or []
    if not output:
        return
    model = MODEL.get(call.tx, output[-1].get("model") or "", ["ready"])
    if model and not model.get("ready"):
        marks = {"last_update": call.now, "last_change": call.now, "last_changed_by": call.who.user}
        MODEL.update(call.tx, model["id"], {"ready": True, **marks})


def archive(
    call: Call, id: str, *, reason: str | None = None, message: str | None = None, with_steps: bool = False
) -> None:
    """Put a task away: out of its queue, stopped if it runs, tagged.

    Raises:
        ApiError: 400/101.
    """
    task = changes.require(call.tx, id)
    if task["status"] == task_status.QUEUED:
        queueing.dequeue(call, id, reason=reason, message=message)
    elif task["status"] == task_status.IN_PROGRESS:
        _stop(call, task, True, reason)
    tags = task.get("system_tags") or []
    if task_status.ARCHIVED not in tags:
        changes.save(call, id, {"system_tags": [*tags, task_status.ARCHIVED]}, alive=False)
    if with_steps:
        for step in steps_of(call.tx, task):
            archive(call, step["id"], reason=reason, message=message)


def unarchive(call: Call, id: str, *, with_steps: bool = False) -> None:
    """Take a task out of the archive.

    Raises:
        ApiError: 400/101.
    """
    task = changes.require(call.tx, id)
    tags = task.get("system_tags") or []
    if task_status.ARCHIVED in tags:
        kept = [tag for tag in tags if tag != task_status.ARCHIVED]
        changes.save(call, id, {"system_tags": kept}, alive=False)
    if with_steps:
        for step in steps_of(call.tx, task):
            unarchive(call, step["id"])
