"""Edits of a task's fields: everything of a draft (``edit``), its labels in any status (``update``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..calls import Call
from ..rules import task_document, task_status
from ..store import projects
from ..store.documents import Document
from . import changes, creation


def edit(call: Call, data: Mapping[str, Any], *, force: bool) -> Document:
    """Set the fields given; ``status`` is set without the status machine.

    Returns:
        ``updated`` and ``fields``.

    Raises:
        ApiError: 400/101; 400/110 no draft, and no force; 400/800, 400/16.
    """
    id = data["task"]
    sent = task_document.present(data)
    merged: list[str] = [name for name in ("execution", "script", "runtime") if name in sent]
    if "output_dest" in sent:
        merged.append("output")
    if "execution" in sent:
        merged.append("models")
    task = changes.require(call.tx, id, [*changes.STATUS_FIELDS, *merged])
    if not force:
        changes.require_open(task, {task_status.CREATED})
    changes.check_references(call.tx, sent)
    new: Document = {name: sent[name] for name in ("type", "comment") if name in sent}
    new.update(_places(call, sent))
    if "name" in sent:
        new["name"] = changes.check_name(sent["name"])
    new.update(creation.edited_parts(call, sent, task))
    if "output_dest" in sent:
        new["output"] = {**(task.get("output") or {}), "destination": sent["output_dest"]}
    stored = dict(new)
    if "execution" in new:
        stored["execution"] = task_document.with_display_data(new["execution"])
    if not new and "status" not in sent:
        return {"fields": {}, "updated": 0}
    alive = bool(set(new) - changes.LABELS)
    if "status" in sent:
        changes.set_status(call, task, sent["status"])
        new["status"] = sent["status"]
        alive = True
    marks = changes.save(call, id, stored, alive=alive)
    fields = {**new, **{name: marks[name] for name in marks if name not in new}}
    return {"fields": changes.shown(fields), "updated": 1}


def update(call: Call, data: Mapping[str, Any]) -> Document:
    """Set the labels given.

    Returns:
        ``updated`` and ``fields``.

    Raises:
        ApiError: 400/101, 400/800, 400/16.
    """
    id = data["task"]
    sent = task_document.present(data)
    names = {"name", "tags", "system_tags", "comment", "project", "parent", "output__error"} & set(sent)
    task = changes.require(call.tx, id, ["output"] if "output__error" in names else ["id"])
    changes.check_references(call.tx, {name: sent[name] for name in ("project", "parent") if name in names})
    new: Document = {name: sent[name] for name in names - {"output__error", "project", "parent"}}
    new.update(_places(call, sent))
    if "name" in new:
        new["name"] = changes.check_name(new["name"])
    for name in {"tags", "system_tags"} & names:
        new[name] = changes.tags_of(new[name])
    if "output__error" in names:
        new["output"] = {**(task.get("output") or {}), "error": sent["output__error"]}
    if not new:
        return {"fields": {}, "updated": 0}
    return {"fields": changes.shown(changes.save(call, id, new, alive=False)), "updated": 1}


def _places(call: Call, sent: Mapping[str, Any]) -> Document:
    """The project and the parent asked for; "" takes the task out of either."""
    new: Document = {name: sent[name] or None for name in ("parent", "project") if name in sent}
    projects.touch(call.tx, [new.get("project")], call.now)
    return new
