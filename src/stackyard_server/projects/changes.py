"""Changing the tree of projects: new ones, edits, moving, merging, deleting.

The tree itself is in ``store.projects``; tasks and models leave through the doors of those who own them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any

from ..calls import Call, pieces
from ..protocol.error_table import error
from ..rules import project_names
from ..store import Transaction, contents, projects, tasks
from ..store.documents import MODEL, PROJECT, TASK, Collection, Document
from ..tasks import models, removal

Steps = Generator[None, None, Document]

EDITABLE = ("name", "description", "tags", "system_tags", "default_output_destination")
#: So many tasks or models are put elsewhere in one step.
MOVED = 100


def create(call: Call) -> str:
    """The id of a new project of the call's fields.

    Raises:
        ApiError: 400/407, 400/12, 400/409 the name; 400/801 it is taken.
    """
    name = project_names.normalise(call.data["name"])
    if projects.find(call.tx, name):
        raise error("project_exists", name=name, company=call.who.company)
    more = given(call.data)
    more.pop("name")
    return projects.create(call.tx, call.who, name, call.now, more)


def given(data: Mapping[str, Any]) -> Document:
    """The editable fields that a request gives, as they are kept."""
    fields = {name: data[name] for name in EDITABLE if data.get(name) is not None}
    return fields | {
        name: models.clean_tags(fields[name]) for name in ("tags", "system_tags") if name in fields
    }


def require_own(tx: Transaction, id: str, fields: Iterable[str]) -> Document:
    """The project of that id, to be changed; a public one is nobody's to change.

    Raises:
        ApiError: 400/401.
    """
    project = projects.require(tx, id, [*fields, "company"])
    if project.get("company") == "":
        raise error("invalid_project_id", id=id)
    return project


def update(call: Call) -> Document:
    """What was set. A name may change in its last part only.

    Raises:
        ApiError: 400/401, 400/408, 400/801, and those of names.
    """
    project = require_own(call.tx, call.data["project"], ["name", "parent"])
    fields = given(call.data)
    if "name" in fields:
        fields["name"] = name = project_names.normalise(fields["name"])
        if project_names.split(name)[0] != project_names.split(project["name"])[0]:
            raise error("project_location", name=name)
        parent = PROJECT.get(call.tx, project["parent"]) if project.get("parent") else None
        projects.relocate(call.tx, project["id"], parent, project_names.split(name)[1])
        _rename_dataset(call.tx, project, name)
    if fields:
        PROJECT.update(call.tx, project["id"], {**fields, "last_update": call.now})
    return fields


def _rename_dataset(tx: Transaction, project: Document, name: str) -> None:
    """The versions of a data set follow their project's new name: the SDK looks for project and task by one name, and
    its ``Dataset.rename`` renames the project alone.
    """
    above, before = project_names.split(project["name"])
    if project_names.split(above)[1] == project_names.DATASETS:
        tasks.rename_versions(tx, project["id"], before, project_names.split(name)[1])


def move(call: Call, id: str, location: str) -> int:
    """Put a project and all below it under another, made where it is missing; "" is the root.

    Returns:
        The number of projects moved: 0 if it was there already.

    Raises:
        ApiError: 400/401, 400/409, 400/801; 400/410 into itself.
    """
    project = require_own(call.tx, id, ["name", "basename", "parent"])
    location = "/".join(part for part in (piece.strip() for piece in location.split("/")) if part)
    if f"{location}/".startswith(f"{project['name']}/"):
        raise error("project_inside_itself", project=project["name"], new_location=location)
    target = None
    if location:
        target = projects.find_or_create(call.tx, call.who, project_names.normalise(location), call.now)
    if target == project.get("parent"):
        return 0
    parent = projects.require(call.tx, target, ["id", "name", "path"]) if target else None
    moved = projects.relocate(call.tx, id, parent, project["basename"])
    projects.touch(call.tx, [id, project.get("parent"), target], call.now)
    return moved


def merge(call: Call, id: str, into: str | None) -> Steps:
    """Put what is in a project into another (None: into none), and remove it.

    Returns:
        The answer of ``projects.merge``.

    Raises:
        ApiError: 400/401, 400/409, 400/801; 400/410 into itself or below itself.
    """
    project = require_own(call.tx, id, ["name"])
    target = projects.require(call.tx, into, ["id", "name", "path"]) if into else None
    if target and f"{target['name']}/".startswith(f"{project['name']}/"):
        raise error("project_inside_itself", project=id, destination_project=into)
    children = projects.children(call.tx, id)
    projects.check_children(call.tx, id, target)
    moved = 0
    for number, (child, basename) in enumerate(children):
        if pieces.is_due(number):
            yield
        if number < pieces.IDS or PROJECT.exists(call.tx, child):  # it may have gone meanwhile
            moved += projects.relocate(call.tx, child, target, basename)
    entities = 0
    for collection in (TASK, MODEL):
        entities += yield from _move_contents(call, collection, [id], into)
    if into:
        projects.require(call.tx, into, ["id"])
    for child, basename in projects.children(call.tx, id):  # came meanwhile
        moved += projects.relocate(call.tx, child, target, basename)
    PROJECT.delete(call.tx, [id])
    projects.touch(call.tx, [into, *(child for child, _ in children)], call.now)
    return {"moved_entities": entities, "moved_projects": moved}


def _move_contents(
    call: Call, collection: Collection, ids: list[str], into: str | None
) -> Generator[None, None, int]:
    """Put the tasks, or models, of these projects into another, or into none: how many."""
    moved = 0
    while (some := contents.move(call.tx, collection, ids, into, MOVED)) == MOVED:
        moved += some
        yield
    return moved + some


def count_contents(tx: Transaction, id: str) -> Document:
    """What deleting a project would take along: the answer of ``projects.validate_delete``.

    Raises:
        ApiError: 400/401.
    """
    projects.require(tx, id, ["id"])
    return contents.count(tx, projects.subtree(tx, [id]))._asdict()


def delete(call: Call, id: str, *, force: bool, with_contents: bool, delete_files: bool = True) -> Steps:
    """Remove a project and all below it; its tasks and models go along, or stay without a project.

    Returns:
        The answer of ``projects.delete``.

    Raises:
        ApiError: 400/401; 400/402, 400/405, 400/406, 400/413 something in it is not archived, and no force; 400/101 or
            400/201 a task or model was to be deleted that is public, and so nobody's.
    """
    parent = require_own(call.tx, id, ["parent"]).get("parent")
    ids = projects.subtree(call.tx, [id])
    for below in ids:
        require_own(call.tx, below, [])
    if not force and (kind := contents.first_unarchived(call.tx, ids)):
        raise error(f"project_has_{kind}", "use force=true", id=id)
    answer: Document = {"disassociated_tasks": 0, "deleted_models": 0, "deleted_tasks": 0, "urls": None}
    if with_contents:  # refused before anything is done
        for collection, refusal in ((TASK, "invalid_task_id"), (MODEL, "invalid_model_id")):
            if public := contents.first_public(call.tx, collection, ids):
                raise error(refusal, "it is public", id=public, company=call.who.company)
        answer |= yield from _delete_contents(call, ids, delete_files)
    else:
        yield from _move_contents(call, MODEL, ids, None)
        answer["disassociated_tasks"] = yield from _move_contents(call, TASK, ids, None)
    ids = projects.subtree(call.tx, [id])
    for collection in (TASK, MODEL):  # of projects that came meanwhile
        yield from _move_contents(call, collection, ids, None)
    deleted = PROJECT.delete(call.tx, ids)
    projects.touch(call.tx, [parent], call.now)
    return {"deleted": deleted, **answer}


def _delete_contents(call: Call, ids: list[str], delete_files: bool) -> Steps:
    urls: dict[str, list[str]] = {"model_urls": [], "event_urls": [], "artifact_urls": []}
    deleted_tasks = deleted_models = 0
    while inside := contents.ids_in(call.tx, TASK, ids):  # others may come while the first ones go
        for number, id in enumerate(inside):
            if pieces.is_due(number):
                yield
            if number >= pieces.IDS and not TASK.exists(call.tx, id):
                continue
            gone = removal.delete(
                call, id, force=True, delete_models=True, delete_files=delete_files, with_urls=True
            )
            deleted_tasks += 1
            deleted_models += gone["deleted_models"]
            for kind, found in gone["urls"].items():
                urls[kind] += found
    for number, id in enumerate(contents.ids_in(call.tx, MODEL, ids)):
        if pieces.is_due(number):
            yield
        if number >= pieces.IDS and not MODEL.exists(call.tx, id):
            continue
        deleted_models += 1
        if url := models.delete(call.tx, id, force=True, delete_file=delete_files):
            urls["model_urls"].append(url)
    return {
        "deleted_models": deleted_models,
        "deleted_tasks": deleted_tasks,
        "urls": {kind: list(dict.fromkeys(found)) for kind, found in urls.items()},
    }
