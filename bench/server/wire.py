"""HTTP as lean as a load generator needs it: prepared requests over keep-alive connections, every status checked."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

import uvloop


def request(
    url: str, path: str, body: bytes, token: str | None = None, kind: str = "application/json"
) -> bytes:
    """A whole POST request, ready to be sent."""
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
    ]
    if token:
        head.append(f"Authorization: Bearer {token}")
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Collect until the answer is whole."""
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._held[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._held) < end + 4 + length:
            return
        status, body = int(self._held[9:12]), self._held[end + 4 : end + 4 + length]
        self._held = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server closed the connection"))

    async def send(self, prepared: bytes) -> tuple[int, bytes]:
        """(status, body) of a prepared request."""
        assert self.transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(prepared)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.close()


async def connect(url: str) -> Connection:
    """A connection to an http URL."""
    parts = urlsplit(url)
    _, made = await asyncio.get_running_loop().create_connection(Connection, parts.hostname, parts.port)
    return made


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end on uvloop, so that the load costs little itself."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


class Client:
    """Calls for setting up and checking: JSON in, the envelope's data out."""

    def __init__(self, connection: Connection, url: str, token: str) -> None:
        self.connection = connection
        self.url = url
        self.token = token

    async def __call__(self, name: str, /, **data: Any) -> dict[str, Any]:
        """The data of a successful call.

        Raises:
            RuntimeError: Anything but a 200.
        """
        prepared = request(self.url, f"/v2.34/{name}", json.dumps(data).encode(), self.token)
        if self.connection.transport is None or self.connection.transport.is_closing():
            self.connection = await connect(self.url)  # the server hangs up on who says nothing for long
        status, body = await self.connection.send(prepared)
        answer: dict[str, Any] = json.loads(body)
        if status != 200:
            raise RuntimeError(f"{name}: {answer['meta']['result_msg']}")
        return answer["data"]  # type: ignore[no-any-return]


async def sign_in(url: str, access_key: str, secret_key: str) -> Client:
    """A client with a token."""
    connection = await connect(url)
    basic = base64.b64encode(f"{access_key}:{secret_key}".encode()).decode()
    text = f"GET /auth.login HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nAuthorization: Basic {basic}\r\n\r\n"
    status, body = await connection.send(text.encode())
    if status != 200:
        raise RuntimeError(f"sign-in failed: {body[:200]!r}")
    return Client(connection, url, json.loads(body)["data"]["token"])
