"""The room "Compare": tasks chosen, grouped and compared, each choice an address."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from stackyard import comparing, extras
from stackyard.comparing import Compared, choices
from stackyard.comparing.choices import Choices
from stackyard.comparing.grouping import KEYS
from stackyard.comparing.selection import ENDED, FIELDS, LOCAL, STATUSES
from stackyard.errors import BadInputError, StackyardError
from stackyard.web import choice as choosing
from stackyard.web import shown
from stackyard.web.asking import TimedClient
from stackyard.web.choice import Choice
from stackyard.web.sections import Section
from stackyard.web.site import Site, Visit, in_words

#: How long a comparison may take.
SECONDS, ASK_SECONDS = 80.0, 20.0
#: How long one is kept, and how many: who turns from page to page does not ask the server each time.
KEPT_SECONDS, MOST_KEPT = 30.0, 8
#: Files that a comparison is given as: ending -> kind.
FILES = {
    "html": "text/html",
    "json": "application/json",
    "csv": "text/csv",
    "md": "text/markdown",
}
#: Rows for metrics and filters that are not used yet.
SPARE_ROWS = 3


@dataclass
class Kept:
    """Comparisons of the last moments, each of one person and one choice."""

    _held: OrderedDict[tuple[str, str], tuple[float, Compared]] = field(default_factory=OrderedDict)

    def find(self, person: str, query: str) -> tuple[float, Compared] | None:
        """A comparison and its age in seconds."""
        found = self._held.get((person, query))
        if found is None or time.monotonic() - found[0] > KEPT_SECONDS:
            return None
        return time.monotonic() - found[0], found[1]

    def keep(self, person: str, query: str, made: Compared) -> None:
        """Keep one for a while."""
        self._held[(person, query)] = (time.monotonic(), made)
        self._held.move_to_end((person, query))
        while len(self._held) > MOST_KEPT:
            self._held.popitem(last=False)


def _routes(site: Site) -> Sequence[BaseRoute]:
    kept = Kept()

    async def compare(visit: Visit) -> Response:
        choice = choosing.read(visit.query)
        if not choice.complete:
            return await _form(visit, choice)
        began = time.monotonic()
        query = choice.query()
        found = kept.find(visit.person.digest, query)
        if found is None:
            try:
                made = await _compared(visit, choice, rows=False)
            except BadInputError as error:  # what was chosen is at hand, to be mended
                return await _form(visit, choice, in_words(str(error)), 400)
            kept.keep(visit.person.digest, query, made)
            found = 0.0, made
        age, made = found
        result = await run_in_threadpool(shown.result, made.report, made.tasks, site.connection.web)
        return await visit.page(
            "compared.html",
            choice=choice,
            query=query,
            result=result,
            age=round(age),
            seconds=f"{time.monotonic() - began:.1f}",
            files=[name for name in FILES if name != "html" or extras.why_not("reports") is None],
            no_html=extras.why_not("reports"),
            confidence=f"{made.report.options.confidence * 100:g}",
        )

    async def change(visit: Visit) -> Response:
        return await _form(visit, choosing.read(visit.query))

    async def choose(visit: Visit) -> Response:
        query = choosing.from_form(visit.query).query()
        return RedirectResponse(f"/compare?{query}" if query else "/compare", 303)

    async def file(visit: Visit) -> Response:
        name = visit.request.path_params["name"]
        choice = choosing.read(visit.query)
        if name not in FILES or not choice.complete:
            return site.refusal(visit.request, visit, 404, "There is no such file.")
        if name == "html":
            extras.check("reports", "report.html cannot be made")
        made = await _compared(visit, choice, rows=True)
        text = await run_in_threadpool(_rendered, name, made)
        return Response(
            text,
            media_type=FILES[name],
            headers={
                "content-disposition": f'attachment; filename="report.{name}"',
                "content-security-policy": "sandbox; default-src 'none'",
            },
        )

    return [
        Route("/compare", site.showing(compare), methods=["GET"]),
        Route("/compare/change", site.showing(change), methods=["GET"]),
        Route("/compare/choose", site.showing(choose), methods=["GET"]),
        Route("/compare/report.{name}", site.showing(file), methods=["GET"]),
    ]


async def _compared(visit: Visit, choice: Choice, rows: bool) -> Compared:
    """The comparison, made in a thread."""
    asked, options = choice.asked()

    def job() -> Compared:
        with TimedClient(visit.connection, SECONDS) as client:
            return comparing.compare([client], asked, options, rows=rows)

    return await visit.site.comparisons.do(visit.person.digest, (choice.query(), rows), job)


def _rendered(name: str, made: Compared) -> str:
    from stackyard.reports import csv_report, json_report, markdown

    if name == "html":
        from stackyard.reports import html

        return html.render(made.report)
    return {"json": json_report, "csv": csv_report, "md": markdown}[name].render(made.report)


async def _form(visit: Visit, choice: Choice, message: str = "", status: int = 200) -> Response:
    """The form to choose with: of a project what there is, else the projects."""

    def job() -> tuple[list[str], Choices | None, str]:
        with TimedClient(visit.connection, ASK_SECONDS) as client:
            projects = choices.projects(client)
            try:
                there = choices.choices(client, choice.project) if choice.project else None
            except BadInputError as error:
                return projects, None, str(error)
            return projects, there, ""

    projects, there, wrong = await visit.short(("choices", choice.project), job)
    return await visit.page(
        "choose.html",
        status=status,
        choice=choice,
        message=message or in_words(wrong),
        projects=projects,
        there=there,
        keys=list(KEYS),
        statuses=[each for each in STATUSES if each in ENDED],
        fields=[each for each in (*FIELDS, *LOCAL) if each != "status"],
        filters=[each.partition("=")[::2] for each in choice.filters if not each.startswith("status=")],
        chosen_statuses=[each[7:] for each in choice.filters if each.startswith("status=")],
        metrics=[_taken_apart(each) for each in choice.metrics],
        spare=SPARE_ROWS,
    )


def _taken_apart(text: str) -> tuple[str, str, str]:
    """Name, choice and direction of a metric as it was typed."""
    from stackyard.comparing.metrics import wanted

    try:
        found = wanted(text)
    except StackyardError:
        return text, "last", ""
    return found.name, found.choice, {True: "less", False: "more", None: ""}[found.less_is_better]


SECTION = Section(
    "Compare",
    "/compare",
    "Tasks of the server in groups: medians, means, intervals and verdicts, for any tasks.",
    _routes,
)
