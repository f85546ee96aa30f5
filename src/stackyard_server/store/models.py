"""Models beyond their documents: which tasks name them, and which addresses they give for their files."""

from __future__ import annotations

from collections.abc import Iterable

from . import Transaction
from .documents import as_json


def naming_tasks(tx: Transaction, id: str) -> list[str]:
    """The tasks whose inputs or outputs name a model."""
    return [task for (task,) in tx.all("SELECT DISTINCT task FROM task_model WHERE model=?", (id,))]


def is_input_of_others(tx: Transaction, id: str, task: str) -> bool:
    """Whether a task other than that one takes a model as input."""
    sql = "SELECT 1 FROM task_model WHERE model=? AND kind='input' AND task<>? LIMIT 1"
    return tx.value(sql, (id, task)) is not None


def drafts_of(tx: Transaction, task: str) -> list[tuple[str, str | None]]:
    """(id, address) of the models a task made that are not published."""
    rows = tx.all("SELECT id, uri FROM model WHERE task=? AND ready=0", (task,))
    return [(id, uri) for id, uri in rows]


def published_of(tx: Transaction, task: str) -> int:
    """How many models a task made are published."""
    return int(tx.value("SELECT count(*) FROM model WHERE task=? AND ready=1", (task,)))


def release(tx: Transaction, task: str) -> int:
    """Let the models a task made be nobody's; how many they are."""
    return tx.run("UPDATE model SET task=NULL WHERE task=?", (task,))


def frameworks(tx: Transaction, projects: Iterable[str] | None = None) -> list[str]:
    """The frameworks of the models in these projects, or of all, in order."""
    sql, bound = "SELECT DISTINCT framework FROM model WHERE framework IS NOT NULL AND framework <> ''", []
    if projects is not None:
        sql += " AND project IN (SELECT value FROM json_each(?))"
        bound.append(as_json(projects))
    return [framework for (framework,) in tx.all(f"{sql} ORDER BY framework", bound)]


def move(tx: Transaction, ids: Iterable[str], project: str | None, user: str, now: int) -> list[str | None]:
    """Put models into a project, or into none; the projects they were in."""
    inside = as_json(ids)
    among = "id IN (SELECT value FROM json_each(?))"
    former = tx.all(f"SELECT DISTINCT project FROM model WHERE {among}", (inside,))
    tx.run(
        f"UPDATE model SET project=?, last_change=?, last_update=?, last_changed_by=? WHERE {among}",
        (project, now, now, user, inside),
    )
    return [id for (id,) in former]


# The addresses of their files


def is_named(tx: Transaction, uri: str, *, published: bool = False) -> bool:
    """Whether a model, or a published one, gives that address."""
    return (
        tx.value(f"SELECT 1 FROM model WHERE uri=?{' AND ready=1' if published else ''}", (uri,)) is not None
    )


def published_addresses(tx: Transaction, task: str) -> list[str]:
    """The addresses that the published models of a task give."""
    rows = tx.all("SELECT uri FROM model WHERE task=? AND ready=1 AND uri IS NOT NULL", (task,))
    return [str(uri) for (uri,) in rows]


def move_addresses(tx: Transaction, old: str, new: str) -> int:
    """Let the addresses below one URL be below another; how many were."""
    return tx.run(
        "UPDATE model SET uri = ? || substr(uri, ?) WHERE uri >= ? AND uri < ?",
        (new, len(old) + 1, f"{old}/", f"{old}0"),
    )
