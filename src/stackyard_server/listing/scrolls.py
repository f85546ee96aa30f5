"""Where a reader stands between two calls: scroll ids.

Two kinds: ``token`` packs a position into the id itself, so nothing is kept; ``Scrolls`` keeps a reader's state under a
random id, in memory, for as long as there is room. Neither gives access to anything: what may be read is checked with
each call.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from ..calls.kept import Kept
from ..protocol.error_table import error
from ..store.documents import new_id

#: What ClearML answers when nothing is left to read.
EXHAUSTED = "FFFF"
#: States kept at most, for how long after their last use, and what objects take of their JSON.
KEPT, LIFE_MS, OBJECTS_SHARE = 4096, 3_600_000, 4


def token(**position: Any) -> str:
    """A scroll id that says where to go on."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode()


def position(scroll_id: str | None, *names: str) -> dict[str, Any]:
    """What a ``token`` says; empty without one.

    Args:
        scroll_id: As it came.
        names: The whole numbers it must hold.

    Raises:
        ApiError: 400/1104 it is no such token.
    """
    if not scroll_id:
        return {}
    try:
        found = orjson.loads(base64.b64decode(scroll_id.encode(), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise error("invalid_scroll_id", scroll_id=scroll_id[:100]) from None
    if not isinstance(found, dict) or not all(
        type(found.get(n)) is int and abs(found[n]) < 2**63 for n in names
    ):
        raise error("invalid_scroll_id", scroll_id=scroll_id[:100])
    return found


class Scrolls(Kept[str, dict[str, Any]]):
    """States of readers by scroll id."""

    def __init__(self) -> None:
        super().__init__(KEPT)

    def find(self, scroll_id: str | None, purpose: str, now: int) -> dict[str, Any] | None:
        """The state under an id, if it is there and was kept for that purpose."""
        state = self.get(scroll_id or "", now)
        return None if state is None or state["purpose"] != purpose else state

    def require(self, scroll_id: str, purpose: str, now: int) -> dict[str, Any]:
        """The state under an id.

        Raises:
            ApiError: 400/1104 there is none.
        """
        state = self.find(scroll_id, purpose, now)
        if state is None:
            raise error("invalid_scroll_id", scroll_id=scroll_id[:100])
        return state

    def open(self, purpose: str, user: str, now: int, **state: Any) -> str:
        """A new id for a state."""
        scroll_id = new_id()
        self.keep(scroll_id, {"purpose": purpose, **state}, user, now)
        return scroll_id

    def keep(self, scroll_id: str, state: dict[str, Any], user: str, now: int) -> None:
        """Keep a state as it is now."""
        self.put(scroll_id, state, user, OBJECTS_SHARE * len(orjson.dumps(state)), now + LIFE_MS, now)
