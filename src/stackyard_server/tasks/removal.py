"""Resetting and deleting tasks: everything that was written for one goes with it, and its files are named.

The files themselves are the file server's: their URLs are answered when asked for, and what is free is noted for
``upkeep.freeing`` (of a deleted task by the database itself, of a reset one here).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from ..calls import Call
from ..files import stored as stored_files
from ..protocol.error_table import error
from ..rules import task_document, task_status
from ..store import Transaction, events, files, models, projects, queues, samples, tasks
from ..store.documents import MODEL, TASK, Document
from . import changes, ending

#: Where the SDK says a model will be before its file is uploaded: no file.
PLACEHOLDER = "file:///uploading_file"


def task_file_urls(document: Mapping[str, Any]) -> list[str]:
    """The files a task's document names: those of its artifacts, in their order."""
    held = (document.get("execution") or {}).get("artifacts") or []
    return list(dict.fromkeys(a["uri"] for a in held if isinstance(a.get("uri"), str) and a["uri"]))


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
    kept = task_document.reset_parts(task, everything)
    written_artifacts = [
        a for a in (task.get("execution") or {}).get("artifacts") or [] if a.get("mode") != "input"
    ]
    urls = _event_urls(call.tx, id) if with_urls or delete_files else []
    if delete_files:
        _free(call, id, [*urls, *task_file_urls({"execution": {"artifacts": written_artifacts}})])
    gone = _delete_output_models(call.tx, id) if delete_models else []
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
        answered = _urls(urls, {"execution": {"artifacts": written_artifacts}}, gone)
    return {"deleted_models": len(gone), "removed": removed, "urls": answered, "fields": fields}


def delete(
    call: Call,
    id: str,
    *,
    force: bool,
    delete_models: bool = True,
    with_urls: bool = False,
    with_steps: bool = False,
) -> Document:
    """Remove a task and everything that was written for it.

    Returns:
        The answer of ``tasks.delete``.

    Raises:
        ApiError: 400/101; 400/123 neither a draft nor archived, and no force.
    """
    task = changes.require(call.tx, id, [*changes.STATUS_FIELDS, "execution", "project"])
    archived = task_status.ARCHIVED in (task.get("system_tags") or [])
    if not force and task["status"] != task_status.CREATED and not archived:
        raise error(
            "task_undeletable",
            "due to status, use force=True",
            task=id,
            expected=task_status.CREATED,
            current=task["status"],
        )
    steps = ending.steps_of(call.tx, task) if with_steps else []
    urls = _event_urls(call.tx, id) if with_urls else []
    queues.remove_task(call.tx, id, call.now)
    gone = _delete_output_models(call.tx, id) if delete_models else []
    events.delete_for(call.tx, [id])
    for step in steps:
        delete(call, step["id"], force=True, delete_models=delete_models)
    children = tasks.release_children(call.tx, id)
    released = models.release(call.tx, id)
    TASK.delete(call.tx, [id])
    projects.touch(call.tx, [task.get("project")], call.now)
    return {
        "deleted": True,
        "updated_children": children,
        "updated_models": released,
        "deleted_models": len(gone),
        "urls": _urls(urls, task, gone) if with_urls else None,
    }


def _free(call: Call, id: str, urls: Iterable[str]) -> None:
    """Note the files among these addresses that lie in the task's own folder; the others may be somebody else's."""
    free = []
    for url in urls:
        try:
            key = stored_files.key_of(unquote(urlsplit(url).path))
        except ValueError:
            continue
        if key and stored_files.owner_of(key) == id:
            free.append(url)
    files.free(call.tx, free, call.now)


def _delete_output_models(tx: Transaction, id: str) -> list[str]:
    """Delete the drafts among a task's output models that no other task takes as input.

    Returns:
        The addresses of their files, one for each model.
    """
    drafts = models.drafts_of(tx, id)
    gone = [(model, uri or "") for model, uri in drafts if not models.is_input_of_others(tx, model, id)]
    ids = [model for model, _ in gone]
    events.delete_for(tx, ids)
    MODEL.delete(tx, ids)
    return [uri for _, uri in gone]


def _event_urls(tx: Transaction, id: str) -> list[str]:
    return list(dict.fromkeys(samples.urls(tx, [id])))


def _urls(event_urls: list[str], document: Mapping[str, Any], model_urls: Iterable[str]) -> Document:
    return {
        "event_urls": event_urls,
        "artifact_urls": task_file_urls(document),
        "model_urls": [uri for uri in model_urls if uri and uri != PLACEHOLDER],
    }
