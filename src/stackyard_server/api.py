"""The API port: from HTTP exchanges to calls and back. Knows envelopes and headers, no endpoint.

ClearML's clients send GET with a body, and every method that is taken means the same. Fast endpoints run on the event
loop, which owns the writing connection; slow reads run in threads.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from .calls import Call, Raw, Services, dispatch, pieces, refusals, unknown
from .calls.endpoint import Endpoint
from .http import cookies, headers
from .http.edge import Port
from .http.exchange import Exchange
from .http.headers import Headers
from .http.origins import FILES_PATH, Origins
from .identity import Identity
from .monitoring import exposition
from .protocol import bounds, envelope, fields
from .protocol.bounds import Bound
from .protocol.error_table import ApiError, error
from .security_log import note
from .store import Reading, Transaction

#: Every endpoint takes all of them; the edge answers OPTIONS where browsers ask beforehand.
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
#: Answers above this are compressed for clients that take it, bytes.
COMPRESS_FROM = 1400
#: Messages name what was sent, but do not send it all back.
LONGEST_MESSAGE = 4000
#: Bodies and answers below this are worked on where they are, bytes; larger ones in a thread, compressed step by step.
IN_PLACE_BYTES, STEP_BYTES = 256 * 1024, 256 * 1024
#: Large bodies that are read at the same time.
PARSERS = 2
#: Nobody acts as somebody else here, whatever their role.
IMPERSONATION = (
    "x-clearml-impersonate-as", "x-clearml-act-as", "x-trains-impersonate-as", "x-trains-act-as",
)  # fmt: skip
#: Where the server's own figures are, on the API's port only.
METRICS_PATH = "/metrics"
TEXT = (b"content-type", b"text/plain; charset=utf-8")
JSON, GZIPPED = (b"content-type", b"application/json"), (b"content-encoding", b"gzip")
#: Whoever keeps an answer for others must know that it depends on this.
VARIES = (b"vary", b"Accept-Encoding")
Found = TypeVar("Found")


@dataclass(slots=True)
class Asked:
    """What is known of a request so far, for the head of its answer."""

    name: str = ""
    requested: str = "1.0"
    entry: Endpoint | None = None
    who: Identity | None = None


@dataclass(slots=True)
class Encoded:
    """An answer, ready to be sent."""

    body: bytes
    headers: Headers
    #: Reads what follows the body (``Raw.more``).
    more: Callable[[Transaction], bytes] | None = None


#: (fields, lines, whether the fields were checked, those that nobody knows) of a request.
Said = tuple[dict[str, Any], list[dict[str, Any]], bool, list[str]]


@dataclass(frozen=True, slots=True)
class Form:
    """How a caller gets an answer."""

    head: dict[str, Any]
    #: Whether they take gzip.
    packs: bool
    #: How the addresses of our files begin: as they are kept, and as this caller sees them.
    kept: bytes
    shown: bytes


class Api(Port):
    """The application; one for the server's life."""

    always = headers.API
    cross_origin = True

    def __init__(self, services: Services, origins: Origins) -> None:
        self.services = services
        self._origins = origins
        self._parsers = ThreadPoolExecutor(PARSERS, thread_name_prefix="parser")
        self._watching = ThreadPoolExecutor(1, thread_name_prefix="metrics")

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
        if who is not None:
            exchange.holder = who.user
        dispatch.allow(entry, who)
        if who is not None and who.proof == "cookie":
            self._origins.check(exchange.headers, entry.access in ("none", "read"), exchange.brings_body)
        most_bytes = self.services.settings.max_body_bytes
        bound = bounds.of_endpoint(entry.name, None if who is None else who.role, most_bytes)
        form = self._form(exchange)
        body = await exchange.body(bound)
        if form.shown != form.kept:
            body = body.replace(form.shown, form.kept)
        call = await self._call(exchange, entry, body, who, bound)
        if entry.slow:
            user = exchange.address if who is None else who.user
            work = partial(self._read, entry, call, form)
            answer = await self.services.readers.read(user, work, exchange.gone)
            if answer.more is not None:
                await self._stream(exchange, user, answer, headers.encoded(call.answer_headers))
                return
        else:
            answer = await self._written(entry, call, form, bound)
        out = headers.encoded(call.answer_headers)
        await exchange.respond(200, answer.body, [*answer.headers, *out] if out else answer.headers)

    def _read(self, entry: Endpoint, call: Call, form: Form, reading: Reading) -> Encoded:
        """A read's answer, ready to be sent; in a thread."""
        call.reading = reading
        return self._encoded(form, dispatch.answer(entry, call), form.packs)

    async def _stream(self, exchange: Exchange, user: str, answer: Encoded, also: Headers) -> None:
        """An answer of any length, part by part; nothing is held of it while the client reads a part."""
        more, store = answer.more, self.services.store
        assert more is not None

        def read(reading: Reading) -> bytes:
            with refusals.told(), store.reading(reading) as tx:
                return more(tx)

        part = answer.body or await self.services.readers.read(user, read, exchange.gone)
        await exchange.start(200, [*answer.headers, *also], None)
        while part:
            await exchange.send({"type": "http.response.body", "body": part, "more_body": True})
            part = await self.services.readers.read(user, read, exchange.gone, goes_on=True)
        await exchange.send({"type": "http.response.body", "body": b""})

    async def _written(self, entry: Endpoint, call: Call, form: Form, bound: Bound) -> Encoded:
        """What was written, or was small to read, ready to be sent."""
        if entry.pieces == "lines" and not call.lines and len(call.body) > pieces.LARGE_BYTES:
            data = await pieces.lines(entry, call, partial(self._parsed, entry, bound))
        elif entry.pieces == "ids" and pieces.has_many(call):
            data = await pieces.ids(entry, call)
        elif entry.pieces == "steps":
            data = await pieces.steps(entry, call)
        elif entry.access == "metrics":
            data = await dispatch.answer_together(entry, call)
        else:
            data = dispatch.answer(entry, call)
        encoded = self._encoded(form, data, packs=False)
        if form.packs and len(encoded.body) > COMPRESS_FROM:
            encoded.body = await self._aside(len(encoded.body), partial(packed, encoded.body))
            encoded.headers.append(GZIPPED)
        return encoded

    def _encoded(self, form: Form, data: Any, packs: bool) -> Encoded:
        if isinstance(data, Raw):
            kind = (b"content-type", data.content_type.encode())
            return Encoded(data.body, [kind, *headers.encoded(data.headers.items())], data.more)
        body = envelope.encode(form.head, data)
        if self.services.rewrite is not None:
            body = self.services.rewrite(body)
        if form.shown != form.kept:
            body = body.replace(form.kept, form.shown)
        return sealed(body, packs)

    async def _aside(self, size: int, work: Callable[[], Found]) -> Found:
        """Work on so many bytes: in a thread where they are many."""
        if size <= IN_PLACE_BYTES:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._parsers, work)

    async def _parsed(
        self, entry: Endpoint, bound: Bound, text: bytes, only_looked_at: bool
    ) -> list[dict[str, Any]]:
        """The lines of a piece of a batch."""

        def parse() -> list[dict[str, Any]]:
            lines = envelope.parse_lines(text, bound)
            if entry.prepare is not None and not only_looked_at:
                entry.prepare(lines)
            return lines

        return await self._aside(len(text), parse)

    def _form(self, exchange: Exchange) -> Form:
        """How the caller gets the answer; a page, which calls below the web port, loads from its own origin only."""
        kept = f"{self.services.urls['files']}/"
        below = exchange.scope.get("root_path")
        origin = self._origins.of_pages(exchange.headers, exchange.scope["scheme"]) if below else ""
        return Form(
            head=head_of(exchange, 200, 0, "OK"),
            packs=headers.takes_gzip(exchange.headers.get("accept-encoding", "")),
            kept=kept.encode(),
            shown=f"{origin}{FILES_PATH}/".encode() if origin else kept.encode(),
        )

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
        packs = headers.takes_gzip(exchange.headers.get("accept-encoding", ""))
        answer = sealed(envelope.encode(head, {}), packs)
        await exchange.respond(refused.code, answer.body, [*answer.headers, *out])

    async def _call(
        self, exchange: Exchange, entry: Endpoint, body: bytes, who: Identity | None, bound: Bound
    ) -> Call:
        content_type = exchange.headers.get("content-type", "").encode("latin-1")
        in_pieces = entry.pieces == "lines" and len(body) > pieces.LARGE_BYTES
        if in_pieces and content_type.startswith(envelope.BATCH):
            bounds.check_lines(body, bound)
            said: Said = {}, [], False, []
        else:
            asked = entry, content_type, body, exchange.query, bound
            if len(body) <= IN_PLACE_BYTES:
                said = self._fields_and_lines(*asked)
            else:
                said = await self._aside(len(body), partial(self._fields_and_lines, *asked))
        parsed, lines, checked, strange = said
        return Call(
            name=entry.name,
            version=envelope.parse_version(exchange.state.requested),
            data=parsed,
            tx=None,  # type: ignore[arg-type]  # set by dispatch.answer
            services=self.services,
            who=who,  # type: ignore[arg-type]  # None only where the endpoint needs no sign-in
            now=int(self.services.clock() * 1000),
            address=exchange.address,
            headers=exchange.headers,
            lines=lines,
            body=body,
            checked=checked,
            unknown=strange,
        )

    @staticmethod
    def _fields_and_lines(
        entry: Endpoint, content_type: bytes, body: bytes, query: bytes, bound: Bound
    ) -> Said:
        """What a request says."""
        parsed = envelope.parse_body(content_type, body, query, bound)
        lines: list[dict[str, Any]] = []
        if isinstance(parsed, list):
            if not entry.batch:
                raise error("validation", "one JSON object was expected, found several lines")
            lines, parsed = parsed, {}
        elif entry.batch:
            lines = [parsed] if parsed else []
        strange = unknown.of(entry, parsed, lines)
        if len(body) <= IN_PLACE_BYTES:
            return parsed, lines, False, strange
        if entry.prepare is not None:
            entry.prepare(lines or [parsed])
        if not entry.batch:
            fields.check(entry.name, parsed)
        return parsed, lines, not entry.batch, strange

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
            exchange.holder = who.user
        except ApiError as refused:
            asked = [(b"www-authenticate", b'Basic realm="stackyard"')] if refused.code == 401 else []
            await exchange.respond(refused.code, refused.message.encode(), [TEXT, *asked])
            return
        services, now = self.services, int(self.services.clock() * 1000)
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._watching, exposition.text, services.store, services.meter, now
        )
        await exchange.respond(200, found, [(b"content-type", exposition.CONTENT_TYPE.encode())])

    def close(self) -> None:
        """End what is read, and let the rest be done."""
        self.services.readers.close()
        self._parsers.shutdown()
        self._watching.shutdown()


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


def sealed(body: bytes, packs: bool) -> Encoded:
    """An envelope with its headers, compressed where the caller takes it and it is worth it."""
    if len(body) <= COMPRESS_FROM:
        return Encoded(body, [JSON])
    return Encoded(packed(body), [JSON, VARIES, GZIPPED]) if packs else Encoded(body, [JSON, VARIES])


def packed(body: bytes) -> bytes:
    """An answer in gzip; step by step, so that a thread lets others go on."""
    packer, view = zlib.compressobj(1, zlib.DEFLATED, 31), memoryview(body)
    parts = [packer.compress(view[at : at + STEP_BYTES]) for at in range(0, len(body), STEP_BYTES)]
    return b"".join((*parts, packer.flush()))
