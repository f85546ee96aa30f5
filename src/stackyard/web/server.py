"""Listening: one port, bounded connections, an end on SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from stackyard.clearml.connection import Connection
from stackyard.errors import BadInputError
from stackyard.web import app
from stackyard.web.edge import Names
from stackyard.web.site import Site

MOST_CONNECTIONS = 128
#: Of a request's line and headers together; and how long they may take to come.
HEAD_BYTES, HEAD_SECONDS = 32_768, 15.0
KEEP_SECONDS, END_SECONDS = 15, 5


@dataclass(frozen=True)
class Wishes:
    """What ``stackyard web`` was told."""

    connection: Connection
    host: str = "127.0.0.1"
    #: 0: a free one.
    port: int = 0
    #: The address that browsers use, where it is another.
    url: str | None = None
    folders: Sequence[Path] = ()


class _Protocol(H11Protocol):
    """One connection: who does not send a request's head in time is not waited for."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE and self._head_timer is None:
            self._expect_head()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._forget_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_late)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_late(self) -> None:
        self._head_timer = None
        if self.conn.their_state is h11.IDLE:
            self.transport.close()


class _Server(uvicorn.Server):
    """Tells when it listens, and takes the usual signals for a wish to end, not for a failure."""

    def __init__(self, config: uvicorn.Config, up: Callable[[], None]) -> None:
        super().__init__(config)
        self._up = up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._up()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Listening:
    """A web app that has its port.

    Args:
        wishes: what it is to be.

    Raises:
        BadInputError: the port cannot be had.
    """

    def __init__(self, wishes: Wishes) -> None:
        self._socket = _listening(wishes.host, wishes.port)
        port = self._socket.getsockname()[1]
        self.names = Names(wishes.host, port, wishes.url, (socket.gethostname(),))
        folders = [folder.absolute() for folder in wishes.folders]
        self.site = Site(wishes.connection, self.names, folders, app.SECTIONS)

    @property
    def address(self) -> str:
        """Where browsers find it."""
        return self.names.address

    def server(self, up: Callable[[], None] = lambda: None) -> uvicorn.Server:
        """What serves it; ``run(sockets=[...])`` ends on SIGTERM and Ctrl-C, or once ``should_exit`` is set."""
        config = uvicorn.Config(
            app.make(self.site),
            http=_Protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=HEAD_BYTES,
            timeout_keep_alive=KEEP_SECONDS,
            timeout_graceful_shutdown=END_SECONDS,
        )
        return _Server(config, up)

    def run(self, server: uvicorn.Server) -> None:
        """Serve until it is told to end."""
        try:
            server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self.site.close()


def serve(wishes: Wishes, up: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        wishes: what it is to be.
        up: called with its address once it answers.

    Raises:
        BadInputError: the port cannot be had.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # what strangers send would fill the log
    listening = Listening(wishes)
    listening.run(listening.server(lambda: up(listening.address)))
    # a comparison that still runs cannot be ended, and nobody waits for it any more
    os._exit(0)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise BadInputError(
            f"--host {host}: no address of this machine ({error.strerror or error})"
        ) from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(128)
    except OSError as error:
        found.close()
        raise BadInputError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}); choose another with --port, "
            "or --port 0 for a free one"
        ) from error
    found.setblocking(False)
    return found
