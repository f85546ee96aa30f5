"""``login``: how one signs in, asked before anyone has."""

from __future__ import annotations

from typing import Any

from ..calls import Call
from ..calls.dispatch import endpoint
from ..http import cookies


@endpoint(access="none", signed_in=False)
def supported_modes(call: Call) -> dict[str, Any]:
    """That users sign in with login and password, and whether the caller has.

    There is no single sign-on and no guest; ``server_errors`` names stores this server does not have.
    """
    return {
        "authenticated": call.who is not None,
        "basic": {"enabled": True, "guest": {"enabled": False}},
        "server_errors": {"es_connection_error": False, "missed_es_upgrade": False},
        "sso": {},
        "sso_providers": [],
    }


@endpoint(access="state", role="readonly")
def logout(call: Call) -> dict[str, Any]:
    """Nothing; the session has ended. Left out: ``redirect_url``, ``provider`` (single sign-on)."""
    call.services.authenticator.revoke(call.tx, call.who)
    call.answer_headers.append(cookies.take_away(call.services.settings))
    return {}
