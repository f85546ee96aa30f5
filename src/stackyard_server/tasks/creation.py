"""New tasks: from a request, and as copies of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import moments
from ..calls import Call
from ..protocol.error_table import error
from ..rules import fate, project_names, task_document, task_status
from ..store import projects
from ..store.documents import TASK, Document, new_id
from . import changes

#: System tags that belong to the original only.
OF_THE_ORIGINAL = frozenset({"development", "archived"})


def new_document(call: Call, data: Mapping[str, Any]) -> Document:
    """The document of a task of these fields, checked but not kept.

    Raises:
        ApiError: 400/800, 400/16.
    """
    name = changes.check_name(data["name"])
    changes.check_references(call.tx, data)
    parts = edited_parts(call, data, {})
    output = {"destination": data["output_dest"]} if data.get("output_dest") else {}
    document: Document = {
        "id": new_id(),
        "company": call.who.company,
        "user": call.who.user,
        "name": name,
        "type": data["type"],
        "status": task_status.CREATED,
        "comment": data.get("comment"),
        "report_assets": [],
        "created": call.now,
        "parent": data.get("parent") or None,
        "project": data.get("project") or None,
        "output": output,
        "execution": task_document.empty_execution(),
        "tags": [],
        "system_tags": [],
        "script": task_document.empty_script(),
        "last_update": call.now,
        "last_change": call.now,
        "last_changed_by": call.who.user,
        "last_iteration": 0,
        "metric_stats": {},
        "hyperparams": {},
        "configuration": {},
        "runtime": {},
        "models": {"input": [], "output": []},
        "container": {},
        **parts,
    }
    document["execution"] = task_document.with_display_data(document["execution"])
    return document


def create(call: Call, data: Mapping[str, Any]) -> str:
    """The id of a new task.

    Raises:
        ApiError: As ``new_document``.
    """
    document = new_document(call, data)
    TASK.insert(call.tx, {k: v for k, v in document.items() if v is not None})
    projects.touch(call.tx, [document["project"]], call.now)
    id: str = document["id"]
    return id


def edited_parts(call: Call, data: Mapping[str, Any], held: Mapping[str, Any]) -> Document:
    """The lists and embedded documents a request changes, laid over those a task has.

    Args:
        call: When.
        data: The request's fields.
        held: The task's parts, as far as they are merged: ``script``, ``execution``, ``runtime`` and ``models``.
    """
    sent = {**task_document.present(data), **task_document.translate_legacy(data)}
    parts: Document = {}
    for name in ("tags", "system_tags"):
        if name in sent:
            parts[name] = changes.tags_of(sent[name])
    if "script" in sent:
        parts["script"] = task_document.script(sent["script"], held.get("script"))
    if "execution" in sent:
        parts["execution"] = task_document.execution(sent["execution"], held.get("execution"))
    if "hyperparams" in sent:
        parts["hyperparams"] = task_document.hyperparams(sent["hyperparams"])
    if "configuration" in sent:
        parts["configuration"] = task_document.configuration(sent["configuration"])
    if "container" in sent:
        parts["container"] = task_document.present(sent["container"])
    if "models" in sent:
        parts["models"] = task_document.models(sent["models"], moments.iso(call.now))
    elif model := task_document.present(sent.get("execution")).get("model"):
        parts["models"] = task_document.with_input_model(held.get("models"), model, moments.iso(call.now))
    if "runtime" in sent:
        # how often it was tried again is the server's to count
        parts["runtime"] = fate.with_tries(sent["runtime"], fate.tries(held.get("runtime")))
    return parts


def clone(call: Call, data: Mapping[str, Any]) -> Document:
    """Copy a task as a new draft.

    Returns:
        ``id``, and ``new_project`` where one was made.

    Raises:
        ApiError: 400/101, 400/401, 400/800, 400/16.
    """
    original = TASK.get(call.tx, data["task"])
    if original is None:
        raise error("invalid_task_id", id=data["task"])
    answer: Document = {}
    project = data.get("new_task_project") or original.get("project")
    if data.get("new_project_name"):
        project, made = _named_project(call, data["new_project_name"])
        if made:
            answer["new_project"] = made
    elif data.get("new_task_project"):
        projects.require(call.tx, data["new_task_project"], ["id"])
    parent = data.get("new_task_parent")
    changes.check_references(
        call.tx, {"parent": parent, "models": {"input": data.get("new_task_input_models") or []}}
    )
    given = edited_parts(
        call,
        {
            "tags": data.get("new_task_tags"),
            "system_tags": data.get("new_task_system_tags"),
            "configuration": data.get("new_task_configuration"),
            "container": data.get("new_task_container"),
            "hyperparams": data.get("new_task_hyperparams"),
        },
        {},
    )
    models = {"input": (original.get("models") or {}).get("input") or [], "output": []}
    if data.get("new_task_input_models") is not None:
        sent = {"input": data["new_task_input_models"]}
        models = task_document.models(sent, moments.iso(call.now))
    destination = (original.get("output") or {}).get("destination")
    document: Document = {
        "id": new_id(),
        "company": call.who.company,
        "user": call.who.user,
        "name": changes.check_name(data.get("new_task_name") or original["name"]),
        "type": original["type"],
        "status": task_status.CREATED,
        "comment": data.get("new_task_comment") or original.get("comment"),
        "report_assets": original.get("report_assets") or [],
        "created": call.now,
        "parent": parent or original.get("parent") or original["id"],
        "project": project,
        "output": {"destination": destination} if destination else {},
        "execution": task_document.with_display_data(
            task_document.clone_parts(original, data.get("execution_overrides"))
        ),
        "tags": original.get("tags") or [],
        "system_tags": [t for t in original.get("system_tags") or [] if t not in OF_THE_ORIGINAL],
        "script": original.get("script") or task_document.empty_script(),
        "last_update": call.now,
        "last_change": call.now,
        "last_changed_by": call.who.user,
        "last_iteration": 0,
        "metric_stats": {},
        "hyperparams": original.get("hyperparams") or {},
        "configuration": original.get("configuration") or {},
        "runtime": {},
        "models": models,
        "container": original.get("container") or {},
        **given,
    }
    TASK.insert(call.tx, {k: v for k, v in document.items() if v is not None})
    projects.touch(call.tx, [document["project"]], call.now)
    return {"id": document["id"], **answer}


def _named_project(call: Call, name: str) -> tuple[str, Document | None]:
    """(the id of the project of that name, what to say of it when it was made)."""
    name = project_names.normalise(name)
    known = projects.find(call.tx, name)
    if known:
        return known, None
    id = projects.find_or_create(call.tx, call.who, name, call.now)
    return id, {"id": id, "name": name}
