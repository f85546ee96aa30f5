"""The API port: an ASGI application from HTTP to calls and back. Knows envelopes and headers, no endpoint.

ClearML's clients send GET with a body and any method means the same, so the method is not looked at (but for OPTIONS
and HEAD). Fast endpoints run on the event loop, which owns the writing connection; slow reads run in threads.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from http.cookies import CookieError, SimpleCookie
from typing import Any

from . import dispatch, envelope, identity
from .dispatch import Call, Endpoint, Raw, Services
from .error_table import ApiError, error
from .identity import Identity

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: Answers above this are compressed for clients that take it, bytes.
COMPRESS_FROM = 1400
SECURITY_HEADERS = [
    (b"server", b"clearml"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


class Api:
    """The application; one for the server's life."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="reader")
        dispatch.load()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP exchange."""
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        if scope["method"] == "OPTIONS":
            await respond(send, 200, b"", [])
            return
        if "content-encoding" in headers:
            text = f"Content encoding is not supported ({headers['content-encoding']})"
            await respond(send, 415, text.encode(), [(b"content-type", b"text/plain; charset=utf-8")])
            return
        try:
            body = await read_body(receive, self.services.settings.max_body_bytes)
        except ApiError as refused:
            await self._refuse(send, headers, None, "1.0", None, refused)
            return
        await self.handle(scope, headers, body, send)

    async def handle(self, scope: Scope, headers: dict[str, str], body: bytes, send: Send) -> None:
        """Find the endpoint, admit the caller, run it, answer."""
        name: str | None = None
        requested, entry = "1.0", None
        try:
            name, requested = envelope.parse_path(scope["path"])
            entry = dispatch.find(name, requested)
            call = self._call(scope, headers, entry, requested, body)
            dispatch.allow(entry, call.who)
            if entry.slow:
                loop = asyncio.get_running_loop()
                data = await loop.run_in_executor(self._threads, dispatch.answer, entry, call)
            else:
                data = dispatch.answer(entry, call)
        except ApiError as refused:
            await self._refuse(send, headers, name, requested, entry, refused)
            return
        except sqlite3.OperationalError as fault:
            full = "full" in str(fault)
            if not full:
                log.exception("%s failed", name)
            await self._refuse(
                send, headers, name, requested, entry, error("disk_full" if full else "internal")
            )
            return
        except Exception:  # the edge: whatever it was, the client gets an envelope and the log the traceback
            log.exception("%s failed", name)
            await self._refuse(send, headers, name, requested, entry, error("internal"))
            return
        extra = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in call.answer_headers]
        if isinstance(data, Raw):
            extra += [(k.encode("latin-1"), v.encode("latin-1")) for k, v in data.headers.items()]
            await respond(send, 200, data.body, [(b"content-type", data.content_type.encode()), *extra])
            return
        head = envelope.meta(
            name,
            requested_version(requested),
            entry.shown_version,
            headers.get("x-clearml-trx"),
            200,
            0,
            "OK",
        )
        await send_json(send, headers, 200, envelope.encode(head, data), extra)

    def _call(
        self, scope: Scope, headers: dict[str, str], entry: Endpoint, requested: str, body: bytes
    ) -> Call:
        content_type = headers.get("content-type", "").encode()
        address = scope["client"][0] if scope.get("client") else ""
        who = self._caller(headers, address, entry.signed_in)
        parsed = envelope.parse_body(content_type, body, scope.get("query_string", b""))
        lines: list[dict[str, Any]] = []
        if isinstance(parsed, list):
            if not entry.batch:
                raise error("validation", "one JSON object was expected, found several lines")
            lines, parsed = parsed, {}
        elif entry.batch:
            lines = [parsed] if parsed else []
        return Call(
            name=entry.name,
            version=envelope.parse_version(requested),
            data=parsed,
            tx=None,  # type: ignore[arg-type]  # set by dispatch.answer
            services=self.services,
            who=who,  # type: ignore[arg-type]  # None only where the endpoint needs no sign-in
            worker=headers.get("x-clearml-worker") or headers.get("x-trains-worker") or address,
            now=int(self.services.clock() * 1000),
            address=address,
            headers=headers,
            lines=lines,
            body=body,
        )

    def _caller(self, headers: dict[str, str], address: str, needed: bool) -> Identity | None:
        try:
            who = self.services.gate.admit(headers.get("authorization"), cookie_of(headers), address)
        except ApiError:
            if needed:
                raise
            return None
        if who is None and needed:
            raise error("no_credentials")
        return who

    async def _refuse(
        self,
        send: Send,
        headers: dict[str, str],
        name: str | None,
        requested: str,
        entry: Endpoint | None,
        refused: ApiError,
    ) -> None:
        head = envelope.meta(
            name,
            requested_version(requested),
            entry.shown_version if entry else None,
            headers.get("x-clearml-trx"),
            refused.code,
            refused.subcode,
            refused.message,
        )
        await send_json(send, headers, refused.code, envelope.encode(head, {}), [])

    def close(self) -> None:
        """Let running reads end."""
        self._threads.shutdown()


def requested_version(version: str) -> str | float:
    """As ClearML shows it: a float below 2.1, else text."""
    return float(version) if envelope.parse_version(version) < (2, 1) else version


def cookie_of(headers: dict[str, str]) -> str | None:
    """The token cookie, if any."""
    raw = headers.get("cookie")
    if not raw:
        return None
    try:
        cookie = SimpleCookie(raw).get(identity.COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie else None


async def read_body(receive: Receive, limit_bytes: int) -> bytes:
    """The whole body.

    Raises:
        ApiError: 413 beyond the limit.
    """
    message = await receive()
    body = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > limit_bytes:
            raise error("too_large", limit_bytes=limit_bytes)
        return bytes(body)
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit_bytes:
            raise error("too_large", limit_bytes=limit_bytes)
    return b"".join(parts)


async def send_json(
    send: Send, headers: dict[str, str], status: int, body: bytes, extra: list[tuple[bytes, bytes]]
) -> None:
    """An envelope, compressed where the client takes it and it is worth it."""
    out = [(b"content-type", b"application/json"), *extra]
    if len(body) > COMPRESS_FROM and "gzip" in headers.get("accept-encoding", ""):
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        body = packer.compress(body) + packer.flush()
        out.append((b"content-encoding", b"gzip"))
    await respond(send, status, body, out)


async def respond(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """One complete answer."""
    length = (b"content-length", str(len(body)).encode())
    await send(
        {"type": "http.response.start", "status": status, "headers": [*SECURITY_HEADERS, *headers, length]}
    )
    await send({"type": "http.response.body", "body": body})
