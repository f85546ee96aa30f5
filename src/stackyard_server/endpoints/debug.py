"""``debug``: is anyone there?"""

from __future__ import annotations

from typing import Any

from ..calls import Call
from ..calls.dispatch import endpoint


@endpoint(access="none", signed_in=False)
def ping(call: Call) -> dict[str, Any]:
    """A greeting."""
    return {"msg": "ClearML server"}
