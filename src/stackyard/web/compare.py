"""The room "Compare": tasks chosen, grouped and compared, each choice an address."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from stackyard import comparing, extras
from stackyard.comparing import Compared, choices, projects
from stackyard.comparing.choices import Choices
from stackyard.comparing.grouping import KEYS
from stackyard.comparing.selection import ENDED, FIELDS, LOCAL, STATUSES
from stackyard.errors import BadInputError, StackyardError
from stackyard.reports import outputs
from stackyard.web import choice as choosing
from stackyard.web import shown
from stackyard.web.asking import TimedClient
from stackyard.web.choice import Choice
from stackyard.web.section import Section
from stackyard.web.shown import Result
from stackyard.web.site import Site, Visit

T = TypeVar("T")

#: How long a comparison may take.
SECONDS, ASK_SECONDS = 80.0, 20.0
#: How long one is kept, and how many: who turns from page to page does not ask the server each time.
KEPT_SECONDS, MOST_KEPT = 30.0, 8
#: Rows for metrics and filters that are not used yet.
SPARE_ROWS = 3


@dataclass
class Kept:
    """Comparisons of the last moments, each of one person and one choice.

    Args:
        clock: monotonic seconds.
    """

    clock: Callable[[], float] = time.monotonic
    _held: OrderedDict[tuple[str, str], tuple[float, Result]] = field(default_factory=OrderedDict)

    def find(self, person: str, query: str) -> tuple[float, Result] | None:
        """A comparison, and its age in seconds."""
        at, found = self._held.get((person, query), (0.0, None))
        age = self.clock() - at
        return None if found is None or age > KEPT_SECONDS else (age, found)

    def keep(self, person: str, query: str, made: Result) -> None:
        """Keep one for a while."""
        self._held[(person, query)] = (self.clock(), made)
        self._held.move_to_end((person, query))
        while len(self._held) > MOST_KEPT:
            self._held.popitem(last=False)


def _routes(site: Site) -> Sequence[BaseRoute]:
    kept = Kept()

    def page_of(made: Compared) -> Result:
        return shown.result(made.report, made.tasks, site.connection.web)

    async def compare(visit: Visit) -> Response:
        choice = choosing.read(visit.query)
        if not choice.complete:
            return await _form(visit, choice)
        began, query = time.monotonic(), choice.query()
        found = kept.find(visit.person.digest, query)
        if found is None:
            try:
                made = await _made(visit, choice, "page", page_of)
            except BadInputError as error:  # what was chosen is at hand, to be mended
                return await _form(visit, choice, str(error), 400)
            kept.keep(visit.person.digest, query, made)
            found = 0.0, made
        no_html = extras.why_not("reports")
        return await visit.page(
            "compared.html",
            choice=choice,
            query=query,
            result=found[1],
            age=round(found[0]),
            seconds=f"{time.monotonic() - began:.1f}",
            files=[name for name in outputs.KINDS if name != "html" or no_html is None],
            no_html=no_html,
        )

    async def change(visit: Visit) -> Response:
        return await _form(visit, choosing.read(visit.query))

    async def choose(visit: Visit) -> Response:
        made = choosing.from_form(visit.query)
        if not made.complete and choosing.is_whole_form(visit.query):
            missing = "tick what makes a group" if made.project or made.tasks else "choose a project"
            return await _form(visit, made, f"nothing to compare yet: {missing}", 400)
        query = made.query()
        return RedirectResponse(f"/compare?{query}" if query else "/compare", 303)

    async def file(visit: Visit) -> Response:
        name = visit.request.path_params["name"]
        choice = choosing.read(visit.query)
        if name not in outputs.KINDS or not choice.complete:
            return site.refusal(visit.request, visit, 404, "There is no such file.")
        if name == "html":
            extras.check("reports", "report.html cannot be made")
        text = await _made(visit, choice, name, lambda made: outputs.render(name, made.report))
        return Response(
            text,
            media_type=outputs.KINDS[name],
            headers={
                "content-disposition": f'attachment; filename="{outputs.file_name(name)}"',
                "content-security-policy": "sandbox; default-src 'none'",
            },
        )

    return [
        Route("/compare", site.showing(compare), methods=["GET"]),
        Route("/compare/change", site.showing(change), methods=["GET"]),
        Route("/compare/choose", site.showing(choose), methods=["GET"]),
        Route("/compare/report.{name}", site.showing(file), methods=["GET"]),
    ]


async def _made(visit: Visit, choice: Choice, what: str, make: Callable[[Compared], T]) -> T:
    """What is made of a comparison, all of it in a thread. Files have a row for each task, a page has none."""
    asked, options = choice.asked()

    def job() -> T:
        with TimedClient(visit.connection, SECONDS) as client:
            return make(comparing.compare([client], asked, options, rows=what != "page"))

    return await visit.site.comparisons.do(visit.person.digest, (choice.query(), what), job)


async def _form(visit: Visit, choice: Choice, message: str = "", status: int = 200) -> Response:
    """The form to choose with: of a project what there is, else the projects."""

    def job() -> tuple[list[str], Choices | None, list[tuple[str, str, str]], str]:
        with TimedClient(visit.connection, ASK_SECONDS) as client:
            named = projects.names(client)
            if not choice.project:
                return named, None, [], ""
            try:
                there = choices.choices(client, choice.project)
                return named, there, choices.tasks(client, choice.project), ""
            except BadInputError as error:
                return named, None, [], str(error)

    named, there, newest, wrong = await visit.short(("choices", choice.project), job)
    return await visit.page(
        "choose.html",
        status=status,
        choice=choice,
        message=message or wrong,
        projects=named,
        there=there,
        newest=newest,
        unlisted=[id for id in choice.tasks if id not in {each[0] for each in newest}],
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
