"""``users``: who there is, and what each keeps for the web pages.

Everyone sees everyone's name; users change their own name and preferences, administrators everyone's name.
"""

from __future__ import annotations

from typing import Any

import orjson

from .. import identity, listing
from ..calls import Call
from ..calls.dispatch import endpoint
from ..protocol.envelope import MOST_DEPTH
from ..protocol.error_table import error
from ..store import contents
from ..store.documents import USER, Document

#: All of a user's preferences as JSON, bytes, and how deep they may nest.
MOST_PREFERENCES_BYTES = 256 * 1024
NAMES = ("name", "given_name", "family_name")
GETTING_STARTED = {
    "agentName": "clearml",
    "configure": "clearml-init",
    "install": "pip install clearml",
    "packageName": "clearml",
}


@endpoint()
def get_current_user(call: Call) -> dict[str, Any]:
    """The caller, their company and role, and what the web app shows newcomers.

    Left out: ``get_supported_features`` (all of them are basic).
    """
    user = USER.render(own(call))
    user["company"] = {"id": call.who.company, "name": call.who.company_name}
    user["role"] = call.who.role
    return {"user": user, "getting_started": GETTING_STARTED, "settings": {"max_download_items": 50000}}


@endpoint()
def get_by_id(call: Call) -> dict[str, Any]:
    """One user. ``preferences`` are the user's own business: always empty here."""
    user = USER.get(call.tx, call.data["user"])
    if user is None:
        raise error("invalid_user_id", id=call.data["user"])
    return {"user": {**USER.render(user), "preferences": ""}}


@endpoint()
def get_all(call: Call) -> dict[str, Any]:
    """The users asked for, with ClearML's filters, order and paging."""
    return listing.get_all(call, USER)


@endpoint("2.8")
def get_all_ex(call: Call) -> dict[str, Any]:
    """The users asked for, the company as an object; with ``active_in_projects``, those who made tasks there."""
    projects = call.get("active_in_projects")
    also = [] if projects is None else [contents.made_tasks(projects or None)]
    return listing.get_all_ex(call, USER, also=also)


@endpoint(access="state")
def update(call: Call) -> dict[str, Any]:
    """How many users have another name now, and it. Left out: ``avatar``, ``bio``, ``company``."""
    id = call.data["user"]
    if id != call.who.user and call.who.role != "admin":
        raise error("role_not_allowed", role=call.who.role, allowed=identity.roles.allowed("admin"))
    changes = {name: call.data[name] for name in NAMES if call.get(name) is not None}
    identity.rename(call.tx, id, changes, by=call.who.user)
    call.services.authenticator.forget()
    return {"fields": changes, "updated": 1 if changes else 0}


@endpoint(access="state", role="admin")
def create(call: Call) -> dict[str, Any]:
    """Nothing; there is a new user, who cannot sign in before ``stackyard server user`` gave them a password.

    Left out: ``company`` (there is one), ``avatar``, ``bio``.
    """
    names = {
        name: call.get(name) for name in ("id", "given_name", "family_name") if call.get(name) is not None
    }
    identity.add_user(call.tx, call.now, name=call.data["name"], by=call.who.user, **names)
    return {}


@endpoint(access="state", role="admin")
def delete(call: Call) -> dict[str, Any]:
    """Nothing; the user is gone, with their keys and sessions. What they made stays."""
    identity.remove(call.tx, call.data["user"], by=call.who.user)
    call.services.authenticator.forget()
    return {}


@endpoint()
def get_preferences(call: Call) -> dict[str, Any]:
    """What the caller's web pages keep."""
    return {"preferences": own(call).get("preferences", {})}


@endpoint(access="state", role="readonly")
def set_preferences(call: Call) -> dict[str, Any]:
    """Whether the caller's preferences changed; given objects are merged into them, at every depth.

    A name with dots is a path: ``{"a.b": 1}`` is ``{"a": {"b": 1}}``.
    """
    kept = own(call).get("preferences", {})
    changed = merged(kept, unfolded(call.data["preferences"]))
    if len(orjson.dumps(changed)) > MOST_PREFERENCES_BYTES:
        raise error("data_validation", preferences=f"{MOST_PREFERENCES_BYTES} bytes of JSON at most")
    USER.update(call.tx, call.who.user, {"preferences": changed})
    return {"updated": 1, "fields": {"preferences": changed} if call.get("return_updated") else {}}


def own(call: Call) -> Document:
    """The caller's own document."""
    user = USER.get(call.tx, call.who.user)
    if user is None:
        raise error("invalid_user_id", id=call.who.user)
    return user


def unfolded(given: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """Names with dots as nested objects, at every depth.

    Raises:
        ApiError: 400/800 too deep.
    """
    together: dict[str, Any] = {}
    for name, value in given.items():
        path = name.split(".") if all(name.split(".")) else [name]
        if depth + len(path) > MOST_DEPTH:
            raise error("data_validation", preferences=f"{MOST_DEPTH} levels at most")
        inner = unfolded(value, depth + len(path)) if isinstance(value, dict) else value
        for part in reversed(path):
            inner = {part: inner}
        together = merged(together, inner)
    return together


def merged(kept: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Objects are merged, anything else is replaced."""
    together = dict(kept)
    for name, value in given.items():
        old = together.get(name)
        together[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return together
