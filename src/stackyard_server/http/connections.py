"""What one connection may take: header size, time, and how many there are. Below HTTP's meaning; knows no endpoint.

uvicorn's protocol bounds neither the headers nor how slowly a client may send or read; here it does (CWE-400, slow
clients). Used by all three ports.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import islice
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ..security_log import note
from . import headers, shares
from .exchange import PACE
from .reuse import may_fork
from .unsent import Pace

#: Takes uvicorn's place: its warning for every malformed request would let anyone fill the disk. Such requests are in
#: the security log, which counts repetitions.
log = logging.getLogger(__name__)
log.setLevel(logging.ERROR)

#: Of one request's line and headers together.
MOST_HEADER_BYTES = 64 * 1024
#: Of what is no content of a chunked body, without content between: extensions of chunks, and trailers.
MOST_FRAMING_BYTES = 64 * 1024
#: Requests that one connection may send before the answer to an earlier one.
MOST_PIPELINED = 16
#: For the headers, from the connection or the first byte on.
HEADER_SECONDS = 30.0
#: A body must arrive at this pace on average, after so long.
BODY_GRACE_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 512
LOOK_EVERY_SECONDS = 5.0
#: How many of an address's connections are looked at for one that nobody needs.
LOOKED_AT = 64


class TooManyRequests(Exception):
    """A connection sent more requests than it waits for answers."""


class HeadersTooLarge(Exception):
    """A request's line and headers together are larger than they may be."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with limits."""

    #: Open connections of this process, over all ports, by address, oldest first.
    held: ClassVar[dict[str, dict[BoundedProtocol, None]]] = {}
    shares: ClassVar[shares.Shares] = shares.Shares(shares.most_connections)

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.logger = log
        self._in_headers = True
        self._in_body = False
        #: Whether it ends as soon as nothing goes on.
        self._ends = False
        self._received_bytes = self._head_bytes = 0
        #: The address it counts for.
        self._address: str | None = None
        self._counted = self.shares
        #: Since the last content of a body.
        self._framing_bytes = 0
        self._began = self.loop.time()
        self._pace = Pace()
        self._looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        peer = transport.get_extra_info("peername")
        address = self.shares.counted_as(str(peer[0])) if peer else ""
        if not self.shares.take(address) and not (self._make_room(address) and self.shares.take(address)):
            self.transport = transport
            transport.abort()
            return
        self._address, self._counted = address, self.shares
        self.held.setdefault(address, {})[self] = None
        super().connection_made(transport)
        self._looking = self.loop.call_later(LOOK_EVERY_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._let_go()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        super().connection_lost(exc)

    def _let_go(self) -> None:
        """Count it no more."""
        address, self._address = self._address, None
        if address is None:
            return
        self._counted.give_back(address)
        del self.held[address][self]
        if not self.held[address]:
            del self.held[address]

    def _make_room(self, address: str) -> bool:
        """End a connection on which nothing happens: of an address that has its share, else of whoever has most."""
        whose = address
        if self.shares.held[address] < self.shares.of(address):
            whose = max(self.held, key=lambda one: len(self.held[one]), default=address)
        for connection in islice(self.held.get(whose, ()), LOOKED_AT):
            if connection.is_idle:
                connection.transport.abort()
                connection._let_go()
                return True
        return False

    @property
    def is_idle(self) -> bool:
        """Whether nothing came of a request that is not answered."""
        return (
            self._in_headers
            and not self._received_bytes
            and (self.cycle is None or self.cycle.response_complete)
        )

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._in_headers and not self._received_bytes:
            self._began = self.loop.time()
        self._received_bytes += len(data)
        self._framing_bytes += len(data)
        super().data_received(data)
        # Not where the request ended: what came together with its end is another one, which is done and answered.
        if self._ends and self.cycle is not None and self.cycle.response_complete:
            self.transport.close()
            return
        if self._in_body and self._framing_bytes > MOST_FRAMING_BYTES:
            self._note_malformed()
            self.transport.abort()
            return
        if self._in_headers and self._received_bytes > MOST_HEADER_BYTES and not self.transport.is_closing():
            self._refuse(431, "The request's headers are too large.")

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn's own answer lacks the headers that every other has.

        An answer that is under way is lost with it: what came may have been part of its request.
        """
        self._note_malformed()
        if self._head_bytes > MOST_HEADER_BYTES:
            self._refuse(431, "The request's headers are too large.")
        else:
            self._refuse(400, msg)

    def _note_malformed(self) -> None:
        note("malformed_request", address=self.client[0] if self.client else "")

    def _refuse(self, status: int, sentence: str) -> None:
        body = sentence.encode()
        out = [
            *self.server_state.default_headers,
            *headers.NO_REQUEST,
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        lines = [STATUS_LINE[status].rstrip(), *(b": ".join(pair) for pair in out), b"", body]
        self.transport.write(b"\r\n".join(lines))
        self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which is dropped: it comes too late to decide anything (RFC 9110, 6.5.1).

        Raises:
            HeadersTooLarge: which ends the connection.
        """
        if self._in_headers:
            self._head_bytes += len(name) + len(value)
            if self._head_bytes > MOST_HEADER_BYTES:
                raise HeadersTooLarge
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Content came."""
        self._framing_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """The headers are there.

        Raises:
            TooManyRequests: which ends the connection, as what is no HTTP does.
        """
        self._in_headers, self._in_body, self._ends = False, True, False
        self._began, self._received_bytes, self._framing_bytes = self.loop.time(), 0, 0
        if len(self.pipeline) >= MOST_PIPELINED:
            raise TooManyRequests
        self.scope[PACE] = self._pace  # type: ignore[literal-required]
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there: from now on its answer may say that the connection ends.

        Not before: what a client still sends to a closed connection would cost it the answer.
        """
        self._in_headers, self._in_body = True, False
        self._received_bytes = self._head_bytes = 0
        super().on_message_complete()
        if self.cycle.keep_alive and may_fork(self.headers):
            self.cycle.keep_alive = False
            self._ends = self.cycle.response_complete

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for long after an answer."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def _look(self) -> None:
        """Let go of a client that sends or reads too slowly."""
        if self.transport.is_closing() and not self.transport.get_write_buffer_size():
            return
        if self._is_stuck(self.loop.time()):
            self.transport.abort()
            return
        self._looking = self.loop.call_later(LOOK_EVERY_SECONDS, self._look)

    def _is_stuck(self, now: float) -> bool:
        if self._pace.is_too_slow(self.transport.get_write_buffer_size(), now):
            return True
        waited = now - self._began
        if self._in_body:
            if self.flow is not None and self.flow.read_paused:
                self._began, self._received_bytes = now, 0  # we are the slow one
                return False
            return waited > BODY_GRACE_SECONDS and self._received_bytes < SLOWEST_BYTES_PER_SECOND * waited
        first = self.cycle is None
        return (first or self._received_bytes > 0) and waited > HEADER_SECONDS
