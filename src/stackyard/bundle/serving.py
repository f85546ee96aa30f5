"""Serves a bundle to hosts: the files that its manifest names, for reading, over HTTP.

No TLS and no login: hosts check each file against the manifest, and the manifest against the digest in the inventory. A
bundle holds no secret.
"""

from __future__ import annotations

import http.server
import os
import re
import socket
import threading
from pathlib import Path
from typing import Any

from stackyard.bundle import manifest
from stackyard.errors import StackyardError

#: How many hosts are served at the same time; others wait.
MOST_CONNECTIONS = 32
_TIMEOUT_SECONDS = 60
_CHUNK = 1 << 20
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A host that went away is no matter of ours."""


def server(folder: Path, host: str, port: int) -> http.server.ThreadingHTTPServer:
    """A server that listens; ``serve_forever`` and ``shutdown`` are the caller's.

    Args:
        folder: the bundle's.
        host: the address to listen on.
        port: the port; 0: a free one.

    Raises:
        BadInputError: no bundle.
        StackyardError: the address cannot be had.
    """
    told = manifest.read(folder)
    files = {component.file for component in told.components} | {manifest.FILE, "SHA256SUMS"}

    class Handler(http.server.BaseHTTPRequestHandler):
        """One request."""

        protocol_version = "HTTP/1.1"
        timeout = _TIMEOUT_SECONDS
        server_version, sys_version = "stackyard-bundle", ""

        def do_GET(self) -> None:
            """A file, or a part of it."""
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            """How large it is."""
            self._answer(with_body=False)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing: the operator sees what hosts fetch in the play."""

        def _answer(self, with_body: bool) -> None:
            name = self.path.removeprefix("/")
            if name not in files:
                self.send_error(404, "no file of this bundle")
                return
            try:
                file = (folder / name).open("rb")
            except OSError:
                self.send_error(404, "gone")
                return
            with file:
                size = os.fstat(file.fileno()).st_size
                asked = _RANGE.fullmatch(self.headers.get("Range", ""))
                first = int(asked[1]) if asked else 0
                last = min(int(asked[2]), size - 1) if asked and asked[2] else size - 1
                if asked and not first <= last:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{size}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206 if asked else 200)
                if asked:
                    self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
                self.send_header("Content-Length", str(last - first + 1))
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Accept-Ranges", "bytes")
                self.end_headers()
                if with_body:
                    file.seek(first)
                    left = last - first + 1
                    while left and (content := file.read(min(_CHUNK, left))):
                        self.wfile.write(content)
                        left -= len(content)

    try:
        return _Server((host, port), Handler)
    except OSError as error:
        raise StackyardError(f"{host}:{port} cannot be listened on ({error.strerror})") from error
