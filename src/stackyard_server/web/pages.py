"""The pages: what each asks the API and which template shows it.

A page is ``async (visit) -> Response``; what a form posts is in ``actions``. Imports no endpoint: pages ask by
name, as any client does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ..call import Services
from ..identity import Identity
from . import charts, shown
from .caller import Caller

PAGE_SIZE = 50
LOG_LINES = 500
#: Points a drawn series has at most.
SAMPLES = 400
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
TASK_COLUMNS = [
    "id", "name", "type", "status", "status_message", "project.name", "user.name", "last_update", "started",
    "completed", "last_iteration", "active_duration", "tags", "system_tags", "last_worker",
]  # fmt: skip

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.ChainableUndefined,
)


def absent_as_none(show: Callable[[Any], str]) -> Callable[[Any], str]:
    """A filter that takes a field the document does not have for None."""
    return lambda value: show(None if isinstance(value, jinja2.Undefined) else value)


for _show in (shown.moment, shown.duration, shown.size, shown.number, shown.name_of):
    TEMPLATES.filters[_show.__name__] = absent_as_none(_show)


@dataclass(slots=True)
class Visit:
    """One request of someone who is signed in."""

    request: Request
    services: Services
    who: Identity
    ask: Caller

    @property
    def now(self) -> datetime:
        """The server's time."""
        return datetime.fromtimestamp(self.services.clock(), UTC)

    def page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A rendered page."""
        values.setdefault("notice", self.request.query_params.get("notice", ""))
        return HTMLResponse(
            TEMPLATES.get_template(template).render(
                who=self.who,
                path=self.request.url.path,
                statuses=shown.STATUSES,
                ago=absent_as_none(partial(shown.ago, now=self.now)),
                may_write=self.who.role != "readonly",
                **values,
            ),
            status,
        )


def as_page(text: str | None) -> int:
    """A page number from a query; 0 for anything else."""
    return min(int(text), 1_000_000) if text and text.isascii() and text.isdigit() and len(text) < 8 else 0


def file_link(services: Services, uri: str | None) -> str | None:
    """The address of a stored file under our own origin; other addresses only where they are http(s)."""
    if not uri:
        return None
    parts = urlsplit(uri)
    ours = {
        urlsplit(u).netloc
        for u in (services.urls.get("files"), *services.memory.get("files_addresses", ()))
        if u
    }
    if parts.netloc in ours:
        return "/files" + quote(parts.path, safe="/%")
    return uri if parts.scheme in ("http", "https") else None


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
    queues = await visit.ask("queues.get_all_ex", only_fields=["*", "entries.task.name"])
    workers = await visit.ask("workers.get_all")
    return visit.page("home.html", tasks=tasks["tasks"], queues=queues["queues"], workers=workers["workers"])


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
    return visit.page(
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
    }
    page = as_page(query.get("page"))
    column, down = chosen["sort"].removeprefix("-"), chosen["sort"].startswith("-")
    filters: dict[str, Any] = {"system_tags": ["archived"] if chosen["archived"] else ["-archived"]}
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
        search_hidden=bool(project),
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

    return visit.page(
        "tasks.html", tasks=answer["tasks"], project=named, chosen=chosen, page=page, link=link, sorted_by=sorted_by,
        more=len(answer["tasks"]) == PAGE_SIZE, column=column, down=down,
    )  # fmt: skip


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
    """A task: what it is, its parameters, single values and artifacts."""
    wanted = [
        "comment",
        "hyperparams",
        "configuration",
        "execution",
        "models",
        "container",
        "script",
        "status_reason",
        "runtime",
        "parent",
    ]
    found = await task_head(visit, [*wanted, "models.input.model.name", "models.output.model.name"])
    values = await visit.ask("events.get_task_single_value_metrics", tasks=[found["id"]])
    single = [v for t in values["tasks"] for v in t["values"]]
    artifacts = [
        {**a, "link": file_link(visit.services, a.get("uri"))}
        for a in found.get("execution", {}).get("artifacts") or []
    ]
    return visit.page("task.html", tab="overview", task=found, single=single, artifacts=artifacts)


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
    return visit.page(
        "task_log.html", tab="log", task=found, lines=await log_lines(visit, found["id"]), most=LOG_LINES
    )


async def task_log_part(visit: Visit) -> Response:
    """Only the lines, for the live view; the status rides in a header."""
    found = await task_head(visit, [])
    answer = visit.page("log_lines.html", task=found, lines=await log_lines(visit, found["id"]))
    answer.headers["x-task-status"] = found["status"]
    return answer


async def task_scalars(visit: Visit) -> Response:
    """Every scalar as a chart, one a metric, one line a variant."""
    found = await task_head(visit, [])
    answer = await visit.ask(
        "events.scalar_metrics_iter_histogram", task=found["id"], samples=SAMPLES, key="iter"
    )
    drawn = [
        charts.draw(metric, {v["name"]: (v["x"], v["y"]) for v in variants.values()})
        for metric, variants in sorted(answer.items())
    ]
    values = await visit.ask("events.get_task_single_value_metrics", tasks=[found["id"]])
    single = [v for t in values["tasks"] for v in t["values"]]
    return visit.page(
        "task_scalars.html", tab="scalars", task=found, charts=[c for c in drawn if c], single=single
    )


async def clone_form(visit: Visit, notice: str = "", typed: dict[str, str] | None = None) -> Response:
    """A copy of a task before it is made: name, parameters, queue."""
    found = await task_head(visit, ["hyperparams", "execution.queue"])
    queues = await visit.ask("queues.get_all_ex", order_by=["name"])
    return visit.page(
        "clone.html",
        tab="",
        task=found,
        queues=queues["queues"],
        notice=notice,
        typed=typed or {},
        status=400 if notice else 200,
    )


async def queues(visit: Visit) -> Response:
    """The queues: what waits in each, in order, and who serves it."""
    answer = await visit.ask("queues.get_all_ex", only_fields=["*", "entries.task.name"], order_by=["name"])
    return visit.page("queues.html", queues=answer["queues"])


async def workers(visit: Visit) -> Response:
    """The workers: what each runs and when it last reported."""
    answer = await visit.ask("workers.get_all")
    return visit.page("workers.html", workers=answer["workers"])


async def account(visit: Visit, made: dict[str, str] | None = None) -> Response:
    """One's own access keys; a new one is shown once, with the client configuration it belongs to."""
    answer = await visit.ask("auth.get_credentials")
    return visit.page("account.html", credentials=answer["credentials"], made=made, urls=visit.services.urls)
