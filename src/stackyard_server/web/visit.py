"""One visit of a page: who asks, what is asked of the API, how a template is rendered. What pages share, no page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse

from ..calls import Services
from ..identity import Identity
from ..program import COMMAND
from . import breaking, notices, results, shown, terminal
from .assets import PLOTLY
from .caller import Caller

#: Where the templates of tasks are, and where what is started from them goes unless another project is named.
TEMPLATES_PROJECT, RUNS_PROJECT = "Stackyard/templates", "Stackyard/runs"
#: What tables of tasks show.
TASK_COLUMNS = [
    "id", "name", "type", "status", "status_message", "project.name", "user.name", "last_update", "started",
    "completed", "last_iteration", "active_duration", "tags", "system_tags", "last_worker", "runtime", "status_reason",
]  # fmt: skip

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.ChainableUndefined,
)
TEMPLATES.globals["command"] = COMMAND
TEMPLATES.globals["plotly"] = PLOTLY


def absent_as_none(show: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A filter that takes a field the document does not have for None."""
    return lambda value: show(None if isinstance(value, jinja2.Undefined) else value)


_SHOWS: tuple[Callable[..., Any], ...] = (
    shown.moment, shown.duration, shown.size, shown.name_of, shown.whole, results.number,
    breaking.breakable, breaking.cut, breaking.shell, terminal.printed,
)  # fmt: skip
for _show in _SHOWS:
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

    async def page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page, rendered beside the event loop: it grows with what is shown."""
        values.setdefault("notice", notices.sentence(self.request.query_params.get("notice", "")))
        text = await asyncio.to_thread(
            TEMPLATES.get_template(template).render,
            who=self.who,
            path=self.request.url.path,
            statuses=shown.STATUSES,
            ago=absent_as_none(partial(shown.ago, now=self.now)),
            compare_url=self.services.settings.compare_url,
            may_write=self.who.role != "readonly",
            **values,
        )
        return HTMLResponse(text, status)


def as_page(text: str | None) -> int:
    """A page number from a query; 0 for anything else."""
    return min(int(text), 1_000_000) if text and text.isascii() and text.isdigit() and len(text) < 8 else 0


def file_link(services: Services, uri: str | None) -> str | None:
    """The address of a stored file under our own origin; other addresses only where they are http(s)."""
    if not uri:
        return None
    try:
        parts = urlsplit(uri)
    except ValueError:  # a client may store anything, such as "http://["
        return None
    ours = {
        urlsplit(u).netloc
        for u in (services.urls.get("files"), *services.memory.get("files_addresses", ()))
        if u
    }
    if parts.netloc in ours:
        return "/files" + quote(parts.path, safe="/%")
    return uri if parts.scheme in ("http", "https") else None


def title_of(event: dict[str, Any]) -> str:
    """An event's metric and variant, once where they are the same."""
    metric, variant = str(event.get("metric", "")), str(event.get("variant", ""))
    return metric if variant in ("", metric) else f"{metric} · {variant}"
