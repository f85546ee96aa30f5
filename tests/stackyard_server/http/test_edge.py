"""What every request passes, on every port: what is said twice, what every answer carries, how faults are told."""

from __future__ import annotations

import asyncio
import errno
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from stackyard_server import identity, security_log
from stackyard_server.files.server import FileServer
from stackyard_server.http.edge import Edge, Port
from stackyard_server.http.exchange import Exchange
from stackyard_server.monitoring.meter import Meter
from stackyard_server.protocol import bounds
from stackyard_server.settings import ServerSettings
from stackyard_server.web.visit import Visit

from ..running import Running, running_server
from .lines import PORTS, dial, head, said, status

#: A path of each port that answers whoever is signed in.
PATHS = {
    "api": "/users.get_current_user",
    "web/api": "/users.get_current_user",
    "files": "/x",
    "web/files": "/x",
    "web": "/queues",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        running.client.cookies.clear()
        headers = {"Authorization": f"Bearer {running.token}"}
        running.client.post(f"{running.files}/", files={"x": b"content"}, headers=headers)
        yield running


def signed_in(server: Running, port: str) -> dict[str, str]:
    if port == "web":
        return {"Cookie": f"{identity.COOKIE}={server.token}"}
    return {"Authorization": f"Bearer {server.token}"}


def url(server: Running, port: str, path: str) -> str:
    base, _, mounted = port.partition("/")
    return f"{getattr(server, base)}{'/' if mounted else ''}{mounted}{path}"


def ask(server: Running, port: str, headers: list[tuple[str, str]], method: str = "GET") -> int:
    with dial(server, port) as connection:
        connection.sendall(head(method, port, PATHS[port], headers))
        return status(said(connection))


# --- what is said twice ---


@pytest.mark.parametrize("port", PORTS)
def test_what_is_said_once_is_answered(server: Running, port: str) -> None:
    assert ask(server, port, [*signed_in(server, port).items(), ("Sec-Fetch-Site", "same-origin")]) == 200


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    ("name", "good", "other"),
    [
        ("Authorization", "", "Bearer x.y.z"),
        ("Authorization", "", ""),
        ("Cookie", "", "other=1"),
        ("Origin", "http://localhost", "http://evil.example"),
        ("Sec-Fetch-Site", "same-origin", "cross-site"),
        ("Content-Type", "application/json", "text/plain"),
        ("Host", "localhost", "evil.example"),
    ],
)
@pytest.mark.promise("said-twice", on="API, files, pages")
def test_what_is_said_twice_is_refused(
    server: Running, port: str, first: int, name: str, good: str, other: str
) -> None:
    """S10(a): a proxy and this server must not read different callers out of one request."""
    sent = dict(signed_in(server, port))
    if name in ("Authorization", "Cookie"):
        token = {"Authorization": f"Bearer {server.token}", "Cookie": f"{identity.COOKIE}={server.token}"}
        good = token[name]
        sent.pop(name, None)
    pair = [(name, good), (name, other or good)]
    headers = [*sent.items(), *(reversed(pair) if first else pair)]
    if name == "Host":
        headers = [h for h in headers if h != ("Host", "localhost")]
    for method in ("GET", "POST"):
        assert ask(server, port, headers, method) == 400


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.promise("no-compressed-bodies", on="API, files, pages")
def test_encoded_bodies_are_refused(server: Running, port: str) -> None:
    """ASVS 5.2.3: no decompression bombs."""
    headers = {**signed_in(server, port), "Content-Encoding": "gzip"}
    answer = server.client.post(url(server, port, PATHS[port]), content=b"\x1f\x8b", headers=headers)
    assert (answer.status_code, answer.text) == (415, "Content encoding is not supported (gzip)")


@pytest.mark.parametrize("port", PORTS)
def test_a_body_that_says_it_is_not_encoded_is_read(server: Running, port: str) -> None:
    headers = {**signed_in(server, port), "Content-Encoding": "identity"}
    assert server.client.get(url(server, port, PATHS[port]), headers=headers).status_code == 200


# --- what every answer carries ---


def carries(answer: httpx.Response, port: str) -> None:
    """A policy that lets nothing of others run, and no guessing of types."""
    assert "default-src 'none'" in answer.headers["content-security-policy"], (port, answer.headers)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    for name in ("content-security-policy", "x-content-type-options", "cache-control", "server"):
        assert len(answer.headers.get_list(name)) <= 1, name


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.promise("headers-everywhere", on="API, files, pages")
def test_every_answer_carries_the_headers(server: Running, port: str) -> None:
    """ASVS 3.4.3 and 3.4.4, whatever the answer is: S10(d) names those for 404 and 500 of the pages."""
    seen = set()
    for method, path, headers in (
        ("GET", PATHS[port], signed_in(server, port)),
        ("GET", PATHS[port], {}),
        ("HEAD", PATHS[port], signed_in(server, port)),
        ("GET", "/no/such/page", signed_in(server, port)),
        ("PUT", PATHS[port], {}),
        ("POST", PATHS[port], {**signed_in(server, port), "Sec-Fetch-Site": "cross-site"}),
        ("POST", PATHS[port], {"Content-Encoding": "gzip"}),
        ("OPTIONS", PATHS[port], {}),
        ("GET", "/static/none.js", {}),
        ("GET", "/login", {}),
    ):
        answer = server.client.request(method, url(server, port, path), headers=headers)
        seen.add(answer.status_code)
        carries(answer, port)
    assert {200, 415} <= seen
    assert seen & {400, 404}


@pytest.mark.parametrize("fault", ["unforeseen", "full disk"])
@pytest.mark.parametrize("port", PORTS)
@pytest.mark.promise("no-inner-words", on="API, files, pages")
def test_a_fault_is_told_in_a_sentence(
    server: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, port: str, fault: str
) -> None:
    """The client learns that it failed, the log why; the headers are those of every answer."""

    def fail(*_: Any, **__: Any) -> Any:
        if fault == "unforeseen":
            raise RuntimeError("the reason is in /srv/secret.py")
        if port.endswith("files"):
            raise OSError(errno.ENOSPC, "No space left on device")
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Visit, "page", fail)
    monkeypatch.setattr(FileServer, "_download", fail)
    monkeypatch.setattr("stackyard_server.calls.dispatch.answer", fail)
    with caplog.at_level(logging.ERROR):
        answer = server.client.get(url(server, port, PATHS[port]), headers=signed_in(server, port))
    assert answer.status_code == (500 if fault == "unforeseen" else 507)
    assert "secret" not in answer.text
    assert ("Internal error" if fault == "unforeseen" else "No space left") in answer.text
    assert ("secret" in caplog.text) == (fault == "unforeseen")
    carries(answer, port)


@pytest.mark.parametrize("path", ["/%0d%0aX/", "/a%0ab", "*", "/tasks/", "/login/", "/tasks/x/log/"])
def test_no_path_passes_the_edge_by(path: str, server: Running) -> None:
    """Nor does an answer repeat what the request says of the host: no address is made from that."""
    with dial(server, "web") as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode())
        answer = said(connection).lower()
    assert b"x-content-type-options: nosniff" in answer
    assert b"content-security-policy:" in answer
    assert b"evil.example" not in answer


def test_the_official_app_has_its_own_policy_on_every_answer(tmp_path: Path) -> None:
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>app</title>")
    with running_server(webapp=folder) as server:
        for method, path, expected in (("GET", "/", 200), ("GET", "/projects/x", 200), ("POST", "/", 405)):
            answer = server.client.request(method, f"{server.web}{path}")
            assert answer.status_code == expected
            assert answer.headers.get("allow") == ("GET, HEAD" if expected == 405 else None)
            assert "object-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert server.client.get(f"{server.web}/api/debug.ping").json()["data"]


# --- what is noted ---


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.promise("security-log")
def test_refusals_are_in_the_security_log(
    server: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    """ASVS 16.3.2: who may not, and pages of other sites, whichever port they tried."""
    monkeypatch.setattr(security_log, "_counts", {})
    caplog.set_level(logging.INFO, "stackyard_server.security")
    with server.store.writing() as tx:
        reader = identity.add_user(tx, 0, name="reader", role="readonly")
        pair = identity.add_credentials(tx, reader)
    token = server.client.get(f"{server.api}/auth.login", auth=pair).json()["data"]["token"]
    server.client.cookies.clear()
    path = {"api": "/queues.create", "files": "/", "web": "/queues"}[port.rpartition("/")[2]]
    cookie = {"Cookie": f"{identity.COOKIE}={token}"}
    for site in ("same-origin", "cross-site"):
        headers = {**cookie, "Sec-Fetch-Site": site, "Content-Type": "application/json"}
        assert server.client.post(url(server, port, path), headers=headers).status_code == 403
    noted = [
        r.getMessage() for r in caplog.records if "refused " in r.getMessage() or "foreign" in r.getMessage()
    ]
    assert len(noted) == 2
    assert reader in noted[0]


# --- what is counted ---


def test_requests_are_counted_by_what_answered_them(server: Running) -> None:
    meter = server.server.services.meter

    def counted(kind: str, status: int) -> int:
        return meter.requests[kind, status]

    before = {key: counted(*key) for key in (("files.GET", 200), ("debug.ping", 200), ("(unknown)", 400))}
    server.client.get(f"{server.files}/x", headers=signed_in(server, "files"))
    server.client.get(f"{server.api}/debug.ping")
    server.client.get(f"{server.web}/api/debug.ping")
    server.client.get(f"{server.api}/nonsense")
    server.client.get(f"{server.web}/login")
    server.client.options(f"{server.api}/nonsense")
    assert counted("files.GET", 200) == before["files.GET", 200] + 1
    assert counted("debug.ping", 200) == before["debug.ping", 200] + 2
    assert counted("(unknown)", 400) == before["(unknown)", 400] + 1


# --- what becomes of an answer that fails ---


class Told(Port):
    """A port that does what a test says."""

    def __init__(self, answer: Callable[[Exchange], Awaitable[None]]) -> None:
        self._does = answer

    def counted_as(self, method: str) -> str | None:
        return "told"

    async def answer(self, exchange: Exchange) -> None:
        await self._does(exchange)


def passed(
    tmp_path: Path, answer: Callable[[Exchange], Awaitable[None]], *messages: dict[str, Any]
) -> tuple[list[int], Meter]:
    """The statuses sent for a request, and what was counted."""
    coming, statuses, meter = list(messages), [], Meter()

    async def receive() -> dict[str, Any]:
        return coming.pop(0)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "client": ("192.0.2.1", 1)}
    application = Edge(ServerSettings(tmp_path), meter).before(Told(answer))
    asyncio.run(cast(Coroutine[Any, Any, None], application(scope, receive, send)))
    return statuses, meter


def test_an_answer_that_had_begun_is_not_begun_again(tmp_path: Path) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.start(200, [], 10)
        raise RuntimeError("the disk is gone")

    statuses, meter = passed(tmp_path, answer)
    assert statuses == [200]
    assert meter.requests == {("told", 200): 1}


def test_a_stop_that_waited_long_enough_is_told(tmp_path: Path) -> None:
    async def answer(exchange: Exchange) -> None:
        raise asyncio.CancelledError

    assert passed(tmp_path, answer)[0] == [503]


def test_who_left_is_neither_answered_nor_counted(tmp_path: Path) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.body(bounds.STRANGER)

    half = {"type": "http.request", "body": b"half", "more_body": True}
    statuses, meter = passed(tmp_path, answer, half, {"type": "http.disconnect"})
    assert statuses == []
    assert not meter.requests
