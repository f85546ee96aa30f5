"""Tokens: JWT (HS256) with ClearML's claims, signed with the data folder's own key. Pure: no store, no HTTP.

Beside ClearML's claims: ``generation`` (the user's, so that all their tokens can be ended at once), ``key`` (the access
key it was made with, so that it ends with it) and ``auth_time`` (when the caller last proved who they are).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import jwt

from .. import API_VERSION, FEATURE_SET, SERVER_VERSION
from ..protocol.error_table import ApiError, error
from ..store.documents import new_id

DAY_SECONDS = 24 * 3600
#: The longest life a client may ask for; what is given is capped by the server's settings.
LONGEST_ASKED_SECONDS = 365 * DAY_SECONDS
#: How long a session may go on by exchanging tokens before the caller has to prove again who they are.
LONGEST_SESSION_SECONDS = 30 * DAY_SECONDS
#: Longer texts are no token of ours.
LONGEST_TOKEN = 8192
#: The cookie's name clients know.
COOKIE = "clearml_token_basic"
ALGORITHM = "HS256"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls. ``session`` is empty for key-and-secret on the call itself."""

    user: str
    name: str
    role: str
    company: str
    company_name: str
    session: str = ""
    #: Epoch seconds of the token.
    issued_at: int = 0
    expires_at: int = 0
    #: How the caller proved it: "token", "cookie", "key", "password".
    proof: str = "token"
    #: The access key behind it, if any.
    access_key: str = ""
    generation: int = 0
    #: When key or password were last shown, epoch seconds.
    proved_at: int = 0


def life_seconds(asked: int | None, most: int) -> int:
    """How long a token lives: as asked, ``most`` at most.

    Raises:
        ApiError: 400/12 beyond a year, or not positive.
    """
    if asked is None:
        return most
    if asked > LONGEST_ASKED_SECONDS:
        limit = f": '{asked}' is bigger than maximum ('{LONGEST_ASKED_SECONDS}').."
        raise error("validation", f"error for field 'expiration_sec'{limit}")
    if asked < 1:
        raise error(
            "validation", f"error for field 'expiration_sec': '{asked}' is smaller than minimum ('1').."
        )
    return min(asked, most)


def encode(who: Identity, key: str, now: int, seconds: int) -> str:
    """A token for an identity; one made from a token stays in that token's session."""
    renewed = bool(who.session)
    proved_at = who.proved_at if renewed else now
    claims = {
        "env": "<unknown>",
        "identity": {
            "role": who.role,
            "user_name": who.name,
            "company_name": who.company_name,
            "user": who.user,
            "company": who.company,
        },
        "session_id": who.session or new_id(),
        "auth_type": "Bearer",
        "exp": max(min(now + seconds, proved_at + LONGEST_SESSION_SECONDS), now + 1),
        "iat": now,
        "api_version": API_VERSION,
        "server_version": SERVER_VERSION,
        "server_build": "",
        "feature_set": FEATURE_SET,
        "auth_time": proved_at,
        "generation": who.generation,
    }
    if who.access_key:
        claims["key"] = who.access_key
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def decode(token: str, key: str, now: float, longest: int) -> dict[str, Any]:
    """The claims of a token, all of them checked that need no store: signature, algorithm, type, times, forms.

    Args:
        token: As the client sent it.
        key: The signing key.
        now: Epoch seconds.
        longest: The longest life a token may have, seconds.

    Raises:
        ApiError: 401/30.
    """
    if len(token) > LONGEST_TOKEN:
        raise refused("Not enough segments")
    try:
        complete = jwt.decode_complete(
            token,
            key,
            algorithms=[ALGORITHM],
            options={"require": ["exp", "iat"], "verify_exp": False, "verify_iat": False},
        )
    except (jwt.InvalidTokenError, ValueError, RecursionError) as fault:
        torn = (
            str(fault) == "Invalid crypto padding"
        )  # the signature's text is no base64: it verifies nothing
        raise refused("Signature verification failed" if torn else str(fault)) from None
    claims: dict[str, Any] = complete["payload"]
    if complete["header"].get("typ") != "JWT" or claims.get("auth_type") != "Bearer":
        raise refused("Not a token for signing in")
    expires, issued = _instant(claims, "exp"), _instant(claims, "iat")
    _instant(claims, "auth_time")
    if now >= expires:
        raise refused("Signature has expired")
    # Only a clock that was set back makes tokens of the future; by more than a token's life, it counts as not ours.
    if issued > now + longest or expires - issued > longest:
        raise refused("The token is not yet valid (iat)")
    who = claims.get("identity")
    texts = [
        claims.get("session_id"),
        who.get("user") if isinstance(who, dict) else None,
        claims.get("key", ""),
    ]
    if not all(isinstance(text, str) for text in texts) or not isinstance(claims.get("generation"), int):
        raise refused("Claims are missing")
    return claims


def _instant(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise refused(f"{name} must be an integer")
    return value


def refused(reason: str) -> ApiError:
    """401/30 for a token that is none."""
    return error("invalid_token", "invalid jwt token", reason=reason)


def basic_pair(value: str) -> tuple[str, str]:
    """Name and secret of a ``Basic`` header; empty texts where it is malformed."""
    try:
        name, _, secret = base64.b64decode(value).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, secret
