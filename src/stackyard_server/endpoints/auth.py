"""``auth``: tokens, access keys, and ending a session.

Everyone manages their own keys, whatever their role; nobody gets at another's. Nobody acts as somebody else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from .. import identity
from ..calls import Call
from ..calls.dispatch import endpoint
from ..http import cookies
from ..protocol.error_table import ApiError, error, field_error
from ..store import credentials


@endpoint(access="none")
def login(call: Call) -> dict[str, Any]:
    """A token for whoever proved who they are, and the same as a cookie.

    ``expiration_sec`` is taken up to the server's ``token_seconds``.
    """
    authenticator = call.services.authenticator
    token = authenticator.issue(call.who, call.get("expiration_sec"))
    authenticator.was_used(call.who, call.address)
    call.answer_headers.append(cookies.keep(token, call.services.settings))
    return {"token": token}


@endpoint("2.2", access="state", role="readonly")
def logout(call: Call) -> dict[str, Any]:
    """Nothing; the session has ended, with every token of it. Left out: ``redirect_url`` (single sign-on)."""
    call.services.authenticator.revoke(call.tx, call.who)
    call.answer_headers.append(cookies.take_away(call.services.settings))
    return {}


@endpoint(access="none", signed_in=False)
def fixed_users_mode(call: Call) -> dict[str, Any]:
    """That users sign in with a password."""
    return {"enabled": True, "guest": {"enabled": False}, "server_errors": {}}


@endpoint(access="state", role="readonly")
def create_credentials(call: Call) -> dict[str, Any]:
    """A new access key of the caller; its secret is shown this once."""
    label = call.get("label")
    access_key, secret_key = identity.add_credentials(call.tx, call.who.user, label, by=call.who.user)
    shown = {"access_key": access_key, "secret_key": secret_key}
    return {"credentials": {**shown, "label": label} if label is not None else shown}


@endpoint(slow=False)
def get_credentials(call: Call) -> dict[str, Any]:
    """The caller's access keys: key, label, when and from where it was last used; never the secret."""
    keys = []
    for access_key, label, used_at, used_from in credentials.of(call.tx, call.who.user):
        used = datetime.fromtimestamp(used_at / 1000, UTC).replace(tzinfo=None) if used_at else None
        shown = {
            "access_key": access_key,
            "label": label,
            "last_used": used.isoformat(timespec="microseconds") if used else None,
            "last_used_from": used_from,
        }
        keys.append({name: value for name, value in shown.items() if value is not None})
    return {"credentials": keys}


@endpoint(access="state", role="readonly")
def edit_credentials(call: Call) -> dict[str, Any]:
    """How many of the caller's keys got the new label: one."""
    access_key = call.data["access_key"]
    identity.label_credentials(call.tx, call.who.user, access_key, call.get("label"))
    return {"updated": 1}


@endpoint(access="state", role="readonly", destructive=True)
def revoke_credentials(call: Call) -> dict[str, Any]:
    """How many of the caller's keys are gone: one. Tokens made with it end with it."""
    access_key = call.get("access_key") or call.get("key_id")
    if access_key is None:
        raise field_error("access_key", ". field is required!")
    if not identity.revoke_credentials(call.tx, call.who.user, access_key, by=call.who.user):
        raise identity.no_such_key(call.tx, call.who.user, access_key)
    call.services.authenticator.forget()
    return {"revoked": 1}


@endpoint(role="admin", slow=False)
def validate_token(call: Call) -> dict[str, Any]:
    """Whether a token is good, and whose it is."""
    try:
        who = call.services.authenticator.verify(call.data["token"], address=call.address, tx=call.tx)
    except ApiError as refused:
        return {"msg": refused.message.rpartition("reason=")[2], "valid": False}
    return {"company": who.company, "user": who.user, "valid": True}


@endpoint(role="admin", slow=False)
def get_token_for_user(call: Call) -> dict[str, Any]:
    """Never a token: nobody acts as somebody else, whatever their role."""
    raise error("impersonation", "impersonation not allowed", role=call.who.role)


@endpoint(access="state", role="admin")
def create_user(call: Call) -> dict[str, Any]:
    """The id of a new user, who cannot sign in before ``stackyard server user`` gave them login and password.

    Left out: ``company`` (there is one).
    """
    names = {name: call.get(name) for name in ("given_name", "family_name", "email")}
    names["role"] = call.get("role", "user")
    return {"id": identity.add_user(call.tx, call.now, name=call.data["name"], by=call.who.user, **names)}


@endpoint(access="state", role="admin")
def edit_user(call: Call) -> dict[str, Any]:
    """How many users got the new role: one. Their sessions end."""
    identity.set_role(call.tx, call.data["user"], call.data["role"], by=call.who.user)
    call.services.authenticator.forget()
    return {"updated": 1, "fields": {"role": call.data["role"]}}
