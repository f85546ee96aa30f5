"""The API port: from HTTP exchanges to calls and back. Knows envelopes and headers, no endpoint.

ClearML's clients send GET with a body, and every method that is taken means the same. Fast endpoints run on the event
loop, which owns the writing connection; slow reads run in threads.
"""

from __future__ import annotations

import asyncio
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .calls import Call, Raw, Services, dispatch
from .calls.dispatch import Endpoint
from .http import cookies, headers
from .http.bodies import MOST_ANONYMOUS_BYTES
from .http.edge import Port
from .http.exchange import Exchange
from .http.headers import Headers
from .http.origins import Origins
from .identity import Identity
from .monitoring import exposition
from .protocol import envelope
from .protocol.error_table import ApiError, error
from .security_log import note

#: Every endpoint takes all of them; the edge answers OPTIONS where browsers ask beforehand.
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
#: Answers above this are compressed for clients that take it, bytes.
COMPRESS_FROM = 1400
#: Messages name what was sent, but do not send it all back.
LONGEST_MESSAGE = 4000
#: Slow reads at the same time, and how many more may wait.
READERS, MOST_WAITING = 4, 128
#: Nobody acts as somebody else here, whatever their role.
IMPERSONATION = (
    "x-clearml-impersonate-as", "x-clearml-act-as", "x-trains-impersonate-as", "x-trains-act-as",
)  # fmt: skip
#: Where the server's own figures are, on the API's port only.
METRICS_PATH = "/metrics"
TEXT = (b"content-type", b"text/plain; charset=utf-8")


@dataclass(slots=True)
class Asked:
    """What is known of a request so far, for the head of its answer."""

    name: str = ""
    requested: str = "1.0"
    entry: Endpoint | None = None
    who: Identity | None = None


class Api(Port):
    """The application; one for the server's life."""

    always = headers.API
    cross_origin = True

    def __init__(self, services: Services, origins: Origins) -> None:
        self.services = services
        self._origins = origins
        self._threads = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="reader")
        self._reading = 0

    def counted_as(self, method: str) -> str | None:
        """Requests are counted by endpoint, "" where there is none; what browsers ask beforehand is not."""
        return None if method == "OPTIONS" else ""

    async def answer(self, exchange: Exchange) -> None:
        """Find the endpoint, admit the caller, read the body, run it, answer."""
        if exchange.method not in METHODS:
            refused = error("method_not_allowed", method=exchange.method)
            refused.headers.append(("Allow", ", ".join((*METHODS, "OPTIONS"))))
            raise refused
        if exchange.scope["path"] == METRICS_PATH:
            exchange.counted_as = None
            await self._tell_metrics(exchange)
            return
        asked = exchange.state = Asked()
        asked.name, asked.requested = envelope.parse_path(exchange.path)
        entry = asked.entry = dispatch.find(asked.name, asked.requested)
        exchange.counted_as = entry.name
        who = asked.who = await self._caller(exchange, entry)
        dispatch.allow(entry, who)
        if who is not None and who.proof == "cookie":
            self._origins.check(exchange.headers, entry.access in ("none", "read"), exchange.brings_body)
        body = await exchange.body(
            MOST_ANONYMOUS_BYTES if who is None else self.services.settings.max_body_bytes
        )
        call = self._call(exchange, entry, asked.requested, body, who)
        if entry.slow:
            data = await self._answered(entry, call)
        elif entry.access == "metrics":
            data = await dispatch.answer_together(entry, call)
        else:
            data = dispatch.answer(entry, call)
        out = headers.encoded(call.answer_headers)
        if isinstance(data, Raw):
            out += headers.encoded(data.headers.items())
            await exchange.respond(200, data.body, [(b"content-type", data.content_type.encode()), *out])
            return
        encoded = envelope.encode(head_of(exchange, 200, 0, "OK"), data)
        if self.services.rewrite is not None:
            encoded = self.services.rewrite(encoded)
        await send_json(exchange, 200, encoded, out)

    async def refuse(self, exchange: Exchange, refused: ApiError) -> None:
        """The refusal in an envelope; an encoded body is refused as ClearML does, in plain text."""
        if refused.code == 415:
            await super().refuse(exchange, refused)
            return
        asked: Asked = exchange.state or Asked()
        if refused.code == 403:
            note(
                "refused", endpoint=asked.name, user=asked.who.user if asked.who else "",
                role=asked.who.role if asked.who else "", address=exchange.address, reason=refused.message,
            )  # fmt: skip
        head = head_of(exchange, refused.code, refused.subcode, refused.message[:LONGEST_MESSAGE])
        out = headers.encoded(refused.headers)
        await send_json(exchange, refused.code, envelope.encode(head, {}), out)

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

    def _call(
        self, exchange: Exchange, entry: Endpoint, requested: str, body: bytes, who: Identity | None
    ) -> Call:
        content_type = exchange.headers.get("content-type", "").encode("latin-1")
        parsed = envelope.parse_body(content_type, body, exchange.query)
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
            address=exchange.address,
            headers=exchange.headers,
            lines=lines,
            body=body,
        )

    async def _caller(self, exchange: Exchange, entry: Endpoint) -> Identity | None:
        """Who calls; None only where the endpoint needs no sign-in.

        Raises:
            ApiError: 401; 400/6 a header asks to act as somebody else.
        """
        authorization, authenticator = exchange.headers.get("authorization"), self.services.authenticator
        try:
            who = await authenticator.admitted(
                authorization, cookies.token_in(exchange.headers), exchange.address
            )
        except ApiError:
            if entry.signed_in:
                raise
            return None
        if who is None:
            if entry.signed_in:
                raise error("no_credentials")
            return None
        for header in IMPERSONATION:
            if header in exchange.headers:
                note("impersonation_refused", user=who.user, address=exchange.address)
                raise error("impersonation", "impersonation not allowed", role=who.role)
        return who

    async def _tell_metrics(self, exchange: Exchange) -> None:
        """The server's figures for Prometheus, to anyone who is signed in (a cookie does not count)."""
        try:
            authorization = exchange.headers.get("authorization")
            who = await self.services.authenticator.admitted(authorization, None, exchange.address)
            if who is None:
                raise error("no_credentials")
        except ApiError as refused:
            asked = [(b"www-authenticate", b'Basic realm="stackyard"')] if refused.code == 401 else []
            await exchange.respond(refused.code, refused.message.encode(), [TEXT, *asked])
            return
        services, now = self.services, int(self.services.clock() * 1000)
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, exposition.text, services.store, services.meter, now
        )
        await exchange.respond(200, found, [(b"content-type", exposition.CONTENT_TYPE.encode())])

    def close(self) -> None:
        """Let running reads end."""
        self._threads.shutdown()


def requested_version(version: str) -> str | float:
    """As ClearML shows it: a float below 2.1, else text."""
    return float(version) if envelope.parse_version(version) < (2, 1) else version


def head_of(exchange: Exchange, code: int, subcode: int, message: str) -> dict[str, Any]:
    """The envelope's head."""
    asked: Asked = exchange.state or Asked()
    return envelope.meta(
        asked.name,
        requested_version(asked.requested),
        asked.entry.shown_version if asked.entry else None,
        exchange.headers.get("x-clearml-trx"),
        code,
        subcode,
        message,
    )


async def send_json(exchange: Exchange, status: int, body: bytes, extra: Headers) -> None:
    """An envelope, compressed where the client takes it and it is worth it."""
    out = [(b"content-type", b"application/json"), *extra]
    if len(body) > COMPRESS_FROM and headers.takes_gzip(exchange.headers.get("accept-encoding", "")):
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        body = packer.compress(body) + packer.flush()
        out.append((b"content-encoding", b"gzip"))
    await exchange.respond(status, body, out)
