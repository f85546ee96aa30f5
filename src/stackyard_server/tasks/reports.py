"""Reports: tasks of type ``report`` with a text, in the hidden project ``.reports`` of what they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..calls import Call
from ..protocol.error_table import error
from ..rules import project_names, task_status
from ..store import Transaction, projects
from ..store.documents import PROJECT, TASK, Document
from . import changes, creation

TYPE = "report"
TAGS = ["hidden", "reports"]
#: Where the reports of a project are, below it.
FOLDER = ".reports"
#: What publishing closes.
TEXT = frozenset({"report", "report_assets"})
UPDATABLE = ("name", "tags", "comment", "report", "report_assets")


def require(call: Call, id: str) -> Document:
    """The report of that id.

    Raises:
        ApiError: 400/101 no such task, or it is no report.
    """
    task = changes.require(call.tx, id, [*changes.STATUS_FIELDS, "type", "project"])
    if task.get("type") != TYPE:
        raise error("invalid_task_id", "not a report", id=id, company=call.who.company)
    return task


def folder_of(call: Call, project: str | None) -> str:
    """The id of the hidden project for the reports of a project (None: of none), made where it is missing.

    Raises:
        ApiError: 400/401; 400/409 the project lies too deep.
    """
    above = projects.require(call.tx, project, ["name"])["name"] if project else ""
    if above == FOLDER or above.endswith(f"/{FOLDER}"):
        return project or ""
    name = project_names.normalise(f"{above}/{FOLDER}")
    return projects.find(call.tx, name) or projects.create(
        call.tx, call.who, name, call.now, {"system_tags": ["hidden"]}
    )


def root_folder(tx: Transaction) -> str | None:
    """The id of the hidden project for reports about no project; None where there is none yet."""
    return projects.find(tx, FOLDER)


def create(call: Call) -> Document:
    """The new report: ``{"id", "project_id"}``.

    Raises:
        ApiError: 400/800, 400/401.
    """
    folder = folder_of(call, call.get("project"))
    document = {"name": call.data["name"], "type": TYPE, "project": folder, "system_tags": TAGS}
    document |= {name: call.data[name] for name in ("comment", "tags") if call.get(name) is not None}
    id = creation.create(call, document)
    TASK.update(call.tx, id, written(call.data, ("report", "report_assets")))
    return {"id": id, "project_id": folder}


def written(data: Mapping[str, Any], names: tuple[str, ...]) -> Document:
    """The fields among ``names`` that a request gives, as they are kept.

    Raises:
        ApiError: 400/800.
    """
    given: Document = {name: data[name] for name in names if data.get(name) is not None}
    if "name" in given:
        given["name"] = changes.check_name(given["name"])
    for name in {"tags", "report_assets"} & set(given):
        given[name] = changes.tags_of(given[name])
    return given


def update(call: Call) -> Document:
    """What was set.

    Raises:
        ApiError: 400/101, 400/800; 400/110 the text of a published report.
    """
    task = require(call, call.data["task"])
    if task["status"] == task_status.PUBLISHED and set(call.data) & TEXT:
        raise error("invalid_task_status", expected=task_status.CREATED, status=task["status"])
    given = written(call.data, UPDATABLE)
    return changes.shown(changes.save(call, task["id"], given)) if given else {}


def move(call: Call) -> Document:
    """The hidden project the report is in now: ``{"project_id"}``.

    Raises:
        ApiError: 400/101, 400/401, and those of names.
    """
    task = require(call, call.data["task"])
    project: str | None = call.get("project")
    if name := call.get("project_name"):
        project = projects.find_or_create(call.tx, call.who, project_names.normalise(name), call.now)
    folder = folder_of(call, project)
    changes.save(call, task["id"], {"project": folder})
    projects.touch(call.tx, [folder, task.get("project")], call.now)
    remove_if_empty(call, task.get("project"))
    return {"project_id": folder}


def remove_if_empty(call: Call, folder: str | None) -> None:
    """Remove a hidden project for reports that has none any more."""
    project = PROJECT.get(call.tx, folder, ["basename"]) if folder else None
    if project is None or project.get("basename") != FOLDER:
        return
    if projects.is_empty(call.tx, project["id"]):
        PROJECT.delete(call.tx, [project["id"]])
