"""The edge: what every request passes, on every port, before an application sees it and after it was answered.

Here, once for all ports: what may not be said twice, the headers every answer carries, CORS, how faults become
refusals, what is logged and counted. A port says how it answers and in which words it refuses.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import ClassVar

from ..monitoring.meter import Meter
from ..protocol.error_table import ApiError, error
from ..settings import ServerSettings
from .bodies import Bodies, Disconnected, Receive
from .errors import refusal
from .exchange import Exchange, Scope, Send
from .headers import Headers, encoded
from .origins import Origins
from .unsent import Unsent

log = logging.getLogger(__name__)

#: What a server listens with.
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Port:
    """An application behind the edge."""

    #: What every answer carries unless it says otherwise.
    always: ClassVar[Headers] = []
    #: Whether pages of origins that the operator named may call it.
    cross_origin: ClassVar[bool] = False

    def counted_as(self, method: str) -> str | None:
        """The name under which requests are counted until more is known of them; None leaves them uncounted."""
        return None

    async def answer(self, exchange: Exchange) -> None:
        """Answer a request.

        Raises:
            ApiError: A refusal, for ``refuse`` to put into words.
            Disconnected: The client left.
        """
        raise NotImplementedError

    async def refuse(self, exchange: Exchange, refused: ApiError) -> None:
        """Tell the client of a refusal: its sentence, as text."""
        out = [(b"content-type", b"text/plain; charset=utf-8"), *encoded(refused.headers)]
        await exchange.respond(refused.code, refused.message.encode("utf-8", "replace"), out)


class Edge:
    """What the ports have in common; one for the server's life."""

    def __init__(self, settings: ServerSettings, meter: Meter) -> None:
        self.origins = Origins(settings)
        self.bodies = Bodies()
        self.unsent = Unsent()
        self._meter = meter

    def before(self, port: Port) -> Application:
        """The application that lets requests through to a port."""

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            began = time.perf_counter()
            exchange = Exchange(scope, receive, send, self.bodies, self.unsent, port.always)
            exchange.also = self._cors(port, exchange)
            exchange.counted_as = port.counted_as(exchange.method)
            try:
                await self._answer(port, exchange)
            except Disconnected:  # nobody is left to be answered
                return
            if exchange.counted_as is not None:
                self._meter.answered(exchange.counted_as, exchange.status, time.perf_counter() - began)

        return application

    async def _answer(self, port: Port, exchange: Exchange) -> None:
        try:
            if port.cross_origin and exchange.method == "OPTIONS":
                await exchange.respond(200, b"", [])
                return
            exchange.check()
            await port.answer(exchange)
        except Disconnected:
            raise
        except (Exception, asyncio.CancelledError) as fault:
            refused = refusal(fault)
            if refused is None:
                log.exception("%s %s failed", exchange.method, exchange.path)
                refused = error("internal")
            if not exchange.status:  # else the answer had begun: the connection ends instead
                await port.refuse(exchange, refused)

    def _cors(self, port: Port, exchange: Exchange) -> Headers:
        if not port.cross_origin:
            return []
        origin = exchange.headers.get("origin")
        return self.origins.answer_headers(origin, preflight=exchange.method == "OPTIONS")
