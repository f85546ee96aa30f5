"""The web port: our own pages, or a build of the official web app, API and files under the same origin.

Security: a strict Content-Security-Policy (no inline script or style, nothing from elsewhere), forms only from our own
origin, nothing cached that is someone's. Pages need no script; ``live.js`` only follows a running task.
"""

from __future__ import annotations

import logging
import mimetypes
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from ..api import Api, Receive, Scope, Send
from ..call import Services
from ..error_table import ApiError
from ..files.server import FileServer
from . import actions, pages, sessions, task_pages
from .caller import Caller
from .visit import TEMPLATES, Visit
from .webapp import WebApp

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}
#: A form is a few fields of text.
LARGEST_FORM_BYTES = 4 * 1024 * 1024

Page = Callable[[Visit], Awaitable[Response]]
Action = Callable[[Visit, "actions.FormData"], Awaitable[Response]]


class Site:
    """The application of the web port."""

    def __init__(self, services: Services, api: Api, files: FileServer) -> None:
        self.services = services
        rest: ASGIApp = self._own_pages()
        if services.settings.webapp is not None:
            rest = WebApp(services.settings.webapp, services)
        self._app = Starlette(
            routes=[Mount("/api", app=api), Mount("/files", app=files), Mount("/", app=rest)]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP exchange; API and files are asked under their own paths, as on their own ports."""
        await self._app(scope, receive, send)

    def _own_pages(self) -> Starlette:
        shown: dict[str, Page] = {
            "/": pages.home,
            "/projects": pages.projects,
            "/projects/{project}/tasks": pages.tasks,
            "/projects/{project}/tasks/{task}{tab:path}": task_pages.as_clients_print_it,
            "/tasks": pages.tasks,
            "/tasks/{task}": task_pages.task,
            "/tasks/{task}/now": task_pages.task_now,
            "/tasks/{task}/log": task_pages.task_log,
            "/tasks/{task}/log/lines": task_pages.task_log_part,
            "/tasks/{task}/scalars": task_pages.task_scalars,
            "/tasks/{task}/scalars/charts": task_pages.task_scalars_part,
            "/tasks/{task}/plots": task_pages.task_plots,
            "/tasks/{task}/clone": task_pages.clone_form,
            "/models/{model}": task_pages.model,
            "/new": pages.templates,
            "/datasets": pages.datasets,
            "/queues": pages.queues,
            "/queues/cards": pages.queues_part,
            "/workers": pages.workers,
            "/account": pages.account,
        }
        done: dict[str, Action] = {
            "/tasks/{task}/clone": actions.clone,
            "/tasks/{task}/enqueue": actions.enqueue,
            "/tasks/{task}/dequeue": actions.dequeue,
            "/tasks/{task}/abort": actions.abort,
            "/tasks/{task}/reset": actions.reset,
            "/tasks/{task}/archive": actions.archive,
            "/tasks/{task}/unarchive": actions.unarchive,
            "/queues": actions.create_queue,
            "/account": actions.create_credentials,
            "/account/revoke": actions.revoke_credentials,
        }
        routes = [Route(path, self._showing(page), methods=["GET"]) for path, page in shown.items()]
        routes += [Route(path, self._doing(action), methods=["POST"]) for path, action in done.items()]
        routes += [
            Route("/login", self._login_form, methods=["GET"]),
            Route("/login", self._login, methods=["POST"]),
            Route("/logout", self._logout, methods=["POST"]),
            Route("/static/{name}", self._static, methods=["GET"]),
        ]
        return Starlette(routes=routes)

    def _visit(self, request: Request) -> Visit | None:
        who = sessions.visitor(self.services, request)
        if who is None:
            return None
        return Visit(request, self.services, who, Caller(self.services, who, sessions.address(request)))

    def _showing(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def show(request: Request) -> Response:
            visit = self._visit(request)
            if visit is None:
                return secured(RedirectResponse("/login", 303))
            try:
                return secured(await page(visit))
            except ApiError as refused:
                return secured(visit.page("refused.html", status=refused.code, message=refused.message))

        return show

    def _doing(self, action: Action) -> Callable[[Request], Awaitable[Response]]:
        async def do(request: Request) -> Response:
            if not sessions.same_origin(request):
                return secured(PlainTextResponse("This form was not sent from one of our pages.", 403))
            visit = self._visit(request)
            if visit is None:
                return secured(RedirectResponse("/login", 303))
            if int(request.headers.get("content-length") or 0) > LARGEST_FORM_BYTES:
                return secured(PlainTextResponse("The form is too large.", 413))
            try:
                async with request.form(
                    max_files=0, max_fields=5000, max_part_size=LARGEST_FORM_BYTES
                ) as form:
                    return secured(await action(visit, form))
            except ApiError as refused:
                return secured(visit.page("refused.html", status=refused.code, message=refused.message))

        return do

    async def _login_form(self, request: Request) -> Response:
        return secured(
            Response(
                TEMPLATES.get_template("login.html").render(message="", login=""), media_type="text/html"
            )
        )

    async def _login(self, request: Request) -> Response:
        if not sessions.same_origin(request):
            return secured(PlainTextResponse("This form was not sent from one of our pages.", 403))
        async with request.form(max_files=0, max_fields=10) as form:
            login = actions.text(form, "login")
            password = form.get("password")
        try:
            at = sessions.address(request)
            token = await sessions.sign_in(
                self.services, login, password if isinstance(password, str) else "", at
            )
        except ApiError as refused:
            message = (
                "Too many attempts: wait a minute." if refused.code == 429 else "Wrong name or password."
            )
            page = TEMPLATES.get_template("login.html").render(message=message, login=login)
            return secured(Response(page, refused.code, media_type="text/html"))
        answer = RedirectResponse("/", 303)
        secure = self.services.settings.tls_certificate is not None
        sessions.keep(answer, token, self.services.settings.token_seconds, secure)
        return secured(answer)

    async def _logout(self, request: Request) -> Response:
        if not sessions.same_origin(request):
            return secured(PlainTextResponse("This form was not sent from one of our pages.", 403))
        visit = self._visit(request)
        if visit is not None:
            await visit.ask("auth.logout")
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(sessions.COOKIE, path="/")
        return secured(answer)

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        known = {path.name: path for path in STATIC.iterdir()}
        if name not in known:
            return secured(PlainTextResponse("Not found.", 404))
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        answer = secured(Response(known[name].read_bytes(), media_type=kind))
        answer.headers["cache-control"] = "public, max-age=300"
        return answer


def secured(answer: Response) -> Response:
    """The answer with the headers every page carries."""
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer
