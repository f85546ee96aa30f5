"""Resetting and deleting tasks: everything that was written for one goes with it, and its files are named.

The files themselves are the file server's: their URLs are answered when asked for (``addresses``), and what is free is
noted for ``upkeep.freeing`` (of a deleted task by the database itself, of a reset one here).
"""

from __future__ import annotations

from ..calls import Call
from ..protocol.error_table import error
from ..rules import task_document, task_status
from ..store import Transaction, events, files, hand_outs, models, projects, queues, samples, tasks
from ..store.documents import MODEL, TASK, Document
from . import addresses, changes, ending


def reset(
    call: Call,
    id: str,
    *,
    force: bool,
    everything: bool = False,
    reason: str | None = None,
    message: str | None = None,
    delete_models: bool = True,
    delete_files: bool = True,
    with_urls: bool = False,
) -> Document:
    """Make a draft of a task again: results, events and output go; parameters, script and tags stay.

    Returns:
        ``deleted_models``, ``removed`` (entries taken out of queues), ``urls`` (None unless asked for), ``fields``.

    Raises:
        ApiError: 400/101; 400/110 published, and no force.
    """
    task = changes.require(call.tx, id, [*changes.STATUS_FIELDS, "execution", "output", "models"])
    if task["status"] == task_status.PUBLISHED and not force:
        raise error("invalid_task_status", task_id=id, status=task["status"])
    removed = queues.remove_task(call.tx, id, call.now) is not None
    if task["status"] == task_status.IN_PROGRESS:
        hand_outs.reset(call.tx, id, call.now, call.who.session)
    kept = task_document.reset_parts(task, everything)
    urls = _event_urls(call.tx, id) if with_urls or delete_files else []
    if delete_files:
        addresses.free(call.tx, id, [*urls, *addresses.of_task(task)], call.now)
    gone = _delete_output_models(call.tx, id) if delete_models else {}
    events.delete_for(call.tx, [id])
    wiped = (
        "started", "completed", "published", "active_duration", "last_worker", "last_worker_report", "enqueue_status",
    )  # fmt: skip
    fields = changes.change_status(
        call,
        task,
        task_status.CREATED,
        force=True,
        reason=reason or "reset",
        message=message or "reset",
        quiet={
            **kept,
            **dict.fromkeys(wiped),
            "last_iteration": 0,
            "metric_stats": {},
            "report_assets": [],
        },
    )
    answered = None
    if with_urls:
        answered = addresses.answered(call.tx, {id}, events=urls, task=task, models=gone.values())
    return {"deleted_models": len(gone), "removed": removed, "urls": answered, "fields": fields}


def delete(
    call: Call,
    id: str,
    *,
    force: bool,
    delete_models: bool = True,
    delete_files: bool = True,
    with_urls: bool = False,
    with_steps: bool = False,
) -> Document:
    """Remove a task and everything that was written for it.

    Returns:
        The answer of ``tasks.delete``.

    Raises:
        ApiError: 400/101; 400/123 it may not go without force (``_check_deletable``).
    """
    task = changes.require(call.tx, id, [*changes.STATUS_FIELDS, "execution", "project"])
    if not force:
        _check_deletable(call.tx, task)
    steps = ending.steps_of(call.tx, task) if with_steps else []
    urls = _event_urls(call.tx, id) if with_urls else []
    queues.remove_task(call.tx, id, call.now)
    gone = _delete_output_models(call.tx, id) if delete_models else {}
    events.delete_for(call.tx, [id])
    for step in steps:
        delete(call, step["id"], force=True, delete_models=delete_models, delete_files=delete_files)
    children = tasks.release_children(call.tx, id)
    released = models.release(call.tx, id)
    TASK.delete(call.tx, [id])
    if not delete_files:
        files.keep(call.tx, [id, *gone, *gone.values()])
    projects.touch(call.tx, [task.get("project")], call.now)
    answered = None
    if with_urls:
        answered = addresses.answered(call.tx, {id}, events=urls, task=task, models=gone.values())
    return {
        "deleted": True,
        "updated_children": children,
        "updated_models": released,
        "deleted_models": len(gone),
        "urls": answered,
    }


def _check_deletable(tx: Transaction, task: Document) -> None:
    """Refuse what only force takes away: work that is not put away, or that others stand on.

    Raises:
        ApiError: 400/123.
    """
    id, status = task["id"], task["status"]
    archived = task_status.ARCHIVED in (task.get("system_tags") or [])
    if status == task_status.PUBLISHED or (status != task_status.CREATED and not archived):
        raise error(
            "task_undeletable",
            "due to status, use force=True",
            task=id,
            expected=task_status.CREATED,
            current=status,
        )
    if published := tasks.published_children(tx, id):
        why = "has published children, use force=True"
        raise error("task_undeletable", why, task=id, children=published)
    if ready := models.published_of(tx, id):
        raise error("task_undeletable", "has published models, use force=True", task=id, models=ready)


def _delete_output_models(tx: Transaction, id: str) -> dict[str, str]:
    """Delete the drafts among a task's output models that no other task takes as input.

    Returns:
        The addresses of their files by the models' ids; "" for a model without one.
    """
    drafts = models.drafts_of(tx, id)
    gone = {model: uri or "" for model, uri in drafts if not models.is_input_of_others(tx, model, id)}
    events.delete_for(tx, gone)
    MODEL.delete(tx, gone)
    return gone


def _event_urls(tx: Transaction, id: str) -> list[str]:
    return list(dict.fromkeys(samples.urls(tx, [id])))
