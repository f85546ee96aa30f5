"""Projects as a tree: finding and making them by path, what lies below, and moving branches.

Documents and their fields are in ``documents``; what a name may be is in ``rules.project_names``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import orjson

from ..rules import project_names
from . import Transaction
from .condition import none_of, tagged
from .documents import PROJECT, Collection, Document, as_json, new_id
from .refusals import ProjectExists, ProjectTooDeep, UnknownProject


class Maker(Protocol):
    """Who makes a project: the ids of the user and the company."""

    @property
    def user(self) -> str:
        """The user's id."""

    @property
    def company(self) -> str:
        """The company's id."""


#: Where a project stands in a list ordered by "featured" until someone says otherwise.
NOT_FEATURED = 9999

BELOW = """
WITH RECURSIVE below(id) AS (
    SELECT value FROM json_each(?)
    UNION SELECT project.id FROM project JOIN below ON project.parent = below.id
)
"""


def exists(tx: Transaction, id: str) -> bool:
    """Whether a project has that id."""
    return PROJECT.exists(tx, id)


def find(tx: Transaction, name: str) -> str | None:
    """The id of the project with that whole name."""
    return PROJECT.id_of(tx, name)


def is_empty(tx: Transaction, id: str) -> bool:
    """Whether a project holds no task, no model and no other project."""
    holding = (("task", "project"), ("model", "project"), ("project", "parent"))
    return not any(
        tx.value(f"SELECT 1 FROM {table} WHERE {column}=? LIMIT 1", (id,)) for table, column in holding
    )


def require(tx: Transaction, id: str, fields: Iterable[str] | None = None) -> Document:
    """The project of that id.

    Raises:
        UnknownProject: There is none.
    """
    project = PROJECT.get(tx, id, fields)
    if project is None:
        raise UnknownProject(id)
    return project


def find_or_create(tx: Transaction, who: Maker, name: str, now: int) -> str:
    """The id of the project with that name (as ``project_names.normalise`` gives it), made with its parents where it is
    missing."""
    return find(tx, name) or create(tx, who, name, now)


def create(tx: Transaction, who: Maker, name: str, now: int, more: Mapping[str, Any] | None = None) -> str:
    """The id of a new project, made with the parents it lacks; ``name`` is normalised and free, ``more`` its fields."""
    parent_name, basename = project_names.split(name)
    path: list[str] = []
    if parent_name:
        parent = find(tx, parent_name) or create(tx, who, parent_name, now)
        path = [*(require(tx, parent, ["path"]).get("path") or []), parent]
        touch(tx, [parent], now)
    document: Document = {
        "id": new_id(), "company": who.company, "user": who.user, "name": name, "basename": basename,
        "description": "", "created": now, "tags": [], "system_tags": [], "last_update": now,
        "featured": NOT_FEATURED, "parent": path[-1] if path else None, "path": path, **(more or {}),
    }  # fmt: skip
    PROJECT.insert(tx, document)
    id: str = document["id"]
    return id


def touch(tx: Transaction, ids: Iterable[str | None], now: int) -> None:
    """Note that something in these projects changed."""
    sql = "UPDATE project SET last_update=? WHERE id IN (SELECT value FROM json_each(?))"
    tx.run(sql, (now, as_json(id for id in ids if id)))


def touch_of(tx: Transaction, task: str, now: int) -> None:
    """Note that something changed in the project a task is in."""
    tx.run("UPDATE project SET last_update=? WHERE id=(SELECT project FROM task WHERE id=?)", (now, task))


def subtree(tx: Transaction, ids: Iterable[str]) -> list[str]:
    """These projects and all below them; ids of no project stay."""
    return [row[0] for row in tx.all(BELOW + "SELECT id FROM below", (as_json(ids),))]


def children(tx: Transaction, id: str) -> list[tuple[str, str]]:
    """(id, last part of the name) of the projects right below one, oldest first."""
    rows = tx.all("SELECT id, basename FROM project WHERE parent=? ORDER BY number", (id,))
    return [(child, basename) for child, basename in rows]


def descendants(tx: Transaction, ids: Iterable[str], with_hidden: bool) -> dict[str, list[tuple[str, str]]]:
    """``{project: [(id, name) of each project below it]}``, by name."""
    shown = "" if with_hidden else f"AND {none_of(tagged('hidden')).sql}"
    sql = f"""
        WITH RECURSIVE below(root, id) AS (
            SELECT value, value FROM json_each(?)
            UNION SELECT below.root, project.id FROM project JOIN below ON project.parent = below.id
        )
        SELECT below.root, d.id, d.name FROM below JOIN project d ON d.id = below.id
        WHERE below.root <> below.id {shown} ORDER BY d.name
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for root, id, name in tx.all(sql, (as_json(ids),)):
        found.setdefault(root, []).append((id, name))
    return found


def relocate(tx: Transaction, id: str, parent: Document | None, basename: str) -> int:
    """Put a project below another parent (None: at the root), under a new last part, with all that is below it.

    Returns:
        The number of projects whose name changed.

    Raises:
        UnknownProject: There is none of that id.
        ProjectExists: Another one has the new name.
        ProjectTooDeep: The branch would reach too deep.
    """
    project = require(tx, id, ["name", "path"])
    old, new = project["name"], f"{parent['name']}/{basename}" if parent else basename
    path = [*(parent.get("path") or []), parent["id"]] if parent else []
    if (other := find(tx, new)) and other != id:
        raise ProjectExists(new)
    rows = tx.all(
        BELOW + "SELECT p.id, p.name, p.path FROM below JOIN project p ON p.id = below.id ORDER BY p.name",
        (as_json([id]),),
    )
    cut = len(project.get("path") or [])
    changes = []
    for below_id, name, below_path in rows:
        moved_name = new + name[len(old) :]
        if project_names.depth(moved_name) > project_names.MAX_DEPTH:
            raise ProjectTooDeep(project_names.MAX_DEPTH)
        moved_path = [*path, *orjson.loads(below_path or "[]")[cut:]]
        changes.append((moved_name, as_json(moved_path), below_id))
    tx.many("UPDATE project SET name=?, path=? WHERE id=?", changes)
    tx.run(
        "UPDATE project SET parent=?, basename=? WHERE id=?", (parent["id"] if parent else None, basename, id)
    )
    return len(changes)


def check_children(tx: Transaction, id: str, parent: Document | None) -> None:
    """Look whether all that is right below a project can be put below another (None: at the root).

    Raises:
        ProjectExists: Another project has the name that one would have.
        ProjectTooDeep: The branch would reach too deep.
    """
    old = require(tx, id, ["name"])["name"]
    cut, new = len(old) + 1, f"{parent['name']}/" if parent else ""
    for name in tx.all(BELOW + "SELECT p.name FROM below JOIN project p ON p.id=below.id", (as_json([id]),)):
        if project_names.depth(new + name[0][cut:]) > project_names.MAX_DEPTH:
            raise ProjectTooDeep(project_names.MAX_DEPTH)
    names = {new + basename: child for child, basename in children(tx, id)}
    taken = "SELECT name, id FROM project WHERE name IN (SELECT value FROM json_each(?))"
    for name, other in tx.all(taken, (as_json(names),)):
        if names[name] != other:
            raise ProjectExists(name)


def set_company(tx: Transaction, collection: Collection, ids: Iterable[str], company: str) -> int:
    """How many documents changed hands: "" is everyone's, as public documents are."""
    sql = f'UPDATE "{collection.name}" SET company=? WHERE company<>? AND id IN (SELECT value FROM json_each(?))'
    return tx.run(sql, (company, company, as_json(ids)))
