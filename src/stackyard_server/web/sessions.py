"""Signing in and out of the pages: the token as a cookie, and forms only from our own origin."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from ..call import Services
from ..error_table import ApiError
from ..identity import COOKIE, Identity


def visitor(services: Services, request: Request) -> Identity | None:
    """Who the cookie says is there; None when nobody is, or no longer."""
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    try:
        return services.gate.admit(None, token, address(request))
    except ApiError:
        return None


def address(request: Request) -> str:
    """The client's address."""
    return request.client.host if request.client else ""


async def sign_in(services: Services, login: str, password: str, at: str) -> str:
    """A token for a login and password.

    Raises:
        ApiError: 401/22 wrong, 429 too many attempts.
    """
    who = await asyncio.to_thread(services.gate.sign_in, login, password, at)
    return services.gate.issue(who)


def keep(response: Response, token: str, seconds: int, secure: bool) -> None:
    """Put the token into the cookie that ClearML's web app knows too."""
    response.set_cookie(
        COOKIE, token, max_age=seconds, httponly=True, samesite="strict", secure=secure, path="/"
    )


def same_origin(request: Request) -> bool:
    """Whether a form was sent from one of our own pages (OWASP CSRF: verify origin with standard headers)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none") and _origin_fits(request)
    return request.headers.get("origin") is not None and _origin_fits(request)


def _origin_fits(request: Request) -> bool:
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")
