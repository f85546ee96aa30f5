"""Signing in by our own form, and signing out."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from stackyard.clearml.client import ServerError
from stackyard.errors import StackyardError
from stackyard.web.people import SERVERS_COOKIE
from stackyard.web.sessions import SESSION_SECONDS
from stackyard.web.site import Site, address_of, cookies_of, form_of
from stackyard.web.work import BusyError

#: A path of ours, with its query: one slash first, for two name another host, and a backslash is one to a browser.
_OWN_PAGE = re.compile(r"/(?![/\\])[!-\[\]-~]*")
_LONGEST = 200


def routes(site: Site) -> Sequence[BaseRoute]:
    """The addresses of signing in and out."""

    async def form(request: Request) -> Response:
        return site.sign_in_page(request, status=200, after="/")

    async def sign_in(request: Request) -> Response:
        try:
            given = await form_of(request)
        except StackyardError as error:
            return site.refusal(request, None, 400, str(error))
        name, secret, after = (
            given.get("name", "").strip(),
            given.get("secret", ""),
            own_page(given.get("next")),
        )
        address = address_of(request)
        if not name or not secret or len(name) > _LONGEST or len(secret) > _LONGEST or ":" in name:
            return site.sign_in_page(
                request, "Give a name and a password, or a key and its secret.", 400, after
            )
        try:
            site.people.check_patience(address)
            job = functools.partial(site.people.sign_in, name, secret)
            token = await site.short.do(address, ("sign in", name, secret), job)
        except BusyError as error:
            return site.sign_in_page(request, f"{error}.".capitalize(), 429, after, name)
        except ServerError as error:
            site.people.failed(address)
            if error.code == 401:
                message = "Wrong name or password, or wrong key or secret."
            elif error.code == 429:
                message = "The server has seen too many attempts: wait a minute."
            else:
                message = str(error)
            return site.sign_in_page(
                request, message, error.code if error.code in (401, 429) else 502, after, name
            )
        except StackyardError as error:
            return site.sign_in_page(request, str(error), 502, after, name)
        site.people.sessions.end(cookies_of(request).get(site.people.cookie))
        answer = RedirectResponse(after, 303)
        answer.set_cookie(
            site.people.cookie,
            site.people.sessions.begin(token),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=site.names.secure,
        )
        return answer

    async def sign_out(request: Request) -> Response:
        answer = RedirectResponse("/login", 303)
        for token, ours in site.people.tokens(cookies_of(request)):
            site.people.forget(token)
            with contextlib.suppress(
                StackyardError
            ):  # where the server does not answer, our session ends all the same
                job = functools.partial(site.people.sign_out, token)
                await site.short.do(address_of(request), ("sign out", token), job)
            answer.delete_cookie(
                site.people.cookie if ours else SERVERS_COOKIE,
                httponly=True,
                samesite="strict",
                secure=site.names.secure,
            )
        return answer

    return [
        Route("/login", form, methods=["GET"]),
        Route("/login", sign_in, methods=["POST"]),
        Route("/logout", sign_out, methods=["POST"]),
    ]


def own_page(text: str | None) -> str:
    """An address of ours to go on to; the first page for anything else."""
    return text if text and len(text) <= 12_000 and _OWN_PAGE.fullmatch(text) and text != "/logout" else "/"
