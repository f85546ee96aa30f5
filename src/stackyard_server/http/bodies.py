"""How much of a request's body is taken: counted while it comes, whatever was announced.

A body is held in memory (``Bodies.whole``) or passed on part by part (``Body.part``); nothing else reads one. So a
port that asks who calls first has taken nothing from those it refuses.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ..protocol.bounds import HELD_BYTES
from ..protocol.error_table import ApiError, error

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Disconnected(Exception):
    """The client left before its request was complete."""


class Body:
    """One request's body on its way in.

    Args:
        receive: Where it comes from.
        announced_bytes: What the request's Content-Length says.
        limit_bytes: What is taken at most.
        beyond: How more is refused; by default 413.

    Raises:
        ApiError: More is announced than is taken.
    """

    __slots__ = ("_beyond", "_limit_bytes", "_receive", "_room_bytes", "ended")

    def __init__(
        self, receive: Receive, announced_bytes: int, limit_bytes: int, beyond: ApiError | None = None
    ) -> None:
        #: Whether all of it came.
        self.ended = False
        self._receive, self._beyond = receive, beyond
        self._limit_bytes = self._room_bytes = limit_bytes
        if announced_bytes > limit_bytes:
            raise self._too_large()

    async def part(self) -> bytes:
        """The next bytes, maybe none; the last ones once ``ended``.

        Raises:
            ApiError: More came than is taken.
            Disconnected: The client left: half a batch is no batch.
        """
        message = await self._receive()
        if message["type"] != "http.request":
            raise Disconnected
        part: bytes = message.get("body", b"")
        self._room_bytes -= len(part)
        if self._room_bytes < 0:
            raise self._too_large()
        self.ended = not message.get("more_body")
        return part

    def _too_large(self) -> ApiError:
        return self._beyond or error("too_large", limit_bytes=self._limit_bytes)


class Bodies:
    """What is held of all bodies together; one for the server's life."""

    def __init__(self) -> None:
        self.held_bytes = 0

    async def whole(self, body: Body, limit_bytes: int) -> bytes:
        """All of a body.

        Raises:
            ApiError: 413 more came than is taken; 429 too much is being received from others.
            Disconnected: The client left.
        """
        part = await body.part()
        if body.ended:
            return bytes(part)
        parts = [part]
        held = len(part)
        self.held_bytes += held
        try:
            while not body.ended:
                part = await body.part()
                parts.append(part)
                held += len(part)
                self.held_bytes += len(part)
                if self.held_bytes > max(HELD_BYTES, limit_bytes):
                    raise error("too_many", "the server is busy receiving")
            return b"".join(parts)
        finally:
            self.held_bytes -= held


def announced_bytes(content_length: str) -> int:
    """What a Content-Length says; 0 for none or none that can be read."""
    return int(content_length[:18]) if content_length.isascii() and content_length.isdigit() else 0
