"""Models: how one is made, changed, published and taken away; shared by ``models.*``, projects and tasks.

The queries of lists are in ``listing``. Events and files are removed by those who own them: what leaves here is
the URL of the file that nobody needs any more (``addresses``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..calls import Call
from ..protocol.error_table import error
from ..rules import metadata, task_status
from ..store import Transaction, events, files, meta, metrics, tasks
from ..store import models as store_models
from ..store.documents import COLLECTIONS, MODEL, TASK, Document, new_id
from . import addresses, ending

SHORTEST_NAME = 3
ARCHIVED = "archived"
#: A change of these is a change of the model itself, not of what is said about it: it moves ``last_update``.
CONTENT = frozenset({"uri", "framework", "design", "labels", "ready", "metadata"})


def require(tx: Transaction, id: str, fields: Iterable[str] | None = None) -> Document:
    """The model of that id, to be changed; a public one is nobody's to change.

    Raises:
        ApiError: 400/201.
    """
    model = MODEL.get(tx, id, None if fields is None else [*fields, "company"])
    if model is None or model.get("company") == "":
        raise error("invalid_model_id", company=meta.company(tx), id=id)
    return model


def create(call: Call) -> str:
    """The id of a new model, of the call's fields.

    Raises:
        ApiError: 400/800 the name is too short; 400/16 a reference to nothing; 400/12 malformed metadata.
    """
    check_name(call.data["name"])
    check_references(call.tx, call.data)
    company = "" if call.get("public") or call.get("_public") else call.who.company
    document: Document = {
        "id": new_id(), "company": company, "user": call.who.user,
        "name": call.data["name"], "created": call.now, "tags": [], "system_tags": [], "uri": call.data["uri"],
        "design": {}, "labels": {}, "ready": call.get("ready", True), "last_update": call.now,
        "last_change": call.now, "last_changed_by": call.who.user, "metadata": metadata.read(call.get("metadata")),
        "last_iteration": 0,
    }  # fmt: skip
    given = ("task", "project", "parent", "comment", "framework", "design", "labels")
    document.update({name: call.data[name] for name in given if call.get(name) is not None})
    document.update({name: clean_tags(call.get(name, [])) for name in ("tags", "system_tags")})
    MODEL.insert(call.tx, document)
    id: str = document["id"]
    return id


def change(call: Call, names: Iterable[str]) -> Document:
    """Set the fields among ``names`` that a call on one model gives.

    Returns:
        What was set.

    Raises:
        ApiError: 400/201, 400/800, 400/16, 400/12.
    """
    id = call.data["model"]
    require(call.tx, id, ["id"])
    given = {name: call.data[name] for name in names if call.get(name) is not None}
    if "name" in given:
        check_name(given["name"])
    check_references(call.tx, given)
    for name in {"tags", "system_tags"} & set(given):
        given[name] = clean_tags(given[name])
    if "metadata" in given:
        given["metadata"] = metadata.read(given["metadata"])
    if "labels" in given:
        given["ui_cache"] = given.get("ui_cache", {})
    if given:
        given |= {"last_change": call.now, "last_changed_by": call.who.user}
        if CONTENT & set(given):
            given["last_update"] = call.now
        kept = {**given, "ui_cache": given["ui_cache"] or None} if "ui_cache" in given else given
        MODEL.update(call.tx, id, kept)
    if call.get("iteration") is not None:
        tasks.reach(call.tx, id, call.data["iteration"])
    return given


def note_change(tx: Transaction, id: str, who: str, now: int, changes: Mapping[str, Any]) -> int:
    """Set fields with the marks of a change; 1 if the model exists."""
    marks = {"last_update": now, "last_change": now, "last_changed_by": who}
    return MODEL.update(tx, id, {**changes, **marks})


def check_name(name: str) -> None:
    """Check a model's name.

    Raises:
        ApiError: 400/800.
    """
    if len(name.strip()) < SHORTEST_NAME:
        raise error("data_validation", name="String value is too short")


def check_references(tx: Transaction, data: Mapping[str, Any]) -> None:
    """Check that the project, task and parent named are there.

    Raises:
        ApiError: 400/16.
    """
    for field, table in (("project", "project"), ("task", "task"), ("parent", "model")):
        id = data.get(field)
        if id and not COLLECTIONS[table].exists(tx, id):
            raise error("reference", f"expecting {table.capitalize()} id", id=id, field=field)


def clean_tags(tags: Iterable[str | None]) -> list[str]:
    """Tags as they are kept: none twice, in order."""
    return sorted({tag for tag in tags if tag is not None})


def publish(call: Call, id: str, with_task: bool, force: bool) -> Document:
    """Set a model ready, and publish the task that made it where it can be published.

    Args:
        call: The request.
        id: The model's.
        with_task: Whether the task is to be published, too.
        force: Publish the task whatever its status is.

    Returns:
        ``published_task`` where a task was published.

    Raises:
        ApiError: 400/201; 400/203 it is ready already; 400/110 the task cannot be published, it runs for example.
    """
    model = require(call.tx, id, ["ready", "task"])
    if model.get("ready"):
        raise error("model_ready", company=call.who.company, model=id)
    note_change(call.tx, id, call.who.user, call.now, {"ready": True})
    task = TASK.get(call.tx, model["task"], ["status"]) if with_task and model.get("task") else None
    if task is None or task["status"] == task_status.PUBLISHED:
        return {}
    fields = ending.publish(call, task["id"], force=force, with_model=False)
    return {"published_task": {"id": task["id"], "data": {"updated": 1, "fields": TASK.render(fields)}}}


def naming_tasks(tx: Transaction, id: str) -> list[Document]:
    """The tasks whose inputs or outputs name the model."""
    return TASK.get_many(tx, store_models.naming_tasks(tx, id), ["models"])


def names_model(task: Document, kind: str, id: str) -> bool:
    """Whether the model is among a task's "input" or "output"."""
    return any(entry.get("model") == id for entry in task["models"].get(kind) or [])


def delete(tx: Transaction, id: str, *, force: bool = False, delete_file: bool = True) -> str | None:
    """Take a model away.

    Returns:
        The address of its file; None where it has none, or another task or model still needs it.

    Raises:
        ApiError: 400/201; 400/205 tasks use it, 400/206 the task that made it is published, and no force.
    """
    model = require(tx, id)
    naming = naming_tasks(tx, id)
    if not force:
        users = [task for task in naming if names_model(task, "input", id)]
        if users:
            raise error("model_used", "as execution model, use force=True to delete", num_tasks=len(users))
        maker = TASK.get(tx, model["task"], ["status"]) if model.get("task") else None
        if maker and maker["status"] == task_status.PUBLISHED:
            raise error("model_of_published", "use force=True to delete", model=id, task=model["task"])
    for task in naming:
        kept = {
            kind: [entry for entry in entries if entry.get("model") != id]
            for kind, entries in task["models"].items()
        }
        TASK.update(tx, task["id"], {"models": kept})
    forget(tx, [id])
    named = addresses.of_model(model)
    if not delete_file:
        files.keep(tx, [id, *named])
    return next(iter(addresses.unneeded(tx, named, {id, model.get("task") or ""})), None)


def forget(tx: Transaction, ids: Iterable[str]) -> int:
    """The number of models removed, with their metrics; references to them are the caller's."""
    wanted = list(ids)
    events.delete_for(tx, wanted)
    return MODEL.delete(tx, wanted)


def archive(tx: Transaction, id: str, who: str, now: int, archived: bool) -> None:
    """Mark a model as archived, or no longer.

    Raises:
        ApiError: 400/201.
    """
    tags = set(require(tx, id, ["system_tags"]).get("system_tags") or [])
    tags = tags | {ARCHIVED} if archived else tags - {ARCHIVED}
    MODEL.update(tx, id, {"system_tags": clean_tags(tags), "last_change": now, "last_changed_by": who})


def show_metrics(tx: Transaction, documents: Iterable[Document]) -> None:
    """Put ``last_metrics`` into models that were read."""
    listed = list(documents)
    found = metrics.last_metrics(tx, [model["id"] for model in listed])
    for model in listed:
        model["last_metrics"] = found.get(model["id"], {})
