"""``auth``: tokens and access keys."""

from __future__ import annotations

from typing import Any

from ..dispatch import Call, endpoint


@endpoint(access="none")
def login(call: Call) -> dict[str, Any]:
    """A token for whoever proved who they are."""
    return {"token": call.services.gate.issue(call.who, call.get("expiration_sec"))}
