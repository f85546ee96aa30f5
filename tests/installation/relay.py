"""A port that passes everything on to another, and can hold what clients send: a network that stands still."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import suppress
from typing import Any

_PIECE_BYTES = 1 << 16


class Relay:
    """Listens on loopback until it is closed.

    Args:
        port: where it passes connections on to, on loopback.
    """

    def __init__(self, port: int) -> None:
        relay = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as there:
                    answers = threading.Thread(target=relay._pass_on, args=(there, self.request), daemon=True)
                    answers.start()
                    relay._pass_on(self.request, there, held=True)
                    answers.join()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A connection that breaks is its two ends' business."""

        #: Set once something is held.
        self.holding = threading.Event()
        self._open = threading.Event()
        self._open.set()
        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def hold(self) -> None:
        """From here on nothing that clients send arrives."""
        self.holding.clear()
        self._open.clear()

    def release(self) -> None:
        """Let what is held arrive, and everything after it."""
        self._open.set()

    def close(self) -> None:
        """Stop listening."""
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def _pass_on(self, source: socket.socket, target: socket.socket, held: bool = False) -> None:
        with suppress(OSError):
            # as clients and servers do: else what is sent in two pieces waits 40 ms for an acknowledgement
            target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while piece := source.recv(_PIECE_BYTES):
                if held and not self._open.is_set():
                    self.holding.set()
                    self._open.wait()
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
