"""Requests by the byte: what an HTTP library would not send, or not without its end."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from tests.waiting import PATIENCE_SECONDS

from ..running import Running

#: Where requests go in: the three ports, and what the web port has of the other two.
PORTS = ("api", "files", "web", "web/api", "web/files")


def dial(server: Running, port: str = "api", source: str = "127.0.0.1") -> socket.socket:
    """A connection to a port, from an address of this machine."""
    host, _, number = getattr(server, port.partition("/")[0]).removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(number)), PATIENCE_SECONDS, (source, 0))
    connection.settimeout(30)
    return connection


def said(connection: socket.socket) -> bytes:
    """Everything until the server closes, or a complete answer came."""
    got = b""
    with contextlib.suppress(OSError):
        while part := connection.recv(65536):
            got += part
            head, _, rest = got.partition(b"\r\n\r\n")
            length = [
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ]
            if length and len(rest) >= length[0]:
                break
    return got


def status(answer: bytes) -> int:
    """The status of an answer; 0 where none came."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def head(method: str, port: str, path: str, headers: list[tuple[str, str]]) -> bytes:
    """A request's line and headers."""
    mounted = f"/{port.partition('/')[2]}" if "/" in port else ""
    lines = [f"{method} {mounted}{path} HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunks(content: bytes, step: int = 65536) -> Iterator[bytes]:
    """A chunked body without its end."""
    for at in range(0, len(content), step):
        part = content[at : at + step]
        yield b"%x\r\n%s\r\n" % (len(part), part)
