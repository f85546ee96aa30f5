"""What one address may take of the server's descriptors and connections, and whether another is still served."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from bench.result import Result

from . import yard
from .yard import Server

FIGURES = ("descriptors_left_worst", "other_address_served_percent")
DESCRIPTORS = 1024
IDLE, SLOW, ASKED = 900, 100, 100
HOSTILE, OTHER = "127.0.0.2", "127.0.0.3"
PARTS = 995
#: What was sent is worked on by then.
SETTLED_SECONDS = 2.0


def dial(server: Server, port: str, address: str) -> socket.socket:
    """A connection from an address of this machine."""
    host, _, number = server.urls[port].removeprefix("http://").partition(":")
    return socket.create_connection((host, int(number)), 10, source_address=(address, 0))


def asked(server: Server, address: str) -> bool:
    """Whether ``debug.ping`` is answered to an address within ten seconds."""
    with contextlib.suppress(OSError), dial(server, "api", address) as connection:
        connection.settimeout(10)
        token = server.tokens["other"]
        connection.sendall(
            f"GET /debug.ping HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        return connection.recv(4096).startswith(b"HTTP/1.1 200")
    return False


def upload_parts(server: Server, address: str, parts: int) -> socket.socket:
    """An upload of many files that does not end."""
    connection = dial(server, "files", address)
    token = server.tokens["user"]
    connection.sendall(
        f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n".encode()
    )
    part = b'--b\r\nContent-Disposition: form-data; name="f%d"; filename="f%d"\r\n\r\nx\r\n'
    with contextlib.suppress(OSError):
        for number in range(parts):
            body = part % (number, number)
            connection.sendall(b"%x\r\n%s\r\n" % (len(body), body))
        filler = b'--b\r\nContent-Disposition: form-data; name="l"; filename="l"\r\n\r\n' + b"y" * 1_100_000
        connection.sendall(b"%x\r\n%s\r\n" % (len(filler), filler))
    return connection


def figures(result: Result, quick: bool, options: Any) -> None:
    """Slow uploads of many parts; then idle and slow connections of one address while another asks."""
    with tempfile.TemporaryDirectory() as scratch:
        made = yard.make_empty(Path(scratch) / "data")
        with yard.running(made, DESCRIPTORS) as server:
            held = [upload_parts(server, HOSTILE, PARTS)]
            left = _left(server)
            result.row(part="connections", attack=f"an upload of {PARTS} parts", descriptors_left=left)
            worst = left
            for number in range(2, 6):
                with contextlib.suppress(OSError):
                    held += [upload_parts(server, f"127.0.1.{number}", PARTS)]
            worst = min(worst, left := _left(server))
            result.row(part="connections", attack="uploads of four more addresses", descriptors_left=left)
            for connection in held:
                connection.close()
        with yard.running(made, DESCRIPTORS) as server:
            held = []
            for number in range(IDLE + SLOW):
                with contextlib.suppress(OSError):
                    held.append(dial(server, "api", HOSTILE))
                    if number >= IDLE:
                        held[-1].sendall(b"POST /debug.ping HTTP/1.1\r\nHost: x\r\nContent-Le")
            time.sleep(1)
            worst = min(worst, left := _left(server))
            served = sum(asked(server, OTHER) for _ in range(ASKED))
            result.row(part="connections", attack="idle and slow", descriptors_left=left, served=served)
            result.figure("other_address_served_percent", 100.0 * served / ASKED)
            for number in range(2000):
                with contextlib.suppress(OSError):
                    held.append(dial(server, "api", f"127.0.{2 + number // 200}.{1 + number % 200}"))
            time.sleep(1)
            worst = min(worst, left := _left(server))
            result.row(part="connections", attack="2,000 of as many addresses", descriptors_left=left)
            for connection in held:
                connection.close()
        result.figure("descriptors_left_worst", float(worst))


def _left(server: Server) -> int:
    time.sleep(SETTLED_SECONDS)
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"{server.urls['files']}/", timeout=5).read()
    return DESCRIPTORS - server.open_descriptors
