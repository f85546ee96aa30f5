"""``reports``: texts about tasks, with what they show of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from .. import API_VERSION, listing
from ..calls import Call, dispatch
from ..calls.dispatch import endpoint
from ..protocol import fields
from ..protocol.error_table import field_error
from ..rules import task_status
from ..store import condition, tasks
from ..store.condition import Group
from ..store.documents import MODEL, TASK
from ..tasks import ending, removal, reports

#: What a report shows of tasks, who answers each part, and what of that answer is shown.
PARTS = {
    "plots": ("events.get_multi_task_plots", "plots"),
    "scalar_metrics_iter_histogram": ("events.multi_task_scalar_metrics_iter_histogram", "metrics"),
    "single_value_metrics": ("events.get_task_single_value_metrics", "tasks"),
}
IMAGES = "debug_images"
#: Tasks times metrics whose images one answer looks for.
MOST_SERIES = 10_000
#: A task that is a report.
REPORT = condition.has(TASK, ("type",), Group("", [reports.TYPE]))


@endpoint(access="state")
def create(call: Call) -> dict[str, Any]:
    """The new report's id, and that of the hidden project it is in."""
    return reports.create(call)


@endpoint(access="state")
def update(call: Call) -> dict[str, Any]:
    """What was set."""
    given = reports.update(call)
    return {"fields": given, "updated": int(bool(given))}


@endpoint(access="state")
def move(call: Call) -> dict[str, Any]:
    """The hidden project of ``project`` (or ``project_name``) the report is in now."""
    return reports.move(call)


@endpoint(access="state")
def publish(call: Call) -> dict[str, Any]:
    """Publishes a report, from any status."""
    id = reports.require(call, call.data["task"])["id"]
    return {"fields": ending.publish(call, id, force=True, message=_message(call)), "updated": 1}


def _message(call: Call) -> str | None:
    """What is said of a change; the web app calls it a comment."""
    message: str | None = call.get("message", call.get("comment"))
    return message


@endpoint(access="state", destructive=True)
def archive(call: Call) -> dict[str, Any]:
    """Archives a report."""
    ending.archive(call, reports.require(call, call.data["task"])["id"], message=_message(call))
    return {"archived": 1}


@endpoint(access="state")
def unarchive(call: Call) -> dict[str, Any]:
    """Takes a report out of the archive."""
    ending.unarchive(call, reports.require(call, call.data["task"])["id"])
    return {"unarchived": 1}


@endpoint(access="state", destructive=True)
def delete(call: Call) -> dict[str, Any]:
    """Deletes a report that is a draft or archived, or any with ``force``."""
    task = reports.require(call, call.data["task"])
    put_away = task_status.ARCHIVED in (task.get("system_tags") or [])
    removal.delete(call, task["id"], force=put_away or bool(call.get("force", False)))
    reports.remove_if_empty(call, task.get("project"))
    return {"deleted": True}


@endpoint(lists="task")
def get_all_ex(call: Call) -> dict[str, Any]:
    """The reports that fit, joined with what they name; ``project`` means the reports about it and below.

    null among the projects means the reports about none.
    """
    wanted = {**call.data, "search_hidden": True, "include_subprojects": True}
    if isinstance(call.get("project"), list):
        wanted["project"] = [reports.root_folder(call.tx) if p is None else p for p in call.data["project"]]
    return listing.get_all_ex(call, TASK, also=[REPORT], data=wanted)


@endpoint()
def get_tags(call: Call) -> dict[str, Any]:
    """The tags of reports."""
    return {"tags": tasks.tags_of_type(call.tx, reports.TYPE)}


@endpoint("2.30", lists="task")
def get_task_data(call: Call) -> dict[str, Any]:
    """What a report shows of tasks: the tasks, and the plots, images and scalars asked for.

    With ``model_events`` the ids are of models, which stand in the place of the tasks.
    """
    models = bool(call.get("model_events", False))
    data = {"search_hidden": True, "page_size": call.get("size", listing.MOST), **call.data}
    found = listing.get_all_ex(call, MODEL if models else TASK, data=data)
    shown = found["models" if models else "tasks"]
    answer: dict[str, Any] = {"tasks": shown}
    ids = [document["id"] for document in shown]
    if not ids:
        return answer
    for part, (name, key) in PARTS.items():
        if call.get(part) is not None:
            wanted = {**call.data[part], "tasks": ids, "model_events": models}
            answer[part] = _ask(call, name, wanted)[key]
    if call.get(IMAGES) is not None:
        given = call.data[IMAGES].get("metrics") or {}
        named = given if isinstance(given, list) else [given]
        if len(named) * len(ids) > MOST_SERIES:
            raise field_error(f"{IMAGES}.metrics", f": more than {MOST_SERIES} of all tasks together.")
        metrics = [{**(m if isinstance(m, dict) else {}), "task": id} for id in ids for m in named]
        wanted = {**call.data[IMAGES], "metrics": metrics, "model_events": models}
        answer[IMAGES] = _ask(call, f"events.{IMAGES}", wanted)["metrics"]
    return answer


def _ask(call: Call, name: str, data: dict[str, Any]) -> Any:
    """Another endpoint's answer, in this call's transaction."""
    fields.check(name, data)
    return dispatch.find(name, API_VERSION).function(dataclasses.replace(call, name=name, data=data))
