"""The session's cookie: how it is read and what it is set with, on every port.

HttpOnly and SameSite=Strict always, Secure where browsers reach the server by TLS, no Domain.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..identity import COOKIE
from ..settings import ServerSettings


def token_in(headers: Mapping[str, str]) -> str | None:
    """The token that a request's cookie holds, if any; the first, as browsers send the most specific first."""
    sent = headers.get("cookie")
    if not sent:
        return None
    for part in sent.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value.strip('"')
    return None


def keep(token: str, settings: ServerSettings) -> tuple[str, str]:
    """The header that puts a token into the cookie, for as long as a token lives."""
    return _set(token, settings.token_seconds, settings)


def take_away(settings: ServerSettings) -> tuple[str, str]:
    """The header that takes the cookie away."""
    return _set("", 0, settings)


def _set(token: str, seconds: int, settings: ServerSettings) -> tuple[str, str]:
    kept = f"{COOKIE}={token}; Max-Age={seconds}; HttpOnly; Path=/; SameSite=Strict"
    return "Set-Cookie", f"{kept}; Secure" if settings.behind_tls else kept
