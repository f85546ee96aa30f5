"""Sending bytes and reading answers, without a client's manners."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What came back: 0 for a connection that was closed without a word."""

    status: int
    body: bytes
    seconds: float = 0.0


class Hung(Exception):
    """No answer within the bound."""


class Line:
    """A connection that is kept for whole requests."""

    def __init__(self, address: tuple[str, int], patience_seconds: float) -> None:
        self.address = address
        self.patience_seconds = patience_seconds
        self._socket: socket.socket | None = None
        self._rest = b""

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._rest = None, b""

    def ask(self, data: bytes) -> Answer:
        """The answer to a whole request; once more on a new connection where the kept one had been closed."""
        for fresh in (False, True):
            if self._socket is None:
                self._socket = socket.create_connection(self.address, timeout=self.patience_seconds)
                fresh = True
            try:
                self._socket.sendall(data)
                return self._read(head_only=data.startswith(b"HEAD "))
            except TimeoutError:
                self.close()
                raise Hung from None
            except OSError:
                self.close()
                if fresh:
                    return Answer(0, b"")
        raise AssertionError

    def _read(self, head_only: bool) -> Answer:
        while True:
            while b"\r\n\r\n" not in self._rest:
                self._more()
            head, _, self._rest = self._rest.partition(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            status = int(lines[0].split(b" ")[1])
            if status >= 200:
                break
        headers = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
        if b"content-length" in headers:
            body = b"" if head_only else self._take(int(headers[b"content-length"]))
        else:
            body = self._chunks() if headers.get(b"transfer-encoding") == b"chunked" else b""
        if headers.get(b"connection") == b"close":
            self.close()
        return Answer(status, body)

    def _more(self) -> None:
        assert self._socket is not None
        part = self._socket.recv(262_144)
        if not part:
            raise ConnectionError
        self._rest += part

    def _take(self, length: int) -> bytes:
        while len(self._rest) < length:
            self._more()
        body, self._rest = self._rest[:length], self._rest[length:]
        return body

    def _chunks(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self._rest:
                self._more()
            size, _, self._rest = self._rest.partition(b"\r\n")
            body += self._take(int(size, 16))
            self._take(2)
            if int(size, 16) == 0:
                return body


def shout(address: tuple[str, int], data: bytes, patience_seconds: float) -> Answer:
    """What comes back for bytes that may be no request: sent on a connection of their own, which is then half closed.

    Raises:
        Hung: The server neither answered nor closed.
    """
    with socket.create_connection(address, timeout=patience_seconds) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while part := connection.recv(65_536):
                got += part
        except TimeoutError:
            raise Hung from None
        except OSError:
            pass
    while got.startswith(b"HTTP/1.1 100"):
        got = got.partition(b"\r\n\r\n")[2]
    status = got[9:12]
    return Answer(int(status) if status.isdigit() else 0, got)
