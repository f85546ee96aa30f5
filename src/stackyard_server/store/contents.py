"""What is in projects: the values that filter menus offer, how many tasks and models there are, who made them.

Most functions answer for the documents that meet some conditions (``query``), ``scope`` among them. Reading all tasks
takes its time with many of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import orjson

from . import Transaction, condition, projects
from .condition import EVERYTHING, Condition, clause, none_of, tagged
from .documents import TASK, Collection, as_json

State = Literal["active", "archived"]
#: Where projects stand in the documents of each collection.
_PROJECT_OF = {"task": "project", "model": "project", "project": "id"}


def scope(
    tx: Transaction, ids: Iterable[str | None] | None, with_children: bool, collection: Collection = TASK
) -> Condition:
    """Is in these projects (and those below them), or in any where none are named."""
    wanted = [id for id in ids or [] if id is not None]
    if not wanted:
        return EVERYTHING
    if with_children:
        wanted = projects.subtree(tx, wanted)
    return condition.in_projects(wanted, _PROJECT_OF[collection.name])


def in_state(state: State) -> Condition:
    """Is archived, or is not."""
    archived = tagged("archived")
    return archived if state == "archived" else none_of(archived)


# Values that menus offer


def tags(
    tx: Transaction,
    collection: Collection,
    column: Literal["tags", "system_tags"],
    found: Sequence[Condition],
) -> list[str]:
    """The distinct tags of documents, in order."""
    where, parameters = clause(found)
    sql = f"""
        SELECT DISTINCT tag.value FROM "{collection.name}" d, json_each(d.{column}) AS tag
        WHERE ifnull(d.{column}, '[]') <> '[]' AND {where} ORDER BY tag.value
    """
    return [tag for (tag,) in tx.all(sql, parameters)]


def makers(tx: Transaction, found: Mapping[str, Condition]) -> list[tuple[str, str]]:
    """(id, name) of the users who made documents; the conditions by collection."""
    made = [
        f'EXISTS (SELECT 1 FROM "{table}" d WHERE d.user = u.id AND {met.sql})'
        for table, met in found.items()
    ]
    bound = [parameter for met in found.values() for parameter in met.parameters]
    sql = f"SELECT u.id, u.name FROM user u WHERE {' OR '.join(made)} ORDER BY u.number"
    return [(id, name) for id, name in tx.all(sql, bound)]


def made_tasks(projects: Iterable[str] | None) -> Condition:
    """A user made tasks, in one of these projects where some are named."""
    if projects is None:
        return Condition("d.id IN (SELECT user FROM task)")
    there = "SELECT user FROM task WHERE project IN (SELECT value FROM json_each(?))"
    return Condition(f"d.id IN ({there})", [as_json(projects)])


class Parent(NamedTuple):
    """A task that is the parent of others, and its project."""

    id: str
    name: str
    project: str | None
    project_name: str | None


def parents(
    tx: Transaction, found: Sequence[Condition], state: State | None, named: Condition | None = None
) -> list[Parent]:
    """The tasks that are parents of tasks, by name; of archived tasks, of the others, or of both.

    ``named`` is a condition on the parents' row ``p``.
    """
    where, parameters = clause(found)
    by_name = named or EVERYTHING
    archived = "EXISTS (SELECT 1 FROM json_each(d.system_tags) WHERE value = 'archived')"
    only = {"archived": archived, "active": f"NOT {archived}", None: "1"}[state]
    sql = f"""
        SELECT p.id, p.name, project.id, project.name FROM task p LEFT JOIN project ON project.id = p.project
        WHERE p.id IN (SELECT d.parent FROM task d WHERE d.parent IS NOT NULL AND {where} AND {only})
            AND {by_name.sql}
        ORDER BY p.name, p.number
    """
    return [Parent(*row) for row in tx.all(sql, [*parameters, *by_name.parameters])]


def parameters(tx: Transaction, found: Sequence[Condition]) -> list[tuple[str, str]]:
    """The (section, name) of every parameter of tasks, in order."""
    where, bound = clause(found)
    sql = f"""
        SELECT DISTINCT section.key, entry.key FROM task d, json_each(d.hyperparams) AS section,
            json_each(section.value) AS entry
        WHERE ifnull(d.hyperparams, '{{}}') <> '{{}}' AND section.type = 'object' AND {where} ORDER BY 1, 2
    """
    return [(section, name) for section, name in tx.all(sql, bound)]


def parameter_values(
    tx: Transaction,
    found: Sequence[Condition],
    section: str,
    name: str,
    most: int,
    pattern: str | None = None,
) -> list[str]:
    """The distinct values of one parameter that a pattern occurs in, in order, ``most`` of them.

    Raises:
        BadPattern: It is none.
    """
    where, bound = clause(found)
    fits, fitting = condition.matching("found", pattern) if pattern else ("1", [])
    sql = f"""
        SELECT DISTINCT json_extract(entry.value, '$.value') AS found FROM task d,
            json_each(d.hyperparams) AS section, json_each(section.value) AS entry
        WHERE instr(d.hyperparams, ?) AND section.key = ? AND entry.key = ? AND found IS NOT NULL AND {where}
            AND {fits}
        ORDER BY found LIMIT ?
    """
    written = orjson.dumps(name).decode()
    return [value for (value,) in tx.all(sql, [written, section, name, *bound, *fitting, most])]


def metadata_keys(tx: Transaction, found: Sequence[Condition]) -> list[str]:
    """The keys of the metadata of models, in order."""
    where, bound = clause(found)
    sql = f"SELECT DISTINCT entry.key FROM model d, json_each(d.metadata) AS entry WHERE {where} ORDER BY 1"
    return [key for (key,) in tx.all(sql, bound)]


def metadata_values(tx: Transaction, found: Sequence[Condition], key: str, most: int) -> list[str]:
    """The distinct values under one key of the metadata of models, in order, ``most`` of them."""
    where, bound = clause(found)
    sql = f"""
        SELECT DISTINCT json_extract(entry.value, '$.value') AS found FROM model d, json_each(d.metadata) AS entry
        WHERE entry.key = ? AND found IS NOT NULL AND {where} ORDER BY found LIMIT ?
    """
    return [value for (value,) in tx.all(sql, [key, *bound, most])]


def series_of(tx: Transaction, ids: Iterable[str]) -> list[tuple[str, str]]:
    """The (metric, variant) of every scalar series of these tasks or models, in order."""
    return _series(tx, "SELECT value FROM json_each(?)", [as_json(ids)])


def series(tx: Transaction, collection: Collection, found: Condition) -> list[tuple[str, str]]:
    """The (metric, variant) of every scalar series of tasks or models, in order."""
    only = "" if found is EVERYTHING else f" WHERE {found.sql}"
    return _series(tx, f'SELECT d.id FROM "{collection.name}" d{only}', found.parameters)


def _series(tx: Transaction, owners: str, bound: list[str]) -> list[tuple[str, str]]:
    sql = f"SELECT DISTINCT metric, variant FROM metric WHERE metric.owner IN ({owners}) ORDER BY metric, variant"
    return [(metric, variant) for metric, variant in tx.all(sql, bound)]


# What a project must hold, itself or below

_HOLDING = {
    "pipeline": f"SELECT d.id FROM project d WHERE {tagged('pipeline').sql}",
    "dataset": f"SELECT d.id FROM project d WHERE {tagged('dataset').sql}",
    "report": "SELECT d.project FROM task d WHERE d.type = 'report'",
    "task": "SELECT DISTINCT d.project FROM task d WHERE 1",
    "model": "SELECT DISTINCT d.project FROM model d WHERE 1",
}


def holding(kind: str, found: Sequence[Condition] = ()) -> Condition:
    """A project holds something of that kind that meets these conditions; everything does of a kind that is none."""
    start = _HOLDING.get(kind)
    if start is None:
        return EVERYTHING
    where, bound = clause(found)
    return Condition(f"d.id IN ({_and_above(f'{start} AND {where}')})", bound)


def holding_work_of(users: Iterable[str]) -> Condition:
    """A project, or something in it, was made by one of these users."""
    among = "user IN (SELECT value FROM json_each(?))"
    start = " UNION ".join(
        f"SELECT {column} FROM {table} WHERE {among}"
        for table, column in (("project", "id"), ("task", "project"), ("model", "project"))
    )
    return Condition(f"d.id IN ({_and_above(start)})", [as_json(users)] * 3)


def _and_above(start: str) -> str:
    """The ids of the projects that start selects and of all above them."""
    step = "SELECT p.parent FROM project p JOIN above ON p.id = above.id WHERE p.parent IS NOT NULL"
    return f"WITH RECURSIVE above(id) AS (SELECT * FROM ({start}) UNION {step}) SELECT id FROM above"


# Figures


class OfStatus(NamedTuple):
    """The tasks of one project in one status."""

    project: str
    status: str
    number: int
    runtime_ms: int
    #: How many of them completed since the instant asked about.
    completed: int
    #: When the last of them started, epoch milliseconds.
    started: int | None


def count_tasks(
    tx: Transaction, ids: Iterable[str], state: State, found: Sequence[Condition], since: int
) -> list[OfStatus]:
    """The tasks of each of these projects, without those below it, by status.

    Args:
        tx: Where to read.
        ids: The projects.
        state: Only archived tasks, or only the others.
        found: What else must hold of a task.
        since: From when on completions count, epoch milliseconds.
    """
    wanted = [condition.in_projects(ids), in_state(state), *(c.without_index() for c in found)]
    where, bound = clause(wanted)
    sql = f"""
        SELECT d.project, d.status, count(*), sum(max(0, ifnull(d.completed - d.started, 0))),
            sum(ifnull(d.completed >= ?, 0)), max(d.started)
        FROM task d WHERE {where} GROUP BY d.project, d.status
    """
    return [OfStatus(*row) for row in tx.all(sql, [since, *bound])]


def count_models(tx: Transaction, ids: Iterable[str], state: State) -> dict[str, int]:
    """How many models there are in each of these projects, without those below it."""
    where, bound = clause([condition.in_projects(ids), in_state(state)])
    return dict(tx.all(f"SELECT d.project, count(*) FROM model d WHERE {where} GROUP BY d.project", bound))


def dataset_sizes(tx: Transaction, ids: Iterable[str]) -> dict[str, tuple[int, int]]:
    """(files, bytes) of the newest version of the data set in each of these projects."""
    where, bound = clause([condition.in_projects(ids), tagged("dataset"), none_of(tagged("archived"))])
    sql = f"""
        SELECT d.project, max(d.created), json_extract(d.runtime, '$.ds_file_count'),
            json_extract(d.runtime, '$.ds_total_size')
        FROM task d WHERE {where} GROUP BY d.project
    """
    return {project: (files or 0, size or 0) for project, _, files, size in tx.all(sql, bound)}


class Contents(NamedTuple):
    """How much there is in some projects."""

    pipelines: int
    datasets: int
    tasks: int
    non_archived_tasks: int
    models: int
    non_archived_models: int
    reports: int
    non_archived_reports: int


def count(tx: Transaction, ids: Iterable[str]) -> Contents:
    """How much there is in these projects, without those below them."""
    inside = as_json(ids)
    archived = "EXISTS (SELECT 1 FROM json_each(d.system_tags) WHERE value = 'archived')"
    among = "project IN (SELECT value FROM json_each(?))"
    tasks = tx.one(
        f"""
        SELECT total(type = 'report'), total(type = 'report' AND NOT {archived}),
            total(type <> 'report'), total(type <> 'report' AND NOT {archived}) FROM task d WHERE {among}
        """,
        (inside,),
    )
    models = tx.one(f"SELECT count(*), total(NOT {archived}) FROM model d WHERE {among}", (inside,))
    tagged_projects = """
        SELECT count(DISTINCT p.id) FROM project p, json_each(p.system_tags) AS tag
        WHERE p.id IN (SELECT value FROM json_each(?)) AND tag.value = ?
            AND EXISTS (SELECT 1 FROM task WHERE task.project = p.id)
    """
    assert tasks is not None
    assert models is not None
    return Contents(
        pipelines=tx.value(tagged_projects, (inside, "pipeline")),
        datasets=tx.value(tagged_projects, (inside, "dataset")),
        tasks=int(tasks[2]),
        non_archived_tasks=int(tasks[3]),
        models=int(models[0]),
        non_archived_models=int(models[1]),
        reports=int(tasks[0]),
        non_archived_reports=int(tasks[1]),
    )


def first_unarchived(
    tx: Transaction, ids: Iterable[str]
) -> Literal["tasks", "models", "datasets", "pipelines"] | None:
    """What there is in these projects, without those below them, that is not archived; None where nothing is.

    A data set and a pipeline are projects whose versions and runs are tasks.
    """
    inside = as_json(ids)
    live = none_of(tagged("archived")).sql
    among = "d.project IN (SELECT value FROM json_each(?))"
    kind = "CASE WHEN {} THEN 'pipelines' WHEN {} THEN 'datasets' ELSE 'tasks' END".format(
        *(
            f"EXISTS (SELECT 1 FROM json_each(p.system_tags) WHERE value = '{tag}')"
            for tag in ("pipeline", "dataset")
        )
    )
    sql = f"SELECT DISTINCT {kind} FROM task d JOIN project p ON p.id = d.project WHERE {among} AND {live}"
    found = {kind for (kind,) in tx.all(sql, (inside,))}
    if tx.value(f"SELECT 1 FROM model d WHERE {among} AND {live} LIMIT 1", (inside,)):
        found.add("models")
    order: tuple[Literal["tasks", "models", "datasets", "pipelines"], ...]
    order = ("tasks", "models", "datasets", "pipelines")
    return next((kind for kind in order if kind in found), None)


# All of it


def first_public(tx: Transaction, collection: Collection, projects: Iterable[str]) -> str | None:
    """The id of a task, or model, in these projects that was made public; None where there is none."""
    where, bound = clause([condition.in_projects(projects), none_of(condition.owned())])
    found: str | None = tx.value(f'SELECT d.id FROM "{collection.name}" d WHERE {where} LIMIT 1', bound)
    return found


def ids_in(tx: Transaction, collection: Collection, projects: Iterable[str]) -> list[str]:
    """The tasks, or models, in these projects, oldest first."""
    among = "project IN (SELECT value FROM json_each(?))"
    rows = tx.all(f'SELECT id FROM "{collection.name}" WHERE {among} ORDER BY number', (as_json(projects),))
    return [id for (id,) in rows]


def move(
    tx: Transaction, collection: Collection, projects: Iterable[str], into: str | None, most: int
) -> int:
    """Put tasks, or models, of these projects into another, or into none, so many at most; how many."""
    among = (
        f'SELECT number FROM "{collection.name}" WHERE project IN (SELECT value FROM json_each(?)) LIMIT ?'
    )
    sql = f'UPDATE "{collection.name}" SET project=? WHERE number IN ({among})'
    return tx.run(sql, (into, as_json(projects), most))
