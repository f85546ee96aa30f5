"""Tasks beyond their documents: how many there are, which hang together, and which have not been heard of.

Lists of tasks by ClearML's query language are in ``query``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from . import Transaction
from .documents import as_json


class LifeSign(NamedTuple):
    """When a task was last heard of (epoch milliseconds), and what is known of its run."""

    id: str
    last_sign: int
    worker: str | None
    status_message: str
    status_reason: str
    #: Whether a queue gave it away, and the queue it names.
    handed_out: bool
    queue: str | None
    status: str
    #: Its runtime properties.
    runtime: dict[str, Any]
    system_tags: list[str]


class Run(NamedTuple):
    """A run in progress; instants in epoch milliseconds."""

    id: str
    started: int
    status_message: str
    status_changed: int
    queue: str | None
    #: The value of the parameter that was asked for.
    parameter: str | None


class Past(NamedTuple):
    """When a task ran (epoch milliseconds), and whose work that was."""

    project: str | None
    user: str | None
    queue: str | None
    started: int
    ended: int


_LIFE = (
    "SELECT t.id, max(coalesce(t.last_update, t.status_changed, t.started, t.created, 0), coalesce(h.at, 0)), "
    "coalesce(t.last_worker, h.header), coalesce(t.status_message, ''), coalesce(t.status_reason, ''), "
    "h.task IS NOT NULL, json_extract(t.execution, '$.queue'), t.status, t.runtime, t.system_tags "
)


def silent(tx: Transaction, before: int) -> list[LifeSign]:
    """The tasks in progress that have not been heard of since an instant."""
    rows = tx.all(
        f"{_LIFE} FROM task t LEFT JOIN hand_out h ON h.task=t.id "
        "WHERE t.status='in_progress' AND coalesce(t.last_update, 0)<?",
        (before,),
    )
    return [_life_sign(row) for row in rows]


def taken(tx: Transaction, before: int) -> list[LifeSign]:
    """The tasks that a worker took before an instant and never started."""
    rows = tx.all(
        f"{_LIFE} FROM hand_out h JOIN task t ON t.id=h.task WHERE h.unstarted=1 AND h.at<? "
        "AND t.status='queued' AND NOT EXISTS (SELECT 1 FROM queue_entry e WHERE e.task=h.task)",
        (before,),
    )
    return [_life_sign(row) for row in rows]


def _life_sign(row: tuple[Any, ...]) -> LifeSign:
    sign = LifeSign(*row)
    return sign._replace(runtime=orjson.loads(row[-2] or "{}"), system_tags=orjson.loads(row[-1] or "[]"))


def running(tx: Transaction, before: int, section: str, name: str) -> list[Run]:
    """The tasks in progress that started before an instant, with their parameter of that section and name."""
    # hyperparameters are opened only where they can hold it
    rows = tx.all(
        "SELECT id, started, coalesce(status_message, ''), coalesce(status_changed, started), "
        f"json_extract(execution, '$.queue'), CASE WHEN instr(hyperparams, '{name}')>0 "
        f"THEN json_extract(hyperparams, '$.{section}.{name}.value') END "
        "FROM task WHERE status='in_progress' AND started<?",
        (before,),
    )
    return [Run(*row) for row in rows]


def runs_between(
    tx: Transaction, projects: Iterable[str] | None, since: int, until: int, now: int, *, development: bool
) -> list[Past]:
    """What ran between two instants; one that runs still ended now.

    Args:
        tx: Where to read.
        projects: Only tasks in these projects; None: in any.
        since: Epoch milliseconds.
        until: The same.
        now: The same.
        development: Also what was run by hand, without an agent.
    """
    ended = (
        "CASE WHEN completed>=started THEN completed WHEN status='in_progress' THEN ?1 "
        "ELSE started + 1000*ifnull(active_duration, 0) END"
    )
    sql = (
        f"SELECT project, user, json_extract(execution, '$.queue'), started, {ended} AS ended FROM task "
        "WHERE started IS NOT NULL AND started<?2 AND ended>?3"
    )
    bound: list[Any] = [now, until, since]
    if not development:
        sql += " AND NOT instr(ifnull(system_tags, ''), '\"development\"')"
    if projects is not None:
        sql += " AND project IN (SELECT value FROM json_each(?4))"
        bound.append(as_json(projects))
    return [Past(*row) for row in tx.all(sql, bound)]


def count_silent(tx: Transaction, before: int) -> int:
    """How many tasks in progress were last updated before an instant."""
    count: int = tx.value(
        "SELECT count(*) FROM task WHERE status='in_progress' AND last_update < ?", (before,)
    )
    return count


def count_by_status(tx: Transaction) -> dict[str, int]:
    """How many tasks there are of each status."""
    return dict(tx.all("SELECT status, count(*) FROM task GROUP BY status"))


def left_behind(tx: Transaction, queue: str) -> list[str]:
    """Tasks that a queue gave away and nobody has started: still queued, in no queue."""
    rows = tx.all(
        "SELECT id FROM task WHERE status='queued' AND json_extract(execution, '$.queue') = ? "
        "AND id NOT IN (SELECT task FROM queue_entry)",
        (queue,),
    )
    return [id for (id,) in rows]


def children(tx: Transaction, id: str) -> list[str]:
    """The tasks whose parent is that one."""
    return [child for (child,) in tx.all("SELECT id FROM task WHERE parent=?", (id,))]


def published_children(tx: Transaction, id: str) -> int:
    """How many tasks whose parent is that one are published."""
    return int(tx.value("SELECT count(*) FROM task WHERE parent=? AND status='published'", (id,)))


def release_children(tx: Transaction, id: str) -> int:
    """Take a task away from those it is the parent of; how many they are."""
    return tx.run("UPDATE task SET parent=NULL WHERE parent=?", (id,))


def of_tag(tx: Transaction, project: str, tag: str) -> list[str]:
    """The tasks in a project that have that system tag."""
    sql = (
        "SELECT id FROM task WHERE project=? AND EXISTS (SELECT 1 FROM json_each(system_tags) WHERE value=?)"
    )
    return [id for (id,) in tx.all(sql, (project, tag))]


def types(tx: Transaction, projects: Iterable[str] | None = None) -> list[str]:
    """The types of the tasks in these projects, or of all."""
    sql, bound = "SELECT DISTINCT type FROM task WHERE type IS NOT NULL", []
    if projects is not None:
        sql += " AND project IN (SELECT value FROM json_each(?))"
        bound.append(as_json(projects))
    return [type for (type,) in tx.all(sql, bound)]


def tags_of_type(tx: Transaction, type: str) -> list[str]:
    """The tags of the tasks of a type, in order."""
    sql = "SELECT DISTINCT tag.value FROM task d, json_each(d.tags) AS tag WHERE d.type=? ORDER BY tag.value"
    return [tag for (tag,) in tx.all(sql, (type,))]


def rename_versions(tx: Transaction, project: str, name: str, new: str) -> int:
    """Give the versions of a data set (the tasks so tagged and named in a project) another name; how many."""
    sql = "UPDATE task SET name=? WHERE project=? AND name=? AND instr(system_tags, '\"dataset\"')>0"
    return tx.run(sql, (new, project, name))


def reach(tx: Transaction, model: str, iteration: int) -> None:
    """Note that the task that made a model came as far as an iteration."""
    tx.run(
        "UPDATE task SET last_iteration=? WHERE id=(SELECT task FROM model WHERE id=?) AND last_iteration < ?",
        (iteration, model, iteration),
    )
