"""The pages that list: tasks, projects, queues, workers, templates, data sets, access keys.

A page is ``async (visit) -> Response``; what a form posts is in ``actions``, pages about one task in ``task_pages``.
Imports no endpoint: pages ask by name, as any client does.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from ..rules import fate, queue_policy
from . import advice, shown
from .visit import TASK_COLUMNS, TEMPLATES_PROJECT, Visit, as_page

PAGE_SIZE = 50
#: What a table of tasks may be narrowed to: name -> (its heading, filters of the API).
SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "": ("Tasks", {}),
    "pipelines": ("Pipelines", {"system_tags": ["pipeline"]}),
    "reports": ("Reports", {"type": ["report"]}),
}
#: Entries of a queue that are shown.
MOST_ENTRIES = 50
#: What a table may be sorted by: column -> field of the API.
SORTS = {
    "name": "name",
    "type": "type",
    "status": "status",
    "user": "user",
    "created": "created",
    "started": "started",
    "updated": "last_update",
    "iteration": "last_iteration",
}


async def home(visit: Visit) -> Response:
    """What runs, what was last touched, which queues wait."""
    tasks = await visit.ask(
        "tasks.get_all_ex",
        order_by=["-last_update"],
        page=0,
        page_size=10,
        only_fields=TASK_COLUMNS,
        system_tags=["-archived"],
        search_hidden=False,
    )
    return await visit.page(
        "home.html", tasks=tasks["tasks"], queues=await seen_queues(visit), workers=await seen_workers(visit)
    )


async def projects(visit: Visit) -> Response:
    """The projects, with how many tasks of each status they hold."""
    query = visit.request.query_params
    text, page = query.get("q", ""), as_page(query.get("page"))
    filters: dict[str, Any] = {"name": "(?i)" + re.escape(text)} if text else {}
    answer = await visit.ask(
        "projects.get_all_ex",
        include_stats=True,
        stats_for_state="active",
        order_by=["-last_update"] if query.get("sort") == "updated" else ["name"],
        page=page,
        page_size=PAGE_SIZE,
        search_hidden=False,
        **filters,
    )
    return await visit.page(
        "projects.html", projects=answer["projects"], text=text, page=page, more=len(answer["projects"]) == PAGE_SIZE,
        sort=query.get("sort", "name"),
    )  # fmt: skip


async def tasks(visit: Visit) -> Response:
    """A table of tasks, of one project or of all, filtered and sorted."""
    query = visit.request.query_params
    project = visit.request.path_params.get("project")
    chosen = {
        "q": query.get("q", ""),
        "status": query.get("status", ""),
        "archived": query.get("archived", ""),
        "sort": query.get("sort", "-updated"),
        "show": query.get("show", "") if query.get("show") in SHOWN else "",
    }
    heading, narrowed = SHOWN[chosen["show"]]
    page = as_page(query.get("page"))
    column, down = chosen["sort"].removeprefix("-"), chosen["sort"].startswith("-")
    tags = narrowed.get("system_tags", [])
    wanted = ["__$all", *tags, "archived"] if chosen["archived"] else [*tags, "-archived"]
    filters: dict[str, Any] = {**narrowed, "system_tags": wanted}
    if project:
        filters["project"] = [project]
    if chosen["q"]:
        filters["name"] = "(?i)" + re.escape(chosen["q"])
    if chosen["status"] in shown.STATUSES:
        filters["status"] = [chosen["status"]]
    answer = await visit.ask(
        "tasks.get_all_ex",
        order_by=[("-" if down else "") + SORTS.get(column, "last_update"), "id"],
        page=page,
        page_size=PAGE_SIZE,
        only_fields=TASK_COLUMNS,
        search_hidden=bool(project or chosen["show"]),
        **filters,
    )
    named = None
    if project:
        named = (await visit.ask("projects.get_by_id", project=project))["project"]

    def link(**changed: str) -> str:
        wanted = {k: v for k, v in {**chosen, **changed}.items() if v}
        return f"{visit.request.url.path}?{urlencode(wanted)}"

    def sorted_by(name: str) -> str:
        return link(sort=name if chosen["sort"] == "-" + name else "-" + name)

    return await visit.page(
        "tasks.html", tasks=answer["tasks"], project=named, chosen=chosen, page=page, link=link, sorted_by=sorted_by,
        more=len(answer["tasks"]) == PAGE_SIZE, column=column, down=down, heading=heading,
    )  # fmt: skip


def seconds_since(visit: Visit, text: str | None) -> float | None:
    """How long ago an instant of the API was; None for none."""
    if not text:
        return None
    then = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return max(0.0, (visit.now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds())


async def seen_workers(visit: Visit) -> list[dict[str, Any]]:
    """The workers alive, each with what is wrong with it."""
    answer = await visit.ask("workers.get_all")
    found: list[dict[str, Any]] = answer["workers"]
    for worker in found:
        silent = seconds_since(visit, worker.get("last_activity_time")) or 0.0
        worker["seen"] = advice.Worker(worker["id"], silent, bool(worker.get("task")))
        worker["wrong"] = advice.about_worker(worker["seen"])
    return found


async def seen_queues(visit: Visit, ids: list[str] | None = None) -> list[dict[str, Any]]:
    """Queues with their workers, what they ask for their tasks, how long the oldest waits, and what is wrong."""
    chosen = {"id": ids} if ids else {}
    answer = await visit.ask("queues.get_all_ex", order_by=["name"], **chosen)
    alive = await seen_workers(visit)
    found: list[dict[str, Any]] = answer["queues"]
    for queue in found:
        reasons_of = await reasons_for(visit, [entry_id(e) for e in queue["entries"][:MOST_ENTRIES]])
        await asyncio.to_thread(look_at, visit, queue, alive, reasons_of)
    return found


def look_at(
    visit: Visit, queue: dict[str, Any], alive: list[dict[str, Any]], reasons_of: dict[str, str]
) -> None:
    """Add to a queue what its page says beyond the API. Takes longer the more waits: not for the event loop."""
    entries, queue["depth"] = queue["entries"], len(queue["entries"])
    queue["workers"] = [w for w in alive if queue["id"] in [q["id"] for q in w.get("queues") or []]]
    queue["policy"] = policy = queue_policy.read(queue.get("metadata"))
    waited = [seconds_since(visit, entry["added"]) or 0.0 for entry in entries]
    queue["oldest"] = max(waited, default=None)
    for entry in entries:
        reason = reasons_of.get(entry_id(entry), "")
        entry["again"] = reason if fate.says(reason, fate.INFRASTRUCTURE) else ""
    waits = [seconds for seconds, entry in zip(waited, entries) if not entry["again"]]
    seen = [w["seen"] for w in queue["workers"]]
    queue["wrong"] = advice.about_queue(queue["depth"], max(waits, default=None), seen, policy.unread)


def entry_id(entry: dict[str, Any]) -> str:
    """The id of the task that waits."""
    task = entry["task"]
    return str(task["id"] if isinstance(task, dict) else task)


async def reasons_for(visit: Visit, ids: list[str]) -> dict[str, str]:
    """Why tasks have the status they have."""
    if not ids:
        return {}
    answer = await visit.ask(
        "tasks.get_all_ex", id=ids, only_fields=["id", "status_reason"], search_hidden=True
    )
    return {t["id"]: t.get("status_reason") or "" for t in answer["tasks"]}


async def queues(visit: Visit) -> Response:
    """The queues: what waits in each, for how long, who serves it, and what is wrong."""
    return await visit.page("queues.html", queues=await seen_queues(visit), most=MOST_ENTRIES)


async def queues_part(visit: Visit) -> Response:
    """Only the queues themselves, for the live view."""
    return await visit.page("queue_cards.html", queues=await seen_queues(visit), most=MOST_ENTRIES)


async def workers(visit: Visit) -> Response:
    """The workers: what each runs and when it last reported."""
    return await visit.page("workers.html", workers=await seen_workers(visit))


async def templates(visit: Visit) -> Response:
    """The templates: what can be run without writing code."""
    answer = await visit.ask("projects.get_all", name=f"^{re.escape(TEMPLATES_PROJECT)}$", search_hidden=True)
    found: list[dict[str, Any]] = []
    for project in answer["projects"]:
        listed = await visit.ask(
            "tasks.get_all_ex", project=[project["id"]], order_by=["name"], page=0, page_size=PAGE_SIZE,
            only_fields=["id", "name", "type", "comment", "last_update", "execution.queue.name", "container", "tags"],
            system_tags=["-archived"], search_hidden=True,
        )  # fmt: skip
        found += listed["tasks"]
    return await visit.page("templates.html", templates=found, project=TEMPLATES_PROJECT)


async def datasets(visit: Visit) -> Response:
    """The data sets: each version with its size and what it extends."""
    page = as_page(visit.request.query_params.get("page"))
    answer = await visit.ask(
        "tasks.get_all_ex", system_tags=["dataset", "-archived"], order_by=["-created"], page=page, page_size=PAGE_SIZE,
        only_fields=["id", "name", "status", "created", "project.name", "user.name", "runtime", "tags"],
        search_hidden=True,
    )  # fmt: skip
    for found in answer["tasks"]:
        found["dataset"] = ((found.get("project") or {}).get("name") or "").partition("/.datasets/")
    return await visit.page(
        "datasets.html", datasets=answer["tasks"], page=page, more=len(answer["tasks"]) == PAGE_SIZE
    )


async def account(visit: Visit, made: dict[str, str] | None = None) -> Response:
    """One's own access keys; a new one is shown once, with the client configuration it belongs to."""
    answer = await visit.ask("auth.get_credentials")
    return await visit.page(
        "account.html", credentials=answer["credentials"], made=made, urls=visit.services.urls
    )


async def models(visit: Visit) -> Response:
    """The models, of one project or of all."""
    query = visit.request.query_params
    project, text, page = (
        visit.request.path_params.get("project"),
        query.get("q", ""),
        as_page(query.get("page")),
    )
    filters: dict[str, Any] = {"project": [project]} if project else {}
    if text:
        filters["name"] = "(?i)" + re.escape(text)
    answer = await visit.ask(
        "models.get_all_ex", order_by=["-last_update"], page=page, page_size=PAGE_SIZE, system_tags=["-archived"],
        only_fields=["id", "name", "ready", "framework", "created", "last_update", "tags", "project.name", "user.name",
                     "task.name"], **filters,
    )  # fmt: skip
    named = (await visit.ask("projects.get_by_id", project=project))["project"] if project else None

    def link(**changed: str) -> str:
        return f"{visit.request.url.path}?{urlencode({k: v for k, v in {'q': text, **changed}.items() if v})}"

    return await visit.page(
        "models.html", models=answer["models"], project=named, text=text, page=page, link=link,
        more=len(answer["models"]) == PAGE_SIZE,
    )  # fmt: skip


async def endpoints(visit: Visit) -> Response:
    """Where models are served, as their containers report it."""
    return await visit.page(
        "endpoints.html", endpoints=(await visit.ask("serving.get_endpoints"))["endpoints"]
    )


async def nothing(visit: Visit, message: str = "") -> Response:
    """What is said where no page is, or nothing has the id asked for; and where to look."""
    return await visit.page("nothing.html", status=404, message=message)
