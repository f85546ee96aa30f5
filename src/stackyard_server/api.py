"""The API port: an ASGI application from HTTP to calls and back. Knows envelopes and headers, no endpoint.

ClearML's clients send GET with a body and any method means the same, so the method is not looked at (but for OPTIONS
and HEAD). Fast endpoints run on the event loop, which owns the writing connection; slow reads run in threads.
"""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import dispatch, envelope, identity
from .call import Call, Raw, Services
from .dispatch import Endpoint
from .error_table import ApiError, error
from .http.origins import Headers, Origins
from .identity import Identity
from .monitoring import exposition
from .security_log import note
from .store import Fault, is_full

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: Answers above this are compressed for clients that take it, bytes.
COMPRESS_FROM = 1400
#: Messages name what was sent, but do not send it all back.
LONGEST_MESSAGE = 4000
#: Slow reads at the same time, and how many more may wait.
READERS, MOST_WAITING = 4, 128
#: Bodies of callers nobody knows, and all bodies being received at the same time, bytes.
MOST_ANONYMOUS_BYTES = 64 * 1024
MOST_BUFFERED_BYTES = 256 * 1024 * 1024
#: Nobody acts as somebody else here, whatever their role.
IMPERSONATION = (
    "x-clearml-impersonate-as", "x-clearml-act-as", "x-trains-impersonate-as", "x-trains-act-as",
)  # fmt: skip
#: Where the server's own figures are, on the API's port only.
METRICS_PATH = "/metrics"
ONLY_ONCE = frozenset(
    {b"authorization", b"host", b"content-type", b"content-length", b"origin", b"x-clearml-worker"}
)
SECURITY_HEADERS = [
    (b"server", b"clearml"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


class Disconnected(Exception):
    """The client left before its request was complete."""


class Api:
    """The application; one for the server's life."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.origins = Origins(services.settings)
        self._threads = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="reader")
        self._reading = 0
        self._buffered_bytes = 0
        dispatch.load()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP exchange."""
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        origin = headers.get("origin")
        if scope["method"] == "OPTIONS":
            await respond(send, 200, b"", self.origins.answer_headers(origin, preflight=True))
            return
        if "content-encoding" in headers:
            text = f"Content encoding is not supported ({headers['content-encoding']})"
            await respond(send, 415, text.encode(), [(b"content-type", b"text/plain; charset=utf-8")])
            return
        if scope["path"] == METRICS_PATH:
            await self._tell_metrics(scope, headers, send)
            return
        extra = self.origins.answer_headers(origin) if origin else []
        began = time.perf_counter()
        try:
            name, code = await self.handle(scope, headers, receive, send, extra)
        except Disconnected:
            return
        self.services.meter.answered(name, code, time.perf_counter() - began)

    async def handle(
        self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send, extra: Headers
    ) -> tuple[str, int]:
        """Find the endpoint, admit the caller, read the body, run it, answer.

        Returns:
            The endpoint's name ("" where there is none of that name) and the HTTP status.
        """
        name = ""
        requested, entry, who, address = "1.0", None, None, ""
        try:
            if len(headers) != len(scope["headers"]):
                check_repeated(scope["headers"])
            name, requested = envelope.parse_path(path_of(scope))
            entry = dispatch.find(name, requested)
            address = scope["client"][0] if scope.get("client") else ""
            who = await self._caller(headers, address, entry)
            dispatch.allow(entry, who)
            limit = MOST_ANONYMOUS_BYTES if who is None else self.services.settings.max_body_bytes
            body = await self._body(headers, receive, limit)
            if who is not None and who.proof == "cookie":
                self.origins.check(headers, entry.access in ("none", "read"), bool(body))
            call = self._call(scope, headers, entry, requested, body, who, address)
            if entry.slow:
                data = await self._answered(entry, call)
            elif entry.access == "metrics":
                data = await dispatch.answer_together(entry, call)
            else:
                data = dispatch.answer(entry, call)
        except ApiError as refused:
            if refused.code == 403:
                note(
                    "refused", endpoint=name, user=who.user if who else "", role=who.role if who else "",
                    address=address, reason=refused.message,
                )  # fmt: skip
            return await self._refuse(send, headers, name, requested, entry, refused, extra)
        except OverflowError:  # a number beyond what can be kept: SQLite's 64 bits, the years of a date
            beyond = error("validation", "a number is out of range")
            return await self._refuse(send, headers, name, requested, entry, beyond, extra)
        except Fault as fault:
            full = is_full(fault)
            if not full:
                log.exception("%s failed", name)
            failed = error("disk_full" if full else "internal")
            return await self._refuse(send, headers, name, requested, entry, failed, extra)
        except Disconnected:
            raise
        except Exception:  # the edge: whatever it was, the client gets an envelope and the log the traceback
            log.exception("%s failed", name)
            return await self._refuse(send, headers, name, requested, entry, error("internal"), extra)
        out = [*extra, *((k.encode("latin-1"), v.encode("latin-1")) for k, v in call.answer_headers)]
        if isinstance(data, Raw):
            out += [(k.encode("latin-1"), v.encode("latin-1")) for k, v in data.headers.items()]
            await respond(send, 200, data.body, [(b"content-type", data.content_type.encode()), *out])
            return entry.name, 200
        head = envelope.meta(
            name,
            requested_version(requested),
            entry.shown_version,
            headers.get("x-clearml-trx"),
            200,
            0,
            "OK",
        )
        encoded = envelope.encode(head, data)
        if self.services.rewrite is not None:
            encoded = self.services.rewrite(encoded)
        await send_json(send, headers, 200, encoded, out)
        return entry.name, 200

    async def _answered(self, entry: Endpoint, call: Call) -> Any:
        """A slow read's answer, from a thread; so many at a time, and so many waiting.

        Raises:
            ApiError: 429 there are more.
        """
        if self._reading >= READERS + MOST_WAITING:
            raise error("too_many", "the server is busy reading")
        self._reading += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, dispatch.answer, entry, call)
        finally:
            self._reading -= 1

    async def _body(self, headers: dict[str, str], receive: Receive, limit_bytes: int) -> bytes:
        """The body; all bodies being received together are bounded too."""
        announced = headers.get("content-length", "")
        if announced.isascii() and announced.isdigit() and int(announced[:18]) > limit_bytes:
            raise error("too_large", limit_bytes=limit_bytes)
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body = message.get("body", b"")
            if len(body) > limit_bytes:
                raise error("too_large", limit_bytes=limit_bytes)
            return bytes(body)
        held = 0
        parts = []
        try:
            while True:
                if message["type"] != "http.request":
                    raise Disconnected  # half a batch is no batch
                part = message.get("body", b"")
                parts.append(part)
                held += len(part)
                self._buffered_bytes += len(part)
                if held > limit_bytes:
                    raise error("too_large", limit_bytes=limit_bytes)
                if self._buffered_bytes > max(MOST_BUFFERED_BYTES, limit_bytes):
                    raise error("too_many", "the server is busy receiving")
                if not message.get("more_body"):
                    return b"".join(parts)
                message = await receive()
        finally:
            self._buffered_bytes -= held

    def _call(
        self,
        scope: Scope,
        headers: dict[str, str],
        entry: Endpoint,
        requested: str,
        body: bytes,
        who: Identity | None,
        address: str,
    ) -> Call:
        content_type = headers.get("content-type", "").encode("latin-1")
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
            now=int(self.services.clock() * 1000),
            address=address,
            headers=headers,
            lines=lines,
            body=body,
        )

    async def _caller(self, headers: dict[str, str], address: str, entry: Endpoint) -> Identity | None:
        """Who calls; None only where the endpoint needs no sign-in.

        Raises:
            ApiError: 401; 400/6 a header asks to act as somebody else.
        """
        authorization, gate = headers.get("authorization"), self.services.gate
        try:
            if authorization and authorization.startswith("Basic "):
                who = await gate.admitted(authorization, None, address)
            else:
                who = gate.admit(authorization, cookie_of(headers), address)
        except ApiError:
            if entry.signed_in:
                raise
            return None
        if who is None:
            if entry.signed_in:
                raise error("no_credentials")
            return None
        for header in IMPERSONATION:
            if header in headers:
                note("impersonation_refused", user=who.user, address=address)
                raise error("impersonation", "impersonation not allowed", role=who.role)
        return who

    async def _refuse(
        self,
        send: Send,
        headers: dict[str, str],
        name: str | None,
        requested: str,
        entry: Endpoint | None,
        refused: ApiError,
        extra: Headers,
    ) -> tuple[str, int]:
        head = envelope.meta(
            name,
            requested_version(requested),
            entry.shown_version if entry else None,
            headers.get("x-clearml-trx"),
            refused.code,
            refused.subcode,
            refused.message[:LONGEST_MESSAGE],
        )
        out = [*extra, *((k.encode("latin-1"), v.encode("latin-1")) for k, v in refused.headers)]
        await send_json(send, headers, refused.code, envelope.encode(head, {}), out)
        return entry.name if entry else "", refused.code

    async def _tell_metrics(self, scope: Scope, headers: dict[str, str], send: Send) -> None:
        """The server's figures for Prometheus, to anyone who is signed in (a cookie does not count)."""
        plain = [(b"content-type", b"text/plain; charset=utf-8")]
        address = scope["client"][0] if scope.get("client") else ""
        try:
            check_repeated(scope["headers"])
            who = await self.services.gate.admitted(headers.get("authorization"), None, address)
            if who is None:
                raise error("no_credentials")
        except ApiError as refused:
            asked = [(b"www-authenticate", b'Basic realm="stackyard"')] if refused.code == 401 else []
            await respond(send, refused.code, refused.message.encode(), [*plain, *asked])
            return
        services, now = self.services, int(self.services.clock() * 1000)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._threads, exposition.text, services.store, services.meter, now
            )
        except Fault:
            log.exception("the metrics cannot be read")
            await respond(send, 500, b"Internal error", plain)
            return
        await respond(send, 200, found, [(b"content-type", exposition.CONTENT_TYPE.encode())])

    def close(self) -> None:
        """Let running reads end."""
        self._threads.shutdown()


def requested_version(version: str) -> str | float:
    """As ClearML shows it: a float below 2.1, else text."""
    return float(version) if envelope.parse_version(version) < (2, 1) else version


def path_of(scope: Scope) -> str:
    """The path below where the API is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def check_repeated(headers: Headers) -> None:
    """Refuse a request that says twice who calls or what it brings: proxies and we might read different ones.

    Raises:
        ApiError: 400/0.
    """
    names = [name for name, _ in headers if name in ONLY_ONCE]
    if len(names) != len(set(names)):
        raise error("bad_request")


def cookie_of(headers: dict[str, str]) -> str | None:
    """The token cookie, if any; the first of that name, as browsers send the most specific first."""
    raw = headers.get("cookie")
    if not raw:
        return None
    for part in raw.split(";"):
        name, _, value = part.strip().partition("=")
        if name == identity.COOKIE:
            return value.strip('"')
    return None


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
