"""Answers that clients do not take: counted, bounded, let go; real sockets that read nothing."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest

from stackyard_server import identity
from stackyard_server.http import connections, unsent
from stackyard_server.http.unsent import Pace, Unsent
from stackyard_server.identity import COOKIE
from stackyard_server.protocol import bounds
from tests.waiting import PATIENCE_SECONDS, until

from ..running import Running, running_server

#: What one answer has at least: more than the system takes for a client that reads nothing.
PLOT_BYTES = 12 << 20
GREEDY = 12


def test_a_user_who_holds_much_gets_no_further_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One's share first; once all together hold much, one answer each."""
    monkeypatch.setattr(bounds, "UNSENT_BYTES_OF_A_USER", 100)
    monkeypatch.setattr(bounds, "UNSENT_BYTES", 150)
    held, freed = Unsent(), []
    held.freed = lambda: freed.append(held.held_bytes)
    with held.holding("a", 99):
        assert held.has_room("a")
        with held.holding("a", 1):
            assert not held.has_room("a")
            assert held.has_room("b")
            with held.holding("b", 50):
                assert not held.has_room("b")
                assert held.has_room("c")
        assert held.has_room("a")
    assert freed == [100, 99, 0]
    assert held.held_bytes == 0


@pytest.mark.promise("slow-clients-go")
def test_a_client_that_takes_a_little_now_and_then_is_let_go() -> None:
    """A byte each time before the grace is over keeps nobody; the clock is an argument."""
    pace = Pace()
    pace.written_bytes = 1 << 20
    assert not pace.is_too_slow(1 << 20, 0.0)
    for n in range(1, 24):
        assert not pace.is_too_slow((1 << 20) - n, n * 5.0)
    assert pace.is_too_slow((1 << 20) - 24, unsent.GRACE_SECONDS + 1)


def test_a_client_that_is_merely_slow_is_kept() -> None:
    """Over an hour at the least pace, and one that has taken everything in between."""
    pace = Pace()
    for second in range(0, 3600, 5):
        pace.written_bytes = 300_000 + second * unsent.SLOWEST_BYTES_PER_SECOND
        assert not pace.is_too_slow(300_000, float(second))
    assert not pace.is_too_slow(0, 3600.0)
    assert not pace.is_too_slow(10, 10_000.0)
    assert not pace.is_too_slow(10, 10_000.0 + unsent.GRACE_SECONDS)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


@pytest.fixture(scope="module")
def task(server: Running) -> str:
    """A task with plots that make one large answer."""
    made: str = server.call("tasks.create", name="plotted", type="training")["id"]
    for n in range(PLOT_BYTES >> 20):
        server.call(
            "events.add", type="plot", task=made, metric="m", variant=str(n), iter=1, plot_str="x" * (1 << 20)
        )
    return made


def unread(server: Running, port: str, request: bytes) -> socket.socket:
    """A connection that asks for something and reads nothing of it."""
    host, _, number = getattr(server, port).removeprefix("http://").partition(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE_SECONDS)
    connection.connect((host, int(number)))
    connection.sendall(request)
    return connection


def asked(server: Running, port: str, task: str) -> bytes:
    """A request for all plots of a task."""
    body = json.dumps({"task": task}).encode()
    path = "/api/events.get_task_plots" if port == "web" else "/events.get_task_plots"
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@pytest.mark.parametrize("port", ["api", "web"])
@pytest.mark.promise("unread-bounded", on="API, pages")
def test_answers_that_nobody_reads_are_bounded(
    server: Running, task: str, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CWE-770: a user who reads nothing holds their share and no more; another one is served meanwhile."""
    share = 2 * PLOT_BYTES
    monkeypatch.setattr(bounds, "UNSENT_BYTES_OF_A_USER", share)
    held, readers = server.server.edge.unsent, server.server.services.readers
    with contextlib.ExitStack() as stack:
        for _ in range(GREEDY):
            stack.enter_context(unread(server, port, asked(server, port, task)))

        def settled() -> bool:
            waiting = sum(map(len, list(readers._waiting.values())))
            answering = round(held.held_bytes / PLOT_BYTES)
            return not readers._running.total() and waiting + answering == GREEDY

        until(settled, "the server reads what was asked for")
        most = share + bounds.READS_OF_A_USER * (PLOT_BYTES + (1 << 20))
        assert share <= held.held_bytes <= most
        with server.store.writing() as tx:
            other = identity.add_user(tx, int(time.time() * 1000), name=f"other at {port}")
            key, secret = identity.add_credentials(tx, other)
        token = server.client.get(f"{server.api}/auth.login", auth=(key, secret)).json()["data"]["token"]
        answer = server.client.post(
            f"{server.api}/events.get_task_plots",
            json={"task": task},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.json()["data"]["total"] == PLOT_BYTES >> 20
        assert held.held_bytes <= most
    until(lambda: held.held_bytes == 0, "what gone clients did not take is given back")
    assert server.call("events.get_task_plots", task=task)["total"] == PLOT_BYTES >> 20


@pytest.mark.promise("unread-bounded", on="API, pages")
def test_a_page_that_nobody_reads_is_counted(server: Running, task: str) -> None:
    """What a page sends in one piece is held to the same count, for its visitor."""
    line = "x" * (64 << 10)
    for first in range(0, 480, 16):
        server.call_lines(
            "events.add_batch",
            [
                {"type": "log", "task": task, "level": "INFO", "msg": line, "timestamp": 1000 + first + n}
                for n in range(16)
            ],
        )
    request = f"GET /tasks/{task}/log HTTP/1.1\r\nHost: x\r\nCookie: {COOKIE}={server.token}\r\n\r\n".encode()
    held = server.server.edge.unsent
    with unread(server, "web", request):
        until(lambda: held.held_bytes > 0, "the page is on its way")
        assert set(held._of) == {server.user_id}
    until(lambda: held.held_bytes == 0, "the page is given back")


@pytest.mark.promise("slow-clients-go")
def test_a_client_that_takes_byte_by_byte_is_let_go(
    server: Running, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a real socket, with a short grace: its answer is given back."""
    monkeypatch.setattr(unsent, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(connections, "LOOK_EVERY_SECONDS", 0.05)
    held = server.server.edge.unsent
    with unread(server, "api", asked(server, "api", task)) as connection:
        until(lambda: held.held_bytes > 0, "the answer is on its way")

        def let_go() -> bool:
            with contextlib.suppress(OSError):
                connection.recv(1)
            return held.held_bytes == 0

        until(let_go, "the client is let go")


def test_a_large_answer_arrives_as_it_is(server: Running, task: str) -> None:
    """Part by part, by a client that reads slowly."""
    with unread(server, "api", asked(server, "api", task)) as connection:
        head, _, first = connection.recv(1 << 20).partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        body = bytearray(first)
        while len(body) < length and (part := connection.recv(1 << 20)):
            body += part
        open_now = [one for some in list(connections.BoundedProtocol.held.values()) for one in list(some)]
        assert max(one._pace.written_bytes for one in open_now) >= PLOT_BYTES
    assert len(body) == length
    assert len(json.loads(body)["data"]["plots"]) == PLOT_BYTES >> 20
