"""``models``: what training leaves and what later tasks start from."""

from __future__ import annotations

from typing import Any

from .. import listing
from ..calls import Call, bulk
from ..calls.dispatch import endpoint
from ..protocol.error_table import error
from ..rules import metadata, project_names
from ..store import models as store_models
from ..store import projects
from ..store.documents import MODEL, Document
from ..tasks import models

EDITABLE = (
    "name", "tags", "system_tags", "task", "comment", "uri", "project", "parent", "framework", "design", "labels",
    "ready", "metadata", "ui_cache",
)  # fmt: skip
UPDATABLE = ("name", "tags", "system_tags", "task", "comment", "project", "ready", "metadata", "ui_cache")


@endpoint(lists="model")
def get_all(call: Call) -> dict[str, Any]:
    """The models that fit, as ids and plain values."""
    return listing.get_all(call, MODEL)


@endpoint(lists="model")
def get_all_ex(call: Call) -> dict[str, Any]:
    """The models that fit, joined with what they name; with ``include_stats``, how many labels each has."""
    answer = listing.get_all_ex(call, MODEL)
    if call.get("include_stats"):
        ids = [model["id"] for model in answer["models"]]
        labels = {model["id"]: model.get("labels") for model in MODEL.get_many(call.tx, ids, ["labels"])}
        for model in answer["models"]:
            model["stats"] = {"labels_count": len(labels.get(model["id"]) or {})}
    return answer


@endpoint(lists="model")
def get_by_id_ex(call: Call) -> dict[str, Any]:
    """The models of these ids, joined with what they name."""
    return listing.get_by_id_ex(call, MODEL)


@endpoint()
def get_by_id(call: Call) -> dict[str, Any]:
    """One model."""
    model = MODEL.get(call.tx, call.data["model"])
    if model is None:
        why = "no such public or company model"
        raise error("invalid_model_id", why, id=call.data["model"], company=call.who.company)
    models.show_metrics(call.tx, [model])
    return {"model": MODEL.render(model)}


@endpoint()
def get_by_task_id(call: Call) -> dict[str, Any]:
    """Nothing: retired."""
    raise error("retired", "use models.get_by_id/get_all apis")


@endpoint(access="none", role="user")
def update_for_task(call: Call) -> dict[str, Any]:
    """Nothing: retired."""
    raise error("retired", "use tasks.add_or_update_model")


@endpoint()
def get_frameworks(call: Call) -> dict[str, Any]:
    """The frameworks of the models in these projects and below; of all models where none is named."""
    ids = call.get("projects")
    inside = projects.subtree(call.tx, ids) if ids else None
    return {"frameworks": store_models.frameworks(call.tx, inside)}


@endpoint(access="state")
def create(call: Call) -> dict[str, Any]:
    """The new model's id. ``id`` of the request is ignored."""
    return {"created": True, "id": models.create(call)}


@endpoint(access="state")
def edit(call: Call) -> dict[str, Any]:
    """What was set; ``iteration`` moves the last iteration of the model's task."""
    return answer_change(models.change(call, EDITABLE))


@endpoint(access="state")
def update(call: Call) -> dict[str, Any]:
    """What was set, of the fields a user writes. Left out: ``created``, which stays what it is."""
    return answer_change(models.change(call, UPDATABLE))


def answer_change(given: Document) -> dict[str, Any]:
    """The answer of a change: what was set, and whether anything was."""
    return {"fields": MODEL.render(given), "updated": int(bool(given))}


@endpoint(access="state")
def update_tags(call: Call) -> dict[str, Any]:
    """How many models were given ``add_tags`` and rid of ``remove_tags``."""
    updated = 0
    added, removed = set(call.get("add_tags", [])), set(call.get("remove_tags", []))
    if not added and not removed:
        raise error("validation", "either add_tags or remove_tags should be provided")
    for model in MODEL.get_many(call.tx, call.data["ids"], ["tags"]):
        tags = models.clean_tags((set(model.get("tags") or []) | added) - removed)
        changes = {"tags": tags, "last_change": call.now, "last_changed_by": call.who.user}
        updated += MODEL.update(call.tx, model["id"], changes)
    return {"updated": updated}


@endpoint("2.13", access="state")
def add_or_update_metadata(call: Call) -> dict[str, Any]:
    """1 if the model exists: entries are put in by key, or put in the place of all (``replace_metadata``)."""
    model = models.require(call.tx, call.data["model"], ["metadata"])
    held = {} if call.get("replace_metadata") else model.get("metadata") or {}
    kept = held | metadata.read(call.data["metadata"])
    return {"updated": models.note_change(call.tx, model["id"], call.who.user, call.now, {"metadata": kept})}


@endpoint("2.13", access="state", destructive=True)
def delete_metadata(call: Call) -> dict[str, Any]:
    """1 if the model exists: the entries of these keys are gone."""
    model = models.require(call.tx, call.data["model"], ["metadata"])
    gone = set(call.data["keys"])
    kept = {key: entry for key, entry in (model.get("metadata") or {}).items() if key not in gone}
    return {"updated": models.note_change(call.tx, model["id"], call.who.user, call.now, {"metadata": kept})}


@endpoint(access="state")
def set_ready(call: Call) -> dict[str, Any]:
    """Publishes a model, and the task that made it unless ``publish_task`` is false."""
    published = models.publish(
        call, call.data["model"], call.get("publish_task", True), call.get("force_publish_task", False)
    )
    return {"fields": {}, "updated": 1, **published}


@endpoint(access="state", pieces="ids")
def publish_many(call: Call) -> dict[str, Any]:
    """Publishes models, and the tasks that made them unless ``publish_tasks`` is false."""
    with_task, force = call.get("publish_tasks", True), call.get("force_publish_task", False)
    return bulk.apply(
        call.tx, call.data["ids"], lambda id: {"updated": 1, **models.publish(call, id, with_task, force)}
    )


@endpoint(access="state", pieces="ids", destructive=True)
def archive_many(call: Call) -> dict[str, Any]:
    """Archives models: a tag that callers filter by."""

    def archive(id: str) -> dict[str, Any]:
        models.archive(call.tx, id, call.who.user, call.now, True)
        return {"archived": True}

    return bulk.apply(call.tx, call.data["ids"], archive)


@endpoint(access="state", pieces="ids")
def unarchive_many(call: Call) -> dict[str, Any]:
    """Brings archived models back."""

    def unarchive(id: str) -> dict[str, Any]:
        models.archive(call.tx, id, call.who.user, call.now, False)
        return {"unarchived": True}

    return bulk.apply(call.tx, call.data["ids"], unarchive)


@endpoint(access="state", destructive=True)
def delete(call: Call) -> dict[str, Any]:
    """Deletes a model and tells the address of its file, unless somebody else still needs that.

    A file on this server goes, too, unless ``delete_external_artifacts`` is false; the server reaches no other machine.
    """
    return {"deleted": True, "url": _delete(call, call.data["model"])}


def _delete(call: Call, id: str) -> str | None:
    delete_file = bool(call.get("delete_external_artifacts", True))
    return models.delete(call.tx, id, force=bool(call.get("force", False)), delete_file=delete_file)


@endpoint(access="state", pieces="ids", destructive=True)
def delete_many(call: Call) -> dict[str, Any]:
    """``delete`` for many."""
    return bulk.apply(call.tx, call.data["ids"], lambda id: {"deleted": True, "url": _delete(call, id)})


@endpoint(access="state")
def move(call: Call) -> dict[str, Any]:
    """The project the models are in now: ``project``, or ``project_name``, made where it is missing. Neither puts
    them at the root."""
    project: str | None = call.get("project")
    if name := call.get("project_name"):
        project = projects.find_or_create(call.tx, call.who, project_names.normalise(name), call.now)
    elif project:
        projects.require(call.tx, project, ["id"])
    elif "project" not in call.data:
        raise error("validation", "project or project_name is required")
    former = store_models.move(call.tx, call.data["ids"], project, call.who.user, call.now)
    projects.touch(call.tx, [project, *former], call.now)
    return {"project_id": project}


@endpoint(access="state")
def make_public(call: Call) -> dict[str, Any]:
    """How many models belong to no company now, and so to everyone."""
    return {"updated": projects.set_company(call.tx, MODEL, call.get("ids", []), "")}


@endpoint(access="state")
def make_private(call: Call) -> dict[str, Any]:
    """How many models belong to the caller's company again."""
    return {"updated": projects.set_company(call.tx, MODEL, call.get("ids", []), call.who.company)}
