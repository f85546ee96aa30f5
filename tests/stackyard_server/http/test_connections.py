"""What one client may take of the server: bytes, depth, time, connections."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from stackyard_server import api
from stackyard_server.envelope import MOST_DEPTH
from stackyard_server.http import bodies, connections
from stackyard_server.security_log import BURST

from .running import Running, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server(max_body_bytes=1_000_000) as running:
        yield running


def dial(server: Running, port: str = "api") -> socket.socket:
    host, _, number = getattr(server, port).removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(number)), timeout=30)
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


def post(
    server: Running, name: str, body: bytes, content_type: str = "application/json", token: bool = True
) -> Any:
    headers = {"Content-Type": content_type}
    if token:
        headers["Authorization"] = f"Bearer {server.token}"
    server.client.cookies.clear()
    answer = server.client.post(f"{server.api}/{name}", content=body, headers=headers)
    meta = answer.json()["meta"]
    assert meta["result_code"] == answer.status_code
    return answer.status_code, meta["result_subcode"], meta["result_msg"]


def test_a_body_beyond_the_limit_is_refused_by_its_announcement_and_by_its_bytes(server: Running) -> None:
    """ASVS 5.2.1 and 4.3: clearml-server's upload size is unlimited (E2)."""
    body = b'{"preferences":{"a":"' + b"x" * 1_100_000 + b'"}}'
    assert post(server, "users.set_preferences", body)[0] == 413

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(body), 50_000):
            yield body[at : at + 50_000]

    headers = {"Authorization": f"Bearer {server.token}"}
    answer = server.client.post(f"{server.api}/users.set_preferences", content=pieces(), headers=headers)
    assert answer.status_code == 413
    assert server.call("users.get_preferences")["preferences"] == {}


def test_strangers_cannot_make_the_server_hold_megabytes(server: Running) -> None:
    """ASVS 2.4.1: the caller is asked before the body is read."""
    body = b'{"x":"' + b"x" * 900_000 + b'"}'
    assert post(server, "users.get_all", body, token=False)[:2] == (401, 20)
    assert post(server, "debug.ping", body, token=False)[0] == 413
    assert post(server, "debug.ping", body)[0] == 200


DEEP: dict[str, bytes] = {
    "lists": b'{"preferences":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "objects": b'{"preferences":' + b'{"a":' * 900 + b"1" + b"}" * 901,
    "just too deep": b'{"preferences":' + b'{"a":' * MOST_DEPTH + b"1" + b"}" * MOST_DEPTH + b"}",
    "not closed": b'{"preferences":' + b"[" * 100_000,
}


@pytest.mark.parametrize("name", DEEP)
def test_nesting_is_bounded(server: Running, name: str) -> None:
    """Recursion: neither an exhausted stack nor something stored that cannot be shown again."""
    assert post(server, "users.set_preferences", DEEP[name])[:2] in ((400, 0), (400, 12))
    line = b'{"type":"log","task":"t","x":' + b"[" * 300 + b"]" * 300 + b"}"
    assert post(server, "events.add_batch", line * 1, "application/json-lines")[0] in (400, 404)


def test_nesting_of_a_sensible_depth_is_kept(server: Running) -> None:
    deep: Any = 1
    for _ in range(MOST_DEPTH - 3):
        deep = {"a": deep}
    assert (
        post(server, "users.set_preferences", json.dumps({"preferences": {"deep": deep}}).encode())[0] == 200
    )
    assert server.call("users.get_preferences")["preferences"]["deep"] == deep


#: Bodies, and whether they are JSON at all.
NUMBERS = {
    "beyond 64 bits": b"99999999999999999999999999",
    "beyond signed 64 bits": b"18446744073709551615",
    "thousands of digits": b"9" * 5000,
    "beyond a double": b"1e999",
    "not a number": b"NaN",
    "infinite": b"Infinity",
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_nobody_can_keep_are_refused_or_kept_as_they_are(server: Running, name: str) -> None:
    for body in (b'{"expiration_sec":%s}', b'{"preferences":{"n":%s}}'):
        endpoint = "auth.login" if b"exp" in body else "users.set_preferences"
        assert post(server, endpoint, body % NUMBERS[name])[0] in (200, 400)
    assert server.call("users.get_preferences")


#: Query strings and paths that trip parsers.
PATHS = [
    "/v" + "9" * 5000 + "/debug.ping",
    "/v\u0663\u0663.\u0663/debug.ping".encode().decode("latin-1"),
    "/debug.ping%0a",
    "/debug.ping%00",
    "/%64ebug.ping/../../etc/passwd",
    "/debug.ping?" + "&".join(f"a{i}=1" for i in range(2000)),
    "/debug.ping?" + ".".join("a" for _ in range(5000)) + "=1",
    "/debug.ping?a[]=1&a.b=2&a=3&[]=4&.=5&...=6&=7",
    "/debug.ping?%ff=%ff&%ud800=1",
    "//debug.ping",
    "/" + "a" * 20_000 + ".b",
]


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_paths_and_queries_of_any_form_are_answered(server: Running, path: str) -> None:
    with dial(server) as connection:
        connection.sendall(
            b"GET " + path.encode("latin-1") + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        answer = said(connection)
    assert answer[:10] in (b"HTTP/1.1 2", b"HTTP/1.1 4"), answer[:200]


def test_what_is_said_twice_is_refused(server: Running) -> None:
    """ASVS 4.2: a proxy and the server must not read different callers out of one request."""
    token = server.token.encode()
    for twice in (
        b"Authorization: Bearer x\r\nAuthorization: Bearer " + token,
        b"Content-Length: 0\r\nContent-Length: 2",
    ):
        with dial(server) as connection:
            connection.sendall(b"GET /users.get_current_user HTTP/1.1\r\nHost: x\r\n" + twice + b"\r\n\r\n")
            assert said(connection).startswith(b"HTTP/1.1 400")


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


def test_compressed_bodies_are_refused(server: Running) -> None:
    """ASVS 5.2.3: no decompression bombs, as recorded."""
    headers = {"Content-Encoding": "gzip", "Authorization": f"Bearer {server.token}"}
    answer = server.client.post(f"{server.api}/debug.ping", content=b"\x1f\x8b", headers=headers)
    assert (answer.status_code, answer.text) == (415, "Content encoding is not supported (gzip)")


def test_what_is_no_http_is_noted_and_counted(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    """ASVS 16.4: a flood of nonsense is one line a time in the security log, and few of them."""
    for _ in range(100):
        with dial(server) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            assert said(connection).startswith(b"HTTP/1.1 400")
    lines = [r.getMessage() for r in caplog.records]
    assert 0 < len([line for line in lines if line.startswith("malformed_request ")]) <= 2 * BURST
    assert len(lines) <= 2 * BURST


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


def test_a_request_that_is_cut_off_changes_nothing(server: Running) -> None:
    """Half a batch is no batch."""
    body = b'{"preferences":{"half":1}}\n'
    with dial(server) as connection:
        head = f"POST /users.set_preferences HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
        connection.sendall(head.encode() + b"Content-Length: 500000\r\n\r\n" + body)
    assert server.call("debug.ping")
    assert "half" not in server.call("users.get_preferences")["preferences"]


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
        "_wrote": 0.0,
        "_unread_bytes": 0,
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
    ("reads nothing", {"cycle": object()}, unread, connections.UNREAD_SECONDS),
]  # fmt: skip


@pytest.mark.parametrize(("state", "prepare", "seconds"), [c[1:] for c in SLOW], ids=[c[0] for c in SLOW])
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


def test_connections_are_bounded(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a connection is closed at once; the others go on."""
    with dial(server) as held:
        held.sendall(b"GET /debug.ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert said(held).startswith(b"HTTP/1.1 200")
        monkeypatch.setattr(connections.BoundedProtocol, "limit", 0)
        with dial(server) as refused:
            with contextlib.suppress(OSError):
                refused.sendall(b"GET /debug.ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert said(refused) == b""
        held.sendall(b"GET /debug.ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert said(held).startswith(b"HTTP/1.1 200")


def test_slow_reads_wait_in_a_line_of_bounded_length(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most so many readers at a time; whoever comes beyond the line is told to come again."""
    slow = next(
        n for n, entries in api.dispatch.load().items() for e in entries if e.slow and e.role == "readonly"
    )
    monkeypatch.setattr(server.server.api, "_reading", api.READERS + api.MOST_WAITING)
    assert server.ask(slow)["meta"]["result_code"] == 429


def test_bodies_being_received_are_bounded_together(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.server.edge.bodies, "held_bytes", bodies.MOST_HELD_BYTES)
    assert post(server, "users.set_preferences", b'{"preferences":{"a":"' + b"x" * 500_000 + b'"}}')[0] == 429
    assert server.call("debug.ping")


def test_forwarded_addresses_are_believed_of_named_proxies_only(server: Running) -> None:
    """E2: a spoofed X-Forwarded-For would lift the limits on signing in."""
    for trusted, seen in (((), "127.0.0.1"), (("127.0.0.1",), "203.0.113.7")):
        with running_server(trusted_proxies=trusted) as other:
            auth, headers = (other.access_key, other.secret_key), {"X-Forwarded-For": "203.0.113.7"}
            other.server.services.gate._used.clear()
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
    assert done.wait(30)
    for connection in silent:
        connection.close()
