"""What every page shares: who visits, how a page is made, what a refusal looks like. No page of its own room."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from stackyard.clearml.client import ServerError, UnreachableError
from stackyard.clearml.connection import Connection
from stackyard.errors import BadInputError, StackyardError
from stackyard.web.edge import Names
from stackyard.web.people import People, Person
from stackyard.web.section import Section
from stackyard.web.work import BusyError, Work

T = TypeVar("T")

#: Characters of a page.
LONGEST_PAGE = 6_000_000

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)


@dataclass
class Site:
    """One web app.

    Args:
        connection: the server's addresses, without a key.
        names: what this server is called.
        folders: of reports.
        sections: the rooms, in the order of the navigation.
    """

    connection: Connection
    names: Names
    folders: Sequence[Path]
    sections: Sequence[Section]

    def __post_init__(self) -> None:
        # a cookie goes to every port of a host: two web apps on one machine keep theirs apart
        self.people = People(self.connection, f"stackyard_web_{self.names.port}")
        #: What takes part of a second: a question to the server, a look at a folder, a page made.
        self.short = Work("request", threads=4, waiting=64, seconds=30.0, each=16)
        self.comparisons = Work("comparison", threads=2, waiting=8, seconds=90.0, each=3)

    def close(self) -> None:
        """Begin nothing new."""
        self.short.close()
        self.comparisons.close()

    def showing(
        self, page: Callable[[Visit], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """A page for whoever is signed in; a form to sign in for others, which leads on to it."""

        @functools.wraps(page)
        async def show(request: Request) -> Response:
            visit = None
            try:
                person = await self.person(request)
                if person is None:
                    return self.sign_in_page(request)
                visit = Visit(self, request, person)
                return await page(visit)
            except ServerError as error:
                if error.code == 401 and visit is not None:
                    self.people.forget(visit.person.token)
                    return self.sign_in_page(request, "Your session has ended: sign in again.")
                return self.refusal(request, visit, 502, str(error))
            except StackyardError as error:
                return self.refusal(request, visit, _status(error), str(error))

        return show

    async def person(self, request: Request) -> Person | None:
        """Who is there; ``None``: nobody whom the server knows."""
        for token, ours in self.people.tokens(cookies_of(request)):
            found = self.people.known(token, ours)
            if found is None:
                asked = functools.partial(self.people.ask, token, ours)
                found = await self.short.do(address_of(request), ("who", token), asked)
                if found is not None:
                    self.people.remember(found)
                elif ours:
                    self.people.forget(token)
            if found is not None:
                return found
        return None

    def page(
        self, request: Request, template: str, person: Person | None = None, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A page. Takes time that grows with it: a large one is made in a thread (``Visit.page``)."""
        text = TEMPLATES.get_template(template).render(
            person=person, path=request.url.path, sections=self.sections, server=self.connection.web, **values
        )
        if len(text) > LONGEST_PAGE:
            raise BadInputError(f"the page would be over {LONGEST_PAGE // 10**6} MB: choose less")
        return HTMLResponse(text, status)

    def refusal(self, request: Request, visit: Visit | None, status: int, sentence: str) -> Response:
        """The page of an error: its one sentence."""
        answer = self.page(
            request, "refused.html", visit.person if visit else None, status, sentence=sentence, code=status
        )
        if status == 503:
            answer.headers["retry-after"] = "5"
        return answer

    def sign_in_page(
        self, request: Request, message: str = "", status: int = 401, after: str | None = None, name: str = ""
    ) -> Response:
        """The form to sign in, at the address that was asked for, which it leads on to."""
        # as it was sent: what is decoded, such as a blank, is no address
        here = request.scope["raw_path"].decode("latin-1") + (
            f"?{request.url.query}" if request.url.query else ""
        )
        return self.page(
            request,
            "login.html",
            status=status,
            message=message,
            name=name,
            after=here if after is None else after,
        )


@dataclass(frozen=True)
class Visit:
    """One request of somebody who is signed in."""

    site: Site
    request: Request
    person: Person

    @property
    def query(self) -> str:
        """The address' query, as it was sent."""
        return str(self.request.url.query)

    @property
    def connection(self) -> Connection:
        """The server as this person."""
        return self.site.connection.with_token(self.person.token)

    async def short(self, what: Any, job: Callable[[], T]) -> T:
        """What a short job answers.

        Raises:
            BusyError: too many wait, or it took too long.
        """
        return await self.site.short.do(self.person.digest, what, job)

    async def page(
        self, template: str, status: int = 200, policy: str | None = None, **values: Any
    ) -> Response:
        """A page, made beside the event loop."""
        make = functools.partial(self.site.page, self.request, template, self.person, status, **values)
        answer = await asyncio.to_thread(make)
        if policy is not None:
            answer.headers["content-security-policy"] = policy
        return answer


def cookies_of(request: Request) -> dict[str, str]:
    """A request's cookies; of one name the first, as browsers send the most specific first."""
    found: dict[str, str] = {}
    for part in request.headers.get("cookie", "")[:16_384].split(";"):
        name, _, value = part.strip().partition("=")
        found.setdefault(name, value)
    return found


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "unknown"


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form of a few fields; its length is bounded by the edge.

    Raises:
        BadInputError: it is none.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadInputError("the form is not of the kind that our pages send")
    try:
        found = parse_qsl((await request.body()).decode("ascii"), max_num_fields=20, errors="strict")
    except ValueError as error:
        raise BadInputError("the form cannot be read") from error
    return dict(found)


def _status(error: StackyardError) -> int:
    if isinstance(error, BadInputError):
        return 400
    if isinstance(error, BusyError):
        return 503
    return 502 if isinstance(error, UnreachableError) else 500
