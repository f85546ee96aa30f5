"""Where a reader stands between two calls: scroll ids.

Two kinds: ``token`` packs a position into the id itself, so nothing is kept; ``Scrolls`` keeps a reader's state under a
random id, in memory, for as long as there is room. Neither gives access to anything: what may be read is checked with
each call. Imports nothing of the server but its ids and errors.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections import OrderedDict
from typing import Any

import orjson

from ..protocol.error_table import error
from ..store.documents import new_id

#: What ClearML answers when nothing is left to read.
EXHAUSTED = "FFFF"
#: States kept at most; the one unused longest goes first.
KEPT = 4096


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


class Scrolls:
    """States of readers by scroll id."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, scroll_id: str | None, purpose: str) -> dict[str, Any] | None:
        """The state under an id, if it is there and was kept for that purpose."""
        with self._lock:
            state = self._states.get(scroll_id or "")
            if state is None or state["purpose"] != purpose:
                return None
            self._states.move_to_end(scroll_id or "")
            return state

    def require(self, scroll_id: str, purpose: str) -> dict[str, Any]:
        """The state under an id.

        Raises:
            ApiError: 400/1104 there is none.
        """
        state = self.get(scroll_id, purpose)
        if state is None:
            raise error("invalid_scroll_id", scroll_id=scroll_id[:100])
        return state

    def open(self, purpose: str, **state: Any) -> str:
        """A new id for a state."""
        scroll_id = new_id()
        with self._lock:
            self._states[scroll_id] = {"purpose": purpose, **state}
            while len(self._states) > KEPT:
                self._states.popitem(last=False)
        return scroll_id

    def close(self, scroll_id: str) -> None:
        """Forget a state."""
        with self._lock:
            self._states.pop(scroll_id, None)
