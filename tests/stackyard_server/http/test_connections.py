"""What one connection may take of the server: headers, time, and how many there are."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from stackyard_server.http import connections
from stackyard_server.http.shares import Shares
from stackyard_server.http.unsent import GRACE_SECONDS, Pace
from stackyard_server.security_log import BURST
from tests.waiting import PATIENCE_SECONDS

from ..running import Running, running_server
from .lines import dial, said


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


@pytest.mark.promise("smuggling-refused")
def test_smuggled_lengths_are_refused(server: Running) -> None:
    """ASVS 4.2.1 (request smuggling): Transfer-Encoding together with Content-Length, or one that is unknown."""
    for headers in (
        b"Transfer-Encoding: chunked\r\nContent-Length: 4",
        b"Transfer-Encoding: xchunked",
        b"Content-Length: +4",
    ):
        with dial(server) as connection:
            connection.sendall(b"POST /debug.ping HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n0\r\n\r\n")
            assert said(connection).startswith(b"HTTP/1.1 400"), headers


@pytest.mark.promise("security-log")
def test_what_is_no_http_is_noted_and_counted(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    """ASVS 16.4: a flood of nonsense is one line a time in the security log, and few of them."""
    for _ in range(100):
        with dial(server) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            assert said(connection).startswith(b"HTTP/1.1 400")
    lines = [r.getMessage() for r in caplog.records]
    assert 0 < len([line for line in lines if line.startswith("malformed_request ")]) <= 2 * BURST
    assert len(lines) <= 2 * BURST


@pytest.mark.promise("heads-bounded", on="API, files, pages")
def test_headers_without_an_end_are_cut(server: Running) -> None:
    """CWE-400: neither uvicorn nor its parser bound them."""
    for port in ("api", "files", "web"):
        with dial(server, port) as connection:
            connection.sendall(b"GET /debug.ping HTTP/1.1\r\n")
            with contextlib.suppress(OSError):
                for i in range(200):
                    connection.sendall(b"X-%d: " % i + b"x" * 4000 + b"\r\n")
                    time.sleep(0)
            assert said(connection)[:12] in (b"HTTP/1.1 431", b""), port


@pytest.mark.parametrize("port", ["api", "files", "web"])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: ".ljust(connections.MOST_HEADER_BYTES + 1, b"x"), b"431"),
    ],
    ids=["no HTTP", "headers too large"],
)
@pytest.mark.promise("headers-everywhere", on="API, files, pages")
def test_what_is_no_request_is_answered_with_the_headers_of_every_answer(
    sent: bytes, status: bytes, port: str, server: Running
) -> None:
    """ASVS 3.4.3 (CSP), 3.4.4 (nosniff), 14.3.2 (no-store): browsers show these answers, too."""
    with dial(server, port) as connection:
        connection.sendall(sent)
        head, _, sentence = said(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    lines = head.lower().split(b"\r\n")
    assert b"x-content-type-options: nosniff" in lines
    assert b"content-security-policy: default-src 'none'; frame-ancestors 'none'" in lines
    assert b"cache-control: no-store" in lines
    assert sentence.endswith(b".")


@pytest.mark.parametrize("port", ["api", "files", "web"])
def test_headers_are_bounded_however_they_come(port: str, server: Running) -> None:
    """In one segment too, with their end."""
    with dial(server, port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70_000 + b"\r\n\r\n")
        assert said(connection).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("port", ["api", "files", "web"])
@pytest.mark.parametrize(
    ("lines", "code"),
    [(b"", b"400"), (b"Host: x\r\nTransfer-Encoding: gzip, chunked\r\n", b"415")],
    ids=["no host", "encoded"],
)
def test_a_request_says_where_it_goes_and_comes_as_it_is(
    lines: bytes, code: bytes, port: str, server: Running
) -> None:
    """RFC 9112, 3.2 and 6.1."""
    with dial(server, port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + lines + b"\r\n0\r\n\r\n")
        assert said(connection).startswith(b"HTTP/1.1 " + code)


def test_trailers_are_no_headers(server: Running) -> None:
    """RFC 9110, 6.5.1 (request smuggling): what comes behind the body signs nobody in, in one segment or two."""
    token = server.token
    chunked = (
        b"POST /users.get_current_user HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
    )
    trailer = b"0\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n"
    for parts in ((chunked + trailer,), (chunked, trailer)):
        with dial(server) as connection:
            for part in parts:
                connection.sendall(part)
            assert said(connection).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("port", ["api", "files", "web"])
@pytest.mark.parametrize("piece", [b"x: y\r\n" * 1000, b"y" * 7000])
@pytest.mark.promise("heads-bounded", on="API, files, pages")
def test_trailers_without_an_end_are_cut(piece: bytes, port: str, server: Running) -> None:
    with dial(server, port) as connection:
        connection.sendall(
            b"POST /debug.ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx: "
        )
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 64 << 20:
                connection.sendall(piece)
                sent += len(piece)
        assert sent < 64 << 20


def whole(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            got += part
    return got


@pytest.mark.parametrize("port", ["api", "files", "web"])
def test_a_connection_sends_few_requests_ahead_of_its_answers(port: str, server: Running) -> None:
    """CWE-400: each waits with all that belongs to it."""
    request = b"GET /nothing/here HTTP/1.1\r\nHost: x\r\n\r\n"
    with dial(server, port) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(request * 1000)
        assert whole(connection).count(b"HTTP/1.1 ") <= connections.MOST_PIPELINED + 2
    with dial(server, port) as connection:
        connection.sendall(request * 4 + request.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        assert whole(connection).count(b"HTTP/1.1 ") == 5


class Transport:
    """Stands in for a socket's transport: how much the client left unread is up to the test."""

    unread = 0
    aborted = False

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


def protocol(**state: Any) -> Any:
    """A connection in a given state, without uvicorn around it."""
    held = connections.BoundedProtocol.__new__(connections.BoundedProtocol)
    held.transport = Transport()  # type: ignore[assignment]
    held.flow = SimpleNamespace(read_paused=False)  # type: ignore[assignment]
    held.cycle = None  # type: ignore[assignment]
    values = {
        "_in_headers": True,
        "_in_body": False,
        "_received_bytes": 0,
        "_began": 0.0,
        "_pace": Pace(),
    }
    for name, value in {**values, **state}.items():
        setattr(held, name, value)
    return held


def unread(held: Any) -> None:
    held.transport.unread = 1000
    held._is_stuck(0.0)


#: What a slow client does, and from which second on it is let go.
SLOW: list[tuple[str, dict[str, Any], Callable[[Any], None], float]] = [
    ("says nothing", {}, lambda held: None, connections.HEADER_SECONDS),
    (
        "sends headers by the byte", {"_received_bytes": 20, "cycle": object()},
        lambda held: None, connections.HEADER_SECONDS,
    ),
    (
        "sends a body by the byte", {"_in_headers": False, "_in_body": True, "_received_bytes": 30},
        lambda held: None, connections.BODY_GRACE_SECONDS,
    ),
    ("reads nothing", {"cycle": object()}, unread, GRACE_SECONDS),
]  # fmt: skip


@pytest.mark.parametrize(("state", "prepare", "seconds"), [c[1:] for c in SLOW], ids=[c[0] for c in SLOW])
@pytest.mark.promise("slow-clients-go")
def test_a_slow_client_is_let_go(
    state: dict[str, Any], prepare: Callable[[Any], None], seconds: float
) -> None:
    """Slowloris and its kin; the clock is an argument."""
    held = protocol(**state)
    prepare(held)
    assert not held._is_stuck(seconds - 1)
    assert held._is_stuck(seconds + 1)


def test_a_client_that_is_merely_slow_is_kept() -> None:
    """A gigabyte over a thin line, an idle keep-alive connection, a server that is the slow one."""
    thin = protocol(_in_headers=False, _in_body=True, _received_bytes=3_000_000)
    assert not thin._is_stuck(3600.0)
    idle = protocol(cycle=object())
    assert not idle._is_stuck(3600.0)
    waiting = protocol(
        _in_headers=False, _in_body=True, _received_bytes=10, flow=SimpleNamespace(read_paused=True)
    )
    assert not waiting._is_stuck(3600.0)


ASKED = b"GET /debug.ping HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.promise("lines-bounded")
def test_connections_are_bounded(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a connection is closed at once; the others go on."""
    monkeypatch.setattr(connections.BoundedProtocol, "shares", Shares(lambda: 1))
    with dial(server) as held:
        held.sendall(ASKED[:20])
        with dial(server) as refused:
            with contextlib.suppress(OSError):
                refused.sendall(ASKED)
            assert said(refused) == b""
        held.sendall(ASKED[20:])
        assert said(held).startswith(b"HTTP/1.1 200")


def test_one_address_leaves_connections_to_the_others(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it does with its own: half of all connections are the others'."""
    monkeypatch.setattr(connections.BoundedProtocol, "shares", Shares(lambda: 8))
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            with contextlib.suppress(OSError):
                slow = stack.enter_context(dial(server, source="127.0.0.2"))
                slow.sendall(ASKED[:20])
        for _ in range(3):
            other = stack.enter_context(dial(server, source="127.0.0.3"))
            other.sendall(ASKED)
            assert said(other).startswith(b"HTTP/1.1 200")


def test_a_connection_that_nobody_uses_makes_room(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections.BoundedProtocol, "shares", Shares(lambda: 2))
    address = "127.0.0.9"  # at which no other test's connection is
    with dial(server, source=address) as idle:
        idle.sendall(ASKED)
        assert said(idle).startswith(b"HTTP/1.1 200")
        with dial(server, source=address) as busy:
            busy.sendall(ASKED)
            assert said(busy).startswith(b"HTTP/1.1 200")


@pytest.mark.promise("named-proxies-only")
def test_forwarded_addresses_are_believed_of_named_proxies_only(server: Running) -> None:
    """E2: a spoofed X-Forwarded-For would lift the limits on signing in."""
    for trusted, seen in (((), "127.0.0.1"), (("127.0.0.0/8",), "203.0.113.7")):
        with running_server(trusted_proxies=trusted) as other:
            auth, headers = (other.access_key, other.secret_key), {"X-Forwarded-For": "203.0.113.7"}
            other.server.services.authenticator._used.clear()
            other.client.post(f"{other.api}/auth.login", auth=auth, headers=headers)
            assert other.call("auth.get_credentials")["credentials"][0]["last_used_from"] == seen


def test_many_clients_that_send_rubbish_leave_the_others_alone(server: Running) -> None:
    """Sockets that connect and say nothing, or nonsense, while others are answered."""
    silent = [dial(server) for _ in range(50)]
    done = threading.Event()

    def talk() -> None:
        for connection in silent:
            with contextlib.suppress(OSError):
                connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        done.set()

    threading.Thread(target=talk).start()
    for _ in range(20):
        assert server.call("debug.ping")
    assert done.wait(PATIENCE_SECONDS)
    for connection in silent:
        connection.close()
