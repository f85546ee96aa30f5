"""``debug``: is anyone there?"""

from __future__ import annotations

from typing import Any

from ..dispatch import Call, endpoint


@endpoint(access="none", signed_in=False)
def ping(call: Call) -> dict[str, Any]:
    """A greeting."""
    return {"msg": "ClearML server"}
