"""One request and its answer, as a port sees them. Values and the two ways out: a body read, an answer sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ..protocol.bounds import Bound
from ..protocol.error_table import ApiError, error
from .bodies import Bodies, Body, Receive, announced_bytes
from .headers import Headers, check_repeated, complete, read
from .unsent import COUNTED_BYTES, PART_BYTES, Pace, Unsent

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


#: Where a connection keeps in the scope how fast its client takes answers.
PACE = "stackyard.pace"
#: The encodings of a body that change nothing (RFC 9110, 8.4.1).
PLAIN = frozenset({"", "identity"})


class Exchange:
    """One HTTP exchange.

    Args:
        scope: ASGI's.
        receive: Where the body comes from.
        send: Where the answer goes.
        bodies: What is held of all bodies.
        unsent: What is held of all answers.
        always: What the answer carries unless it says otherwise.
    """

    __slots__ = (
        *("_always", "_bodies", "_pace", "_receive", "_send", "_unsent"),
        *("address", "also", "counted_as", "headers", "holder", "method", "path", "query", "scope", "state"),
        "status",
    )

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, bodies: Bodies, unsent: Unsent, always: Headers
    ) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        #: The path asked for, decoded once, below where the port is mounted.
        self.path: str = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        self.query: bytes = scope.get("query_string", b"")
        #: By name, in lower case.
        self.headers = read(scope["headers"])
        #: The client's address.
        self.address: str = scope["client"][0] if scope.get("client") else ""
        #: For whom the answer is held: the user, once known. None where it is bounded, or kept, in another way.
        self.holder: str | None = self.address
        #: The name under which the exchange is counted; None is not counted.
        self.counted_as: str | None = None
        #: The answer's status once it has begun; 0 before.
        self.status = 0
        #: Whatever the port keeps of it between answering and refusing.
        self.state: Any = None
        #: What the answer carries in any case.
        self.also: Headers = []
        self._receive, self._send, self._bodies, self._unsent = receive, send, bodies, unsent
        self._pace: Pace = scope.get(PACE) or Pace()
        self._always = always

    def check(self) -> None:
        """Refuse what no port takes.

        Raises:
            ApiError: 400/0 said twice, or no host (RFC 9112, 3.2); 415 a body in another encoding.
        """
        if len(self.headers) != len(self.scope["headers"]):
            check_repeated(self.scope["headers"])
        if "host" not in self.headers and self.scope.get("http_version") == "1.1":
            raise error("bad_request")
        encoding = self.headers.get("content-encoding")
        if encoding is not None and encoding.strip().lower() not in PLAIN:
            raise error("encoded_body", encoding)
        transfer = self.headers.get("transfer-encoding")
        if transfer is not None and transfer.strip().lower() != "chunked":
            raise error("encoded_body", transfer)

    @property
    def announced_bytes(self) -> int:
        """What the request's Content-Length says; 0 where it says nothing."""
        return announced_bytes(self.headers.get("content-length", ""))

    @property
    def brings_body(self) -> bool:
        """Whether a body follows the headers."""
        return self.announced_bytes > 0 or "transfer-encoding" in self.headers

    def incoming(self, limit_bytes: int, beyond: ApiError | None = None) -> Body:
        """The body, to be taken part by part.

        Raises:
            ApiError: ``beyond`` (by default 413): more is announced than is taken.
        """
        return Body(self._receive, self.announced_bytes, limit_bytes, beyond)

    async def body(self, bound: Bound, beyond: ApiError | None = None) -> bytes:
        """The whole body, in memory.

        Raises:
            ApiError: ``beyond`` (by default 413): it is larger than the bound; 429 too much is being received.
            Disconnected: The client left.
        """
        return await self._bodies.whole(self.incoming(bound.bytes, beyond), bound.bytes)

    async def gone(self) -> MutableMapping[str, Any]:
        """ASGI's ``receive`` for applications that do not read the body: returns once the client has left."""
        while (message := await self._receive())["type"] == "http.request":
            pass
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """ASGI's ``send``, for answers in several parts."""
        if message["type"] == "http.response.start":
            await self.start(message["status"], list(message.get("headers", ())), None)
        else:
            await self._write(message.get("body", b""), message.get("more_body", False))

    async def start(self, status: int, headers: Headers, length: int | None) -> None:
        """Begin an answer of so many bytes; None where the headers say how many, or none are told."""
        self.status = status
        out = complete(headers, self._always)
        out += self.also
        if length is not None:
            out.append((b"content-length", str(length).encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": out})

    async def respond(self, status: int, body: bytes, headers: Headers) -> None:
        """One complete answer."""
        if len(body) > COUNTED_BYTES and self.holder is not None:
            with self._unsent.holding(self.holder, len(body)):
                await self.start(status, headers, len(body))
                await self._write_parts(body, more=False)
        else:
            await self.start(status, headers, len(body))
            await self._write(body, more=False)

    async def _write(self, body: bytes, more: bool) -> None:
        """A part of an answer, or all of it; what is large is counted while the client takes it."""
        if len(body) <= COUNTED_BYTES:
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
            self._pace.written_bytes += len(body)
        elif self.holder is None:
            await self._write_parts(body, more)
        else:
            with self._unsent.holding(self.holder, len(body)):
                await self._write_parts(body, more)

    async def _write_parts(self, body: bytes, more: bool) -> None:
        """Each part once the client has taken the one before; the end once it has taken the last."""
        for begin in range(0, len(body), PART_BYTES):
            part = body[begin : begin + PART_BYTES]
            await self._send({"type": "http.response.body", "body": part, "more_body": True})
            self._pace.written_bytes += len(part)
        if not more:
            await self._send({"type": "http.response.body", "body": b""})
