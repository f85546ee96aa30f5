"""What a list of projects says about each beyond its document: tasks by status, what lies below, data set sizes.

Four statements at most, however many projects the list has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..call import Call
from ..error_table import field_error
from ..store import Transaction, projects
from ..store.documents import TASK, Document
from ..store.filters import conditions

STATUSES = (
    "closed", "completed", "created", "failed", "in_progress", "published", "publishing", "queued", "stopped",
    "unknown",
)  # fmt: skip
#: Ends that count as completed in the last day; a failure is none of them.
DONE = frozenset({"completed", "published", "publishing", "closed", "stopped"})
DAY_MS = 24 * 3600 * 1000
#: How a row of tasks or models tells that it was archived, or hidden, without opening every list.
TAGGED = "(ifnull(d.system_tags, '[]') <> '[]' AND EXISTS (SELECT 1 FROM json_each(d.system_tags) WHERE value = '{}'))"


@dataclass(slots=True)
class Figures:
    """The tasks of one project, or of several."""

    status_count: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    runtime_seconds: int = 0
    completed_in_a_day: int = 0
    last_started_at: int | None = None

    def add(self, other: Figures) -> None:
        """Take another project's tasks in."""
        for status, number in other.status_count.items():
            self.status_count[status] = self.status_count.get(status, 0) + number
        self.runtime_seconds += other.runtime_seconds
        self.completed_in_a_day += other.completed_in_a_day
        starts = [at for at in (self.last_started_at, other.last_started_at) if at is not None]
        self.last_started_at = max(starts, default=None)

    @property
    def total(self) -> int:
        """The number of tasks."""
        return sum(self.status_count.values())

    def shown(self) -> Document:
        """In ClearML's form."""
        return {
            "status_count": self.status_count,
            "total_tasks": self.total,
            "total_runtime": self.runtime_seconds,
            "completed_tasks_24h": self.completed_in_a_day,
            "last_task_run": TASK.render({"started": self.last_started_at}).get("started"),
        }


def add(call: Call, documents: list[Document]) -> None:
    """Put what the call asks for (``include_stats``...) into the projects that are listed.

    Raises:
        ApiError: 400/12 a malformed ``include_stats_filter``.
    """
    ids = [project["id"] for project in documents]
    if call.get("check_own_contents"):
        _add_own(call, documents, ids)
    if call.get("include_stats"):
        _add_figures(call, documents, ids)
    if call.get("include_dataset_stats"):
        found = dataset_sizes(call.tx, ids)
        for project in documents:
            project["dataset_stats"] = found.get(project["id"])


def _state(call: Call) -> str:
    return "archived" if call.get("stats_for_state") == "archived" else "active"


def _add_own(call: Call, documents: list[Document], ids: list[str]) -> None:
    tasks = task_figures(call, ids)
    archived = TAGGED.format("archived")
    sql = f"""
        SELECT d.project, count(*) FROM model d
        WHERE d.project IN (SELECT value FROM json_each(?)) AND {"" if _state(call) == "archived" else "NOT"} {archived}
        GROUP BY d.project
    """
    models = dict(call.tx.all(sql, (projects.as_json(ids),)))
    for project in documents:
        project["own_tasks"] = tasks.get(project["id"], Figures()).total
        project["own_models"] = models.get(project["id"], 0)


def _add_figures(call: Call, documents: list[Document], ids: list[str]) -> None:
    below: Mapping[str, list[Document]] = {}
    if call.get("stats_with_children", True):
        below = descendants(call.tx, ids, bool(call.get("search_hidden")))
    everywhere = {*ids, *(child["id"] for children in below.values() for child in children)}
    figures = task_figures(call, everywhere)
    for project in documents:
        children = below.get(project["id"], [])
        total = Figures()
        for id in (project["id"], *(child["id"] for child in children)):
            if id in figures:
                total.add(figures[id])
        project["stats"] = {_state(call): total.shown()}
        project["sub_projects"] = children


def descendants(tx: Transaction, ids: Iterable[str], with_hidden: bool) -> dict[str, list[Document]]:
    """``{project: [{"id", "name"} of each project below it]}``, by name."""
    shown = "" if with_hidden else f"AND NOT {TAGGED.format('hidden')}"
    sql = f"""
        WITH RECURSIVE below(root, id) AS (
            SELECT value, value FROM json_each(?)
            UNION SELECT below.root, project.id FROM project JOIN below ON project.parent = below.id
        )
        SELECT below.root, d.id, d.name FROM below JOIN project d ON d.id = below.id
        WHERE below.root <> below.id {shown} ORDER BY d.name
    """
    found: dict[str, list[Document]] = {}
    for root, id, name in tx.all(sql, (projects.as_json(ids),)):
        found.setdefault(root, []).append({"id": id, "name": name})
    return found


def task_figures(call: Call, ids: Iterable[str]) -> dict[str, Figures]:
    """The tasks of each of these projects, without those below it, that are in the state and fit the filter asked for.

    Raises:
        ApiError: 400/12.
    """
    wanted: Any = call.get("include_stats_filter", {})
    if not isinstance(wanted, dict):
        raise field_error(
            "include_stats_filter", f": ('value is wrong, expected type \"dict\"', {wanted!r})."
        )
    found = conditions(TASK, {**wanted, "search_hidden": True})
    archived = TAGGED.format("archived")
    where = [
        "d.project IN (SELECT value FROM json_each(?))",
        archived if _state(call) == "archived" else f"NOT {archived}",
        *(condition.unindexed or condition.sql for condition in found),
    ]
    sql = f"""
        SELECT d.project, d.status, count(*), sum(max(0, ifnull(d.completed - d.started, 0))),
            sum(ifnull(d.completed >= ?, 0)), max(d.started)
        FROM task d WHERE {" AND ".join(where)} GROUP BY d.project, d.status
    """
    parameters = [call.now - DAY_MS, projects.as_json(ids), *(p for c in found for p in c.parameters)]
    figures: dict[str, Figures] = {}
    for project, status, number, runtime_ms, completed, started in call.tx.all(sql, parameters):
        of_status = Figures(
            runtime_seconds=runtime_ms // 1000,
            completed_in_a_day=completed if status in DONE else 0,
            last_started_at=started,
        )
        of_status.status_count[status] = number
        figures.setdefault(project, Figures()).add(of_status)
    return figures


def dataset_sizes(tx: Transaction, ids: Iterable[str]) -> dict[str, Document]:
    """``{project: {"file_count", "total_size"}}`` of the newest version of each data set."""
    sql = f"""
        SELECT d.project, max(d.created), json_extract(d.runtime, '$.ds_file_count'),
            json_extract(d.runtime, '$.ds_total_size')
        FROM task d WHERE d.project IN (SELECT value FROM json_each(?)) AND {TAGGED.format("dataset")}
            AND NOT {TAGGED.format("archived")} GROUP BY d.project
    """
    return {
        project: {"file_count": files or 0, "total_size": size or 0}
        for project, _, files, size in tx.all(sql, (projects.as_json(ids),))
    }
