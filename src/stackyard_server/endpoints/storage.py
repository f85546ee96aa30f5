"""``storage``: access to outside stores, kept for the web app that reads and deletes files there.

The server itself never connects to them. Secrets are shown to administrators only.
"""

from __future__ import annotations

from typing import Any

import orjson

from .. import moments
from ..calls import Call
from ..calls.dispatch import endpoint
from ..protocol.error_table import error
from ..store import meta

#: Where the settings are kept in the store's ``meta`` table.
KEY = "storage_settings"
MOST_BYTES = 256 * 1024
SECRETS = frozenset({"key", "secret", "token", "credentials_json", "account_key"})
EMPTY: dict[str, Any] = {
    "aws": {
        "key": "",
        "secret": "",
        "token": "",
        "region": "",
        "use_credentials_chain": False,
        "buckets": [],
    },
    "google": {"project": None, "credentials_json": None, "buckets": []},
    "azure": {"containers": []},
    "last_update": None,
}
#: What stands for a secret the caller may not see.
HIDDEN = "********"


@endpoint()
def get_settings(call: Call) -> dict[str, Any]:
    """The settings; each secret as eight asterisks unless an administrator asks."""
    settings = kept(call)
    return {"settings": settings if call.who.role == "admin" else hidden(settings)}


@endpoint(access="state", role="admin")
def set_settings(call: Call) -> dict[str, Any]:
    """How many settings were replaced: one set of them; the sections not given stay."""
    settings = {
        **kept(call),
        **{name: call.data[name] for name in ("aws", "google", "azure") if call.get(name)},
    }
    settings["last_update"] = moments.iso(call.now)
    text = orjson.dumps(settings).decode()
    if len(text) > MOST_BYTES:
        raise error("data_validation", settings=f"{MOST_BYTES} bytes of JSON at most")
    meta.put(call.tx, KEY, text)
    return {"updated": 1}


@endpoint(access="state", role="admin", destructive=True)
def reset_settings(call: Call) -> dict[str, Any]:
    """How many settings were taken away: the sections named in ``keys``."""
    settings = {**kept(call)}
    names = [name for name in call.data["keys"] if name in ("aws", "google", "azure")]
    settings.update({name: EMPTY[name] for name in names}, last_update=moments.iso(call.now))
    meta.put(call.tx, KEY, orjson.dumps(settings).decode())
    return {"updated": 1}


def kept(call: Call) -> dict[str, Any]:
    """The settings as they are stored."""
    text = meta.get(call.tx, KEY)
    return {**EMPTY, **orjson.loads(text)} if text else EMPTY


def hidden(value: Any) -> Any:
    """The same without the secrets in it."""
    if isinstance(value, dict):
        return {
            name: (HIDDEN if inner else inner) if name in SECRETS else hidden(inner)
            for name, inner in value.items()
        }
    return [hidden(inner) for inner in value] if isinstance(value, list) else value
