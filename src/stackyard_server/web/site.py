"""The web port's own pages: which page answers which path, and what each form does.

Forms are taken from our own pages only, and only from those who may do what the form does: both are asked before its
body is read. Pages need no script; ``live.js`` only follows a running task.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import parse_qs, quote, urlencode

from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from .. import API_VERSION
from ..calls import Services, dispatch
from ..http import cookies, headers
from ..http.edge import Port
from ..http.errors import Refused
from ..http.exchange import Exchange
from ..http.headers import encoded
from ..http.origins import Origins
from ..protocol import bounds
from ..protocol.bounds import Bound
from ..protocol.error_table import ApiError
from ..security_log import note
from . import actions, charts, compared, drafts, images, pages, task_pages
from .assets import Assets
from .caller import Caller
from .official_addresses import page_here
from .visit import TEMPLATES, Visit

#: Code and subcode of an id that nothing has: of a task, model, project, queue.
NO_SUCH = frozenset({(400, 101), (400, 201), (400, 401), (400, 701)})
#: A path on this server, with its query: one slash first, for two would name another host, and to a browser a backslash
#: is a slash.
OWN_PAGE = re.compile(r"/(?![/\\])[!-\[\]-~]*")
LONGEST_ADDRESS = 2000
#: Where a request carries its exchange.
EXCHANGE = "stackyard.exchange"

Page = Callable[[Visit], Awaitable[Response]]
Action = Callable[[Visit, FormData], Awaitable[Response]]


class Pages(Port):
    """The application of our own pages."""

    always = headers.PAGES

    def __init__(self, services: Services, origins: Origins) -> None:
        self.services = services
        self._origins = origins
        self._assets = Assets()
        self._router = self._routes()

    async def answer(self, exchange: Exchange) -> None:
        """A page, or what a form does; from an address of the official web app, on to the same thing here."""
        if exchange.method in ("GET", "HEAD") and (there := self._moved(exchange)) is not None:
            await exchange.respond(303, b"", encoded([("location", there)]))
            return
        await self._router({**exchange.scope, EXCHANGE: exchange}, exchange.gone, exchange.send)

    def _moved(self, exchange: Exchange) -> str | None:
        query = parse_qs(exchange.query.decode("latin-1"))
        return page_here(exchange.path, {name: ",".join(values) for name, values in query.items()})

    def _routes(self) -> Router:
        shown: dict[str, Page] = {
            "/": pages.home,
            "/projects": pages.projects,
            "/projects/{project}/tasks": pages.tasks,
            "/projects/{project}/models": pages.models,
            "/tasks": pages.tasks,
            "/tasks/{task}": task_pages.task,
            "/tasks/{task}/now": task_pages.task_now,
            "/tasks/{task}/log": task_pages.task_log,
            "/tasks/{task}/log/lines": task_pages.task_log_part,
            "/tasks/{task}/scalars": charts.task_scalars,
            "/tasks/{task}/scalars/data": charts.task_scalars_data,
            "/tasks/{task}/plots": charts.task_plots,
            "/tasks/{task}/plots/data": charts.task_plot_data,
            "/tasks/{task}/images": images.task_images,
            "/tasks/{task}/clone": task_pages.clone_form,
            "/tasks/{task}/edit": drafts.edit_form,
            "/compare": compared.compare,
            "/compare/scalars": compared.compared_scalars_data,
            "/models": pages.models,
            "/models/{model}": task_pages.model,
            "/new": pages.templates,
            "/datasets": pages.datasets,
            "/queues": pages.queues,
            "/queues/cards": pages.queues_part,
            "/workers": pages.workers,
            "/endpoints": pages.endpoints,
            "/account": pages.account,
        }
        # What each form does, and the endpoint whose least role its sender needs.
        done: dict[str, tuple[Action, str]] = {
            "/tasks/{task}/clone": (actions.clone, "tasks.clone"),
            "/tasks/{task}/edit": (drafts.save, "tasks.edit"),
            "/tasks/{task}/enqueue": (actions.enqueue, "tasks.enqueue"),
            "/tasks/{task}/dequeue": (actions.dequeue, "tasks.dequeue"),
            "/tasks/{task}/abort": (actions.abort, "tasks.stop"),
            "/tasks/{task}/reset": (actions.reset, "tasks.reset"),
            "/tasks/{task}/archive": (actions.archive, "tasks.archive_many"),
            "/tasks/{task}/unarchive": (actions.unarchive, "tasks.unarchive_many"),
            "/queues": (actions.create_queue, "queues.create"),
            "/account": (actions.create_credentials, "auth.create_credentials"),
            "/account/revoke": (actions.revoke_credentials, "auth.revoke_credentials"),
        }
        routes = [Route(path, self._showing(page), methods=["GET"]) for path, page in shown.items()]
        routes += [Route(path, self._doing(*done[path]), methods=["POST"]) for path in done]
        routes += [
            Route("/login", self._login_form, methods=["GET"]),
            Route("/login", self._login, methods=["POST"]),
            Route("/logout", self._logout, methods=["POST"]),
            Route("/static/{name}", self._static, methods=["GET"]),
        ]
        # the router's own redirects repeat whatever the Host header says
        return Router(routes=routes, redirect_slashes=False, default=self._nothing)

    async def _nothing(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if request.method not in ("GET", "HEAD"):
            raise Refused(404, "Not found.")
        answer = await self._showing(pages.nothing)(request)
        await answer(scope, receive, send)

    def _visit(self, request: Request) -> Visit | None:
        """The visit of whoever the cookie says is there; None when nobody is, or no longer."""
        exchange = exchange_of(request)
        token = cookies.token_in(exchange.headers)
        try:
            who = self.services.authenticator.admit(None, token, exchange.address)
        except ApiError:
            return None
        if who is None:
            return None
        exchange.holder = who.user
        return Visit(request, self.services, who, Caller(self.services, who, exchange.address, exchange.gone))

    def _showing(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def show(request: Request) -> Response:
            visit = self._visit(request)
            if visit is None:
                return RedirectResponse(login_address(request), 303)
            try:
                return await page(visit)
            except ApiError as refused:
                if (refused.code, refused.subcode) in NO_SUCH:
                    return await pages.nothing(visit, refused.message)
                return await visit.page("refused.html", status=refused.code, message=refused.message)

        return show

    def _doing(self, action: Action, endpoint: str) -> Callable[[Request], Awaitable[Response]]:
        entry = dispatch.find(endpoint, API_VERSION)

        async def do(request: Request) -> Response:
            self._check_sender(request)
            visit = self._visit(request)
            if visit is None:
                return RedirectResponse("/login", 303)
            try:
                dispatch.allow(entry, visit.who)
                return await action(visit, await form_of(request, bounds.FORM))
            except ApiError as refused:
                if refused.code == 403:
                    note(
                        "refused", endpoint=entry.name, user=visit.who.user, role=visit.who.role,
                        address=exchange_of(request).address, reason=refused.message,
                    )  # fmt: skip
                return await visit.page("refused.html", status=refused.code, message=refused.message)

        return do

    def _check_sender(self, request: Request) -> None:
        """Refuse a form that is not from one of our own pages.

        Raises:
            Refused: 403.
        """
        exchange = exchange_of(request)
        if self._origins.sender(exchange.headers) not in ("ours", "person"):
            note("foreign_origin", address=exchange.address, path=exchange.path)
            raise Refused(403, "This form was not sent from one of our pages.")

    async def _login_form(self, request: Request) -> Response:
        return login_page(after=request.query_params.get("next", ""))

    async def _login(self, request: Request) -> Response:
        self._check_sender(request)
        form = await form_of(request, replace(bounds.FORM, bytes=bounds.STRANGER.bytes))
        login, password = actions.text(form, "login"), form.get("password")
        after = actions.text(form, "next")
        authenticator = self.services.authenticator
        try:
            who = await asyncio.to_thread(
                authenticator.sign_in,
                login,
                password if isinstance(password, str) else "",
                exchange_of(request).address,
            )
        except ApiError as refused:
            wrong = "Too many attempts: wait a minute." if refused.code == 429 else "Wrong name or password."
            answer = login_page(wrong, login, refused.code, after)
            answer.headers.update(dict(refused.headers))
            return answer
        answer = RedirectResponse(own_page(after), 303)
        answer.headers.append(*cookies.keep(authenticator.issue(who), self.services.settings))
        return answer

    async def _logout(self, request: Request) -> Response:
        self._check_sender(request)
        visit = self._visit(request)
        if visit is not None:
            await visit.ask("auth.logout")
        answer = RedirectResponse("/login", 303)
        answer.headers.append(*cookies.take_away(self.services.settings))
        return answer

    async def _static(self, request: Request) -> Response:
        exchange = exchange_of(request)
        exchange.holder = None  # a file is in memory once, for all who ask
        takes_gzip = headers.takes_gzip(exchange.headers.get("accept-encoding", ""))
        found = await asyncio.to_thread(self._assets.find, request.path_params["name"], takes_gzip)
        if found is None:
            raise Refused(404, "Not found.")
        return Response(found.body, media_type=found.media_type, headers=found.headers)


def login_page(message: str = "", login: str = "", status: int = 200, after: str = "") -> Response:
    """The form one signs in with; ``after`` is the page to go on to."""
    page = TEMPLATES.get_template("login.html").render(message=message, login=login, after=own_page(after))
    return Response(page, status, media_type="text/html")


def login_address(request: Request) -> str:
    """The address of that form, which remembers the page that was asked for."""
    url = request.url
    wanted = own_page(quote(url.path) + (f"?{url.query}" if url.query else ""))
    return "/login" if wanted == "/" else f"/login?{urlencode({'next': wanted})}"


def own_page(address: str) -> str:
    """An address where it is a page of ours, else the first page: nobody is sent elsewhere by a link to the form."""
    ours = OWN_PAGE.fullmatch(address) is not None and len(address) <= LONGEST_ADDRESS
    return address if ours else "/"


def exchange_of(request: Request) -> Exchange:
    """The exchange that a request belongs to."""
    exchange: Exchange = request.scope[EXCHANGE]
    return exchange


async def form_of(request: Request, bound: Bound) -> FormData:
    """The fields of a form; files in it are refused.

    Raises:
        Refused: 413 too large; 400 malformed.
    """
    beyond = Refused(413, "The form is too large.")
    body = await exchange_of(request).body(bound, beyond)

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    try:
        form = await Request(request.scope, receive).form(
            max_files=0, max_fields=bound.values, max_part_size=bound.bytes
        )
        bounds.check_names(form, bound)
    except (MultiPartException, ApiError) as fault:
        raise Refused(400, fault.message) from None
    return form
