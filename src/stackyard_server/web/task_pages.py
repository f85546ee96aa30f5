"""The pages about one task: overview, what it does now, log, and the form that copies it. Charts are in ``charts``.

A page is ``async (visit) -> Response``. Imports no endpoint: pages ask by name, as any client does.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from ..rules import task_status
from ..rules.task_document import NOTES_SECTION
from . import lineage, parameters, results
from .pages import entry_id, seen_queues
from .visit import RUNS_PROJECT, TASK_COLUMNS, TEMPLATES_PROJECT, Visit, file_link

LOG_LINES = 500
#: Rows of a table of parameters or artifacts that are shown.
MOST_ROWS = 200
#: Steps of a pipeline and newest values of a running task that are shown.
MOST_STEPS, MOST_LATEST = 200, 24
MODEL_COLUMNS = [
    "id", "name", "created", "last_update", "ready", "uri", "framework", "comment", "tags", "labels", "metadata",
    "design", "project.name", "user.name", "task.name", "task.status",
]  # fmt: skip


async def task_head(visit: Visit, columns: list[str]) -> dict[str, Any]:
    """A task with its project's, parent's and user's names.

    Raises:
        ApiError: There is no such task.
    """
    id = visit.request.path_params["task"]
    found = await visit.ask(
        "tasks.get_by_id_ex", id=[id], only_fields=[*TASK_COLUMNS, "parent.name", *columns]
    )
    if not found["tasks"]:
        await visit.ask("tasks.get_by_id", task=id)  # refuses in ClearML's words
    task: dict[str, Any] = found["tasks"][0]
    return task


async def task(visit: Visit) -> Response:
    """A task: what it is and does, its parameters, results, artifacts, models, and what it was made from."""
    wanted = ["comment", "report", "hyperparams", "configuration", "execution", "models", "container", "script",
              "parent", "parent.type", "parent.system_tags", "execution.queue.name", "models.input.model.name",
              "models.output.model.name"]  # fmt: skip
    found = await task_head(visit, wanted)
    values = await visit.ask("events.get_task_single_value_metrics", tasks=[found["id"]])
    single = [v for t in values["tasks"] for v in t["values"]]
    shown = await asyncio.to_thread(results.read, single, found.get("hyperparams"))
    stored = found.get("execution", {}).get("artifacts") or []
    artifacts = [{**a, "link": file_link(visit.services, a.get("uri"))} for a in stored[:MOST_ROWS]]
    steps = await visit.ask(
        "tasks.get_all_ex", parent=[found["id"]], order_by=["created"], page=0, page_size=MOST_STEPS,
        only_fields=[*TASK_COLUMNS, "status_reason"], search_hidden=True,
    )  # fmt: skip
    sections = dict(found.get("hyperparams") or {})
    notes = sections.pop(NOTES_SECTION, {})
    said = [
        ("properties", "User properties", sorted((name, one.get("value")) for name, one in notes.items())),
        ("runtime", "Runtime properties", noted(found.get("runtime"))),
    ]
    queues = None
    if found["status"] == task_status.CREATED:
        queues = (await visit.ask("queues.get_all_ex", order_by=["name"]))["queues"]
    return await visit.page(
        "task.html", tab="overview", task=found, single=shown, most=MOST_ROWS, artifacts=artifacts,
        sections=sections, said=said, queues=queues, preset=queue_of(found),
        artifacts_left_out=len(stored) - len(artifacts), steps=steps["tasks"], is_pipeline=is_pipeline(found),
        now=await now_of(visit, found), made_from=await made_from(visit, found),
    )  # fmt: skip


def noted(runtime: dict[str, Any] | None) -> list[tuple[str, str]]:
    """What a run noted of itself, by name; names with an underscore before them are of programs for programs."""
    return sorted(
        (name, str(value))
        for name, value in (runtime or {}).items()
        if not name.startswith("_") and value not in (None, "")
    )


def queue_of(task: dict[str, Any]) -> str:
    """The id of the queue that a task was made for, or was last in; "" of none."""
    held = (task.get("execution") or {}).get("queue")
    return (held.get("id") if isinstance(held, dict) else held) or ""


def is_pipeline(task: dict[str, Any]) -> bool:
    """Whether a task runs a pipeline."""
    return "pipeline" in (task.get("system_tags") or [])


async def made_from(visit: Visit, task: dict[str, Any]) -> list[dict[str, Any]]:
    """The data sets, models and tasks that a task was given, with their names and where it says so."""
    named = await asyncio.to_thread(lineage.references, task.get("hyperparams"))
    parents = await asyncio.to_thread(lineage.dataset_parents, task["id"], task.get("configuration"))
    of_tasks = [r.id for r in named if r.kind != "model"] + parents
    names: dict[str, dict[str, Any]] = {}
    if of_tasks:
        answer = await visit.ask(
            "tasks.get_all_ex", id=of_tasks, only_fields=["id", "name", "project.name", "runtime.version"],
            search_hidden=True,
        )  # fmt: skip
        names |= {t["id"]: t for t in answer["tasks"]}
    if of_models := [r.id for r in named if r.kind == "model"]:
        answer = await visit.ask("models.get_all_ex", id=of_models, only_fields=["id", "name"])
        names |= {m["id"]: m for m in answer["models"]}
    rows = [{"kind": r.kind, "id": r.id, "where": r.where, "found": names.get(r.id)} for r in named]
    rows += [{"kind": "dataset", "id": id, "where": "extends it", "found": names.get(id)} for id in parents]
    return rows


async def now_of(visit: Visit, task: dict[str, Any]) -> dict[str, Any] | None:
    """What a waiting or running task does at the moment; None of any other."""
    if task["status"] == "queued":
        return {"queue": await waiting_of(visit, task)}
    if task["status"] != "in_progress":
        return None
    answer = await visit.ask("events.get_task_latest_scalar_values", task=task["id"])
    latest = [
        {"metric": metric["name"], "variant": variant["name"], "value": variant["last_value"]}
        for metric in sorted(answer["metrics"], key=lambda m: m["name"])
        for variant in metric["variants"]
        if metric["name"] != results.SINGLE
    ]
    return {"latest": latest[:MOST_LATEST], "progress": progress_of(task)}


def progress_of(task: dict[str, Any]) -> int | None:
    """How far a task says it is, percent; None where it says nothing of use."""
    try:
        percent = float((task.get("runtime") or {})["progress"])
    except (KeyError, TypeError, ValueError):
        return None
    return round(percent) if 0 <= percent <= 100 else None


async def waiting_of(visit: Visit, task: dict[str, Any]) -> dict[str, Any] | None:
    """Where a queued task stands, and what is wrong with its queue; None where it stands nowhere."""
    id = queue_of(task)
    if not id:
        return None
    for queue in await seen_queues(visit, [id]):
        order = [entry_id(entry) for entry in queue["entries"]]
        place = order.index(task["id"]) + 1 if task["id"] in order else None
        return {**queue, "place": place}
    return None


async def task_now(visit: Visit) -> Response:
    """Only what the task does now, for the live view; the status rides in a header."""
    found = await task_head(visit, ["execution"])
    answer = await visit.page("task_now.html", task=found, now=await now_of(visit, found))
    answer.headers["x-task-status"] = found["status"]
    return answer


async def log_lines(visit: Visit, id: str) -> list[dict[str, Any]]:
    """The newest lines of a task's log, oldest first."""
    answer = await visit.ask(
        "events.get_task_log", task=id, batch_size=LOG_LINES, navigate_earlier=True, order="asc"
    )
    events: list[dict[str, Any]] = answer["events"]
    for event in events:
        event["at"] = datetime.fromtimestamp(event.get("timestamp", 0) / 1000, UTC).strftime("%H:%M:%S")
    return sorted(events, key=lambda e: e.get("timestamp", 0))


async def task_log(visit: Visit) -> Response:
    """The log, followed live while the task runs."""
    found = await task_head(visit, [])
    return await visit.page(
        "task_log.html", tab="log", task=found, lines=await log_lines(visit, found["id"]), most=LOG_LINES
    )


async def task_log_part(visit: Visit) -> Response:
    """Only the lines, for the live view; the status rides in a header."""
    found = await task_head(visit, [])
    answer = await visit.page("log_lines.html", task=found, lines=await log_lines(visit, found["id"]))
    answer.headers["x-task-status"] = found["status"]
    return answer


async def clone_form(visit: Visit, notice: str = "", typed: dict[str, str] | None = None) -> Response:
    """A copy of a task before it is made: name, project, parameters by section, container, queue."""
    found = await task_head(visit, ["hyperparams", "execution.queue", "container", "comment"])
    answer = await visit.ask("queues.get_all_ex", order_by=["name"])
    before = typed or {}
    sections, left_out = await asyncio.to_thread(
        parameters.sections, found.get("hyperparams") or {}, before, NOTES_SECTION
    )
    project = found["project"]["name"] if found.get("project") else ""
    from_template = project == TEMPLATES_PROJECT
    return await visit.page(
        "clone.html", tab="", task=found, sections=sections, left_out=left_out, queues=answer["queues"],
        notice=notice, typed=before, notes_section=NOTES_SECTION,
        from_template=from_template, project=RUNS_PROJECT if from_template else project, preset=queue_of(found),
        name=found["name"] if from_template else f"Clone of {found['name']}", status=400 if notice else 200,
    )  # fmt: skip


async def model(visit: Visit) -> Response:
    """A model: where its file is, which task made it from what, and who uses it."""
    id = visit.request.path_params["model"]
    answer = await visit.ask("models.get_all_ex", id=[id], only_fields=MODEL_COLUMNS)
    if not answer["models"]:
        await visit.ask("models.get_by_id", model=id)  # refuses in ClearML's words
    found: dict[str, Any] = answer["models"][0]
    origin: list[dict[str, Any]] = []
    maker = found.get("task") or {}
    if maker.get("id"):
        made = await visit.ask(
            "tasks.get_by_id_ex", id=[maker["id"]], only_fields=["id", "hyperparams", "configuration"]
        )
        origin = await made_from(visit, made["tasks"][0]) if made["tasks"] else []
    used = await visit.ask(
        "tasks.get_all_ex", only_fields=["id", "name", "status"], page=0, page_size=MOST_STEPS, search_hidden=True,
        **{"models.input.model": [id]},
    )  # fmt: skip
    link = file_link(visit.services, found.get("uri"))
    return await visit.page("model.html", model=found, made_from=origin, used=used["tasks"], link=link)
