"""``users``: who there is, and what each keeps for the web pages.

Everyone sees everyone's name; users change their own name and preferences, administrators everyone's name.
"""

from __future__ import annotations

from typing import Any

import orjson

from .. import identity, listing
from ..calls import Call
from ..calls.dispatch import endpoint
from ..protocol.bounds import MOST_DEPTH
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


@endpoint(slow=False)
def get_current_user(call: Call) -> dict[str, Any]:
    """The caller, their company and role, and what the web app shows newcomers.

    Left out: ``get_supported_features`` (all of them are basic).
    """
    user = USER.render(own(call))
    user["company"] = {"id": call.who.company, "name": call.who.company_name}
    user["role"] = call.who.role
    return {"user": user, "getting_started": GETTING_STARTED, "settings": {"max_download_items": 50000}}


@endpoint(slow=False)
def get_by_id(call: Call) -> dict[str, Any]:
    """One user. ``preferences`` are the user's own business: always empty here."""
    user = USER.get(call.tx, call.data["user"])
    if user is None:
        raise error("invalid_user_id", id=call.data["user"])
    return {"user": {**USER.render(user), "preferences": ""}}


@endpoint(lists="user")
def get_all(call: Call) -> dict[str, Any]:
    """The users asked for, with ClearML's filters, order and paging."""
    return listing.get_all(call, USER)


@endpoint("2.8", lists="user")
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


@endpoint(access="state", role="admin", destructive=True)
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
    """Whether the caller's preferences changed: each section that is given takes the place of the one there was.

    A name with dots goes deeper: ``{"a.b": 1}`` replaces ``b`` in the section ``a`` alone.
    """
    kept = own(call).get("preferences", {})
    replace(kept, call.data["preferences"])
    if len(orjson.dumps(kept)) > MOST_PREFERENCES_BYTES:
        raise error("data_validation", preferences=f"{MOST_PREFERENCES_BYTES} bytes of JSON at most")
    USER.update(call.tx, call.who.user, {"preferences": kept})
    return {"updated": 1, "fields": {"preferences": kept} if call.get("return_updated") else {}}


def own(call: Call) -> Document:
    """The caller's own document."""
    user = USER.get(call.tx, call.who.user)
    if user is None:
        raise error("invalid_user_id", id=call.who.user)
    return user


def replace(kept: dict[str, Any], given: dict[str, Any]) -> None:
    """Put what is given in the place of what is kept; names with dots are paths.

    Raises:
        ApiError: 400/800 too deep.
    """
    for name, value in given.items():
        parts = name.split(".")
        path = parts if all(parts) else [name]
        if len(path) > MOST_DEPTH:
            raise error("data_validation", preferences=f"{MOST_DEPTH} levels at most")
        place = kept
        for part in path[:-1]:
            place = _object_at(place, part)
        place[path[-1]] = value


def _object_at(place: dict[str, Any], name: str) -> dict[str, Any]:
    """The object of that name, in place of whatever else stands there."""
    found = place.get(name)
    if not isinstance(found, dict):
        found = place[name] = {}
    return found
