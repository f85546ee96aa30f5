"""What a list of projects says about each beyond its document: tasks by status, what lies below, data set sizes.

Four statements at most, however many projects the list has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..calls import Call
from ..listing.filters import conditions
from ..protocol.error_table import field_error
from ..rules import project_names
from ..store import contents, projects
from ..store.documents import PROJECT, TASK, Document

STATUSES = (
    "closed", "completed", "created", "failed", "in_progress", "published", "publishing", "queued", "stopped",
    "unknown",
)  # fmt: skip
#: What tells the tasks of a kind of children (``children_type``) from others.
KINDS: dict[str, dict[str, list[str]]] = {
    "pipeline": {"system_tags": ["pipeline"], "type": ["controller"]},
    "dataset": {"system_tags": ["dataset"], "type": ["data_processing"]},
    "report": {"type": ["report"]},
}
#: Ends that count as completed in the last day; a failure is none of them.
DONE = frozenset({"completed", "published", "publishing", "closed", "stopped"})
DAY_MS = 24 * 3600 * 1000


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
    if call.get("children_type") == "dataset":
        _add_datasets(call, documents, ids)
    if call.get("check_own_contents"):
        _add_own(call, documents, ids)
    if call.get("include_stats"):
        _add_figures(call, documents, ids)
    if call.get("include_dataset_stats"):
        sizes = contents.dataset_sizes(call.tx, ids)
        for project in documents:
            files, size = sizes.get(project["id"], (None, None))
            project["dataset_stats"] = None if files is None else {"file_count": files, "total_size": size}


def _state(call: Call) -> contents.State:
    return "archived" if call.get("stats_for_state") == "archived" else "active"


def _add_own(call: Call, documents: list[Document], ids: list[str]) -> None:
    tasks = task_figures(call, ids)
    models = contents.count_models(call.tx, ids, _state(call))
    for project in documents:
        project["own_tasks"] = tasks.get(project["id"], Figures()).total
        project["own_models"] = models.get(project["id"], 0)


def _add_figures(call: Call, documents: list[Document], ids: list[str]) -> None:
    below: Mapping[str, list[tuple[str, str]]] = {}
    named = below
    if call.get("stats_with_children", True):
        named = below = projects.descendants(call.tx, ids, bool(call.get("search_hidden")))
        if call.get("children_type") in KINDS:  # they are in hidden folders
            below = projects.descendants(call.tx, ids, True)
    everywhere = {*ids, *(id for children in below.values() for id, _ in children)}
    figures = task_figures(call, everywhere)
    for project in documents:
        children = below.get(project["id"], [])
        total = Figures()
        for id in (project["id"], *(child for child, _ in children)):
            if id in figures:
                total.add(figures[id])
        project["stats"] = {**project.get("stats", {}), _state(call): total.shown()}
        project["sub_projects"] = [{"id": id, "name": name} for id, name in named.get(project["id"], [])]


def _add_datasets(call: Call, documents: list[Document], ids: list[str]) -> None:
    """How many data sets there are in each project and below, with their tags; and how many are its own."""
    below = projects.descendants(call.tx, ids, True)
    everywhere = {*ids, *(id for children in below.values() for id, _ in children)}
    found = PROJECT.get_many(call.tx, everywhere, ["name", "tags", "system_tags"])
    known = {p["id"]: p for p in found}
    for project in documents:
        here = [known[id] for id in (project["id"], *(child for child, _ in below.get(project["id"], [])))]
        sets = [p for p in here if "dataset" in (p.get("system_tags") or [])]
        tags = sorted({tag for p in sets for tag in p.get("tags") or []})
        project["stats"] = {"datasets": {"count": len(sets), "tags": tags}}
        if call.get("check_own_contents"):
            own = f"{known[project['id']]['name']}/{project_names.DATASETS}"
            project["own_datasets"] = sum(
                p["id"] == project["id"] or p["name"].rpartition("/")[0] == own for p in sets
            )


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
    found += conditions(TASK, {**KINDS.get(call.get("children_type", ""), {}), "search_hidden": True})
    figures: dict[str, Figures] = {}
    for row in contents.count_tasks(call.tx, ids, _state(call), found, since=call.now - DAY_MS):
        of_status = Figures(
            runtime_seconds=row.runtime_ms // 1000,
            completed_in_a_day=row.completed if row.status in DONE else 0,
            last_started_at=row.started,
        )
        of_status.status_count[row.status] = row.number
        figures.setdefault(row.project, Figures()).add(of_status)
    return figures
