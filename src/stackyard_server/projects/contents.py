"""What the tasks and models of projects have in them: the values a filter menu offers.

Every function answers for some projects (``scope``: an SQL condition and its parameters), or for all. Reading all tasks
takes its time with many of them, so the endpoints above run beside the event loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import orjson

from ..call import Call
from ..store import Transaction, projects
from ..store.documents import COLLECTIONS, PROJECT, Document
from ..store.filters import conditions
from ..store.metrics import name_hash

Table = Literal["task", "model", "project"]
Scope = tuple[str, list[Any]]

#: How many values a menu gets at most, and how many unless it asks for more.
MOST_VALUES = 1000
PAGE = 500


def scope(
    tx: Transaction, ids: Iterable[str] | None, with_children: bool, column: str = "d.project"
) -> Scope:
    """The condition "in these projects" (in any where none are named)."""
    wanted = [id for id in ids or [] if id is not None]
    if not wanted:
        return "1", []
    if with_children:
        wanted = projects.subtree(tx, wanted)
    return f"{column} IN (SELECT value FROM json_each(?))", [projects.as_json(wanted)]


def tags(call: Call, table: Table) -> Document:
    """The distinct tags of documents; with system tags where those were asked for or filtered by.

    Raises:
        ApiError: 400/12.
    """
    wanted: Mapping[str, Any] = call.get("filter", {})
    filters = {name: wanted[name] for name in ("tags", "system_tags") if wanted.get(name) is not None}
    where, parameters = scope(
        call.tx, call.get("projects"), True, "d.id" if table == "project" else "d.project"
    )
    found = conditions(COLLECTIONS[table], {**filters, "search_hidden": True})
    where = " AND ".join([where, *(condition.sql for condition in found)])
    parameters = [*parameters, *(p for condition in found for p in condition.parameters)]

    def distinct(column: str) -> list[str]:
        sql = f"""
            SELECT DISTINCT tag.value FROM "{table}" d, json_each(d.{column}) AS tag
            WHERE ifnull(d.{column}, '[]') <> '[]' AND {where} ORDER BY tag.value
        """
        return [row[0] for row in call.tx.all(sql, parameters)]

    answer: Document = {"tags": distinct("tags")}
    if call.get("include_system"):
        answer["system_tags"] = distinct("system_tags")
    elif "system_tags" in filters:
        answer["system_tags"] = []
    return answer


def users(call: Call) -> list[Document]:
    """Who made the tasks, the models (``entity``) or both that are in the projects."""
    tables = (
        [call.data["entity"]] if call.get("entity") in ("task", "model") else ["task", "model", "project"]
    )
    ids, with_children = call.get("projects"), bool(call.get("include_subprojects", True))
    made: list[str] = []
    bound: list[Any] = []
    for table in tables:
        where, parameters = scope(call.tx, ids, with_children, "d.id" if table == "project" else "d.project")
        made.append(f'EXISTS (SELECT 1 FROM "{table}" d WHERE d.user = u.id AND {where})')
        bound += parameters
    sql = f"SELECT u.id, u.name FROM user u WHERE {' OR '.join(made)} ORDER BY u.number"
    return [{"id": id, "name": name} for id, name in call.tx.all(sql, bound)]


def parents(call: Call) -> list[Document]:
    """The tasks that are parents of tasks in the projects, by name."""
    where, parameters = scope(call.tx, call.get("projects"), bool(call.get("include_subprojects")))
    archived = "EXISTS (SELECT 1 FROM json_each(d.system_tags) WHERE value = 'archived')"
    state = {"archived": archived, "active": f"NOT {archived}"}.get(call.get("tasks_state", ""), "1")
    sql = f"""
        SELECT p.id, p.name, project.id, project.name FROM task p LEFT JOIN project ON project.id = p.project
        WHERE p.id IN (SELECT d.parent FROM task d WHERE d.parent IS NOT NULL AND {where} AND {state})
        ORDER BY p.name, p.number
    """
    found = []
    for id, name, project, project_name in call.tx.all(sql, parameters):
        parent: Document = {"id": id, "name": name}
        if project:
            parent["project"] = {"id": project, "name": project_name}
        found.append(parent)
    return found


def page(values: list[Any], call: Call) -> tuple[list[Any], int]:
    """The page asked for, and how many come behind it."""
    size = max(1, min(call.get("page_size", PAGE), MOST_VALUES))
    start = max(0, call.get("page", 0)) * size
    return values[start : start + size], max(0, len(values) - start - size)


def hyper_parameters(call: Call) -> list[tuple[str, str]]:
    """The (section, name) of every parameter of tasks in the project."""
    one = call.get("project")
    where, parameters = scope(call.tx, [one] if one else None, bool(call.get("include_subprojects", True)))
    sql = f"""
        SELECT DISTINCT section.key, entry.key FROM task d, json_each(d.hyperparams) AS section,
            json_each(section.value) AS entry
        WHERE ifnull(d.hyperparams, '{{}}') <> '{{}}' AND section.type = 'object' AND {where} ORDER BY 1, 2
    """
    return [(section, name) for section, name in call.tx.all(sql, parameters)]


def hyper_parameter_values(call: Call) -> list[str]:
    """The distinct values of one parameter."""
    where, parameters = scope(call.tx, call.get("projects"), bool(call.get("include_subprojects", True)))
    sql = f"""
        SELECT DISTINCT json_extract(entry.value, '$.value') AS found FROM task d,
            json_each(d.hyperparams) AS section, json_each(section.value) AS entry
        WHERE instr(d.hyperparams, ?) AND section.key = ? AND entry.key = ? AND found IS NOT NULL AND {where}
        ORDER BY found LIMIT ?
    """
    name = call.data["name"]
    written = orjson.dumps(name).decode()
    return [
        row[0] for row in call.tx.all(sql, [written, call.data["section"], name, *parameters, MOST_VALUES])
    ]


def metadata_keys(call: Call) -> list[str]:
    """The keys of the metadata of models in the project."""
    one = call.get("project")
    where, parameters = scope(call.tx, [one] if one else None, bool(call.get("include_subprojects", True)))
    sql = f"SELECT DISTINCT entry.key FROM model d, json_each(d.metadata) AS entry WHERE {where} ORDER BY 1"
    return [row[0] for row in call.tx.all(sql, parameters)]


def metadata_values(call: Call) -> list[str]:
    """The distinct values under one key of the metadata."""
    where, parameters = scope(call.tx, call.get("projects"), bool(call.get("include_subprojects", True)))
    sql = f"""
        SELECT DISTINCT json_extract(entry.value, '$.value') AS found FROM model d, json_each(d.metadata) AS entry
        WHERE entry.key = ? AND found IS NOT NULL AND {where} ORDER BY found LIMIT ?
    """
    return [row[0] for row in call.tx.all(sql, [call.data["key"], *parameters, MOST_VALUES])]


def metric_variants(call: Call, table: Literal["task", "model"]) -> list[Document]:
    """Every scalar series that tasks (or models) of the project reported, with the hashes that name it."""
    ids = call.get("ids")
    one = call.get("project")
    if ids:
        where, parameters = "metric.owner IN (SELECT value FROM json_each(?))", [projects.as_json(ids)]
    elif one:
        inside, parameters = scope(call.tx, [one], bool(call.get("include_subprojects", True)))
        where = f'metric.owner IN (SELECT d.id FROM "{table}" d WHERE {inside})'
    else:
        where, parameters = f'metric.owner IN (SELECT d.id FROM "{table}" d)', []
    sql = f"SELECT DISTINCT metric, variant FROM metric WHERE {where} ORDER BY metric, variant"
    return [
        {
            "metric": metric,
            "metric_hash": name_hash(metric),
            "variant": variant,
            "variant_hash": name_hash(variant),
        }
        for metric, variant in call.tx.all(sql, parameters)
    ]


def containing(call: Call) -> tuple[str, list[Any]]:
    """The condition on a listed project ``d`` of ``children_type`` and ``active_users``: what must be in it or below.

    Returns:
        SQL ("" for none) and its parameters.
    """
    parts: list[str] = []
    bound: list[Any] = []
    kinds = {
        "pipeline": "SELECT p.id FROM project p, json_each(p.system_tags) AS tag WHERE tag.value = 'pipeline'",
        "dataset": "SELECT p.id FROM project p, json_each(p.system_tags) AS tag WHERE tag.value = 'dataset'",
        "report": "SELECT project FROM task WHERE type = 'report'",
        "task": "SELECT DISTINCT project FROM task",
        "model": "SELECT DISTINCT project FROM model",
    }
    start = kinds.get(call.get("children_type", ""))
    if start:
        parts.append(f"d.id IN ({_above(start)})")
    if isinstance(call.get("active_users"), list) and call.data["active_users"]:
        among = "user IN (SELECT value FROM json_each(?))"
        start = " UNION ".join(
            f"SELECT {column} FROM {table} WHERE {among}"
            for table, column in (("project", "id"), ("task", "project"), ("model", "project"))
        )
        parts.append(f"d.id IN ({_above(start)})")
        bound += [projects.as_json(call.data["active_users"])] * 3
    return " AND ".join(parts), bound


def _above(start: str) -> str:
    """The ids of the projects that start selects and of all above them."""
    step = "SELECT p.parent FROM project p JOIN above ON p.id = above.id WHERE p.parent IS NOT NULL"
    return f"WITH RECURSIVE above(id) AS (SELECT * FROM ({start}) UNION {step}) SELECT id FROM above"


def hidden_among(tx: Transaction, ids: Iterable[str]) -> set[str]:
    """Which of these projects are tagged hidden."""
    found = PROJECT.get_many(tx, ids, ["system_tags"])
    return {project["id"] for project in found if "hidden" in (project.get("system_tags") or [])}
