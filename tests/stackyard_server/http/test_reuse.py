"""Clients that fork find no open connection in their pool; everybody else's stays open."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from stackyard_server import security_log
from stackyard_server.http.reuse import may_fork

from ..running import Running, running_server
from .lines import PORTS, dial, head, said, status
from .test_edge import PATHS, signed_in

#: How the SDK calls the API, and how it loads files up and down.
SDK = [("User-Agent", "python-requests/2.32.3"), ("X-ClearML-Client", "clearml-2.1.12, clearml-server-2.4")]
SDK_FILES = [("User-Agent", "python-requests/2.32.3")]
AGENT = [("User-Agent", "python-requests/2.32.3"), ("X-ClearML-Agent", "api-3.0.3")]
WEBAPP = [("User-Agent", "Mozilla/5.0"), ("X-Clearml-Client", "Webapp-2.5.0")]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        headers = {"Authorization": f"Bearer {running.token}"}
        running.client.post(f"{running.files}/", files={"x": b"content"}, headers=headers)
        yield running


def closes(answer: bytes) -> bool:
    return b"connection: close" in answer.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(
    ("client", "closed"), [(SDK, True), (SDK_FILES, True), (AGENT, False), (WEBAPP, False), ([], False)]
)
def test_a_connection_ends_with_its_answer_where_the_client_may_fork(
    client: list[tuple[str, str]], closed: bool, port: str, server: Running
) -> None:
    asked = head("GET", port, PATHS[port], [*signed_in(server, port).items(), *client])
    with dial(server, port) as connection:
        connection.sendall(asked)
        answer = said(connection)
        assert status(answer) == 200
        assert closes(answer) == closed
        if closed:
            assert connection.recv(1) == b"", "the server closed it"
        else:
            connection.sendall(asked)
            assert status(said(connection)) == 200, "the next request goes on the same connection"


@pytest.mark.parametrize("port", PORTS)
def test_a_refusal_reaches_a_client_that_still_sends(port: str, server: Running) -> None:
    """What comes to a closed connection resets it, and the answer would be lost on its way."""
    length = 4 << 20
    headers = [*SDK, ("Content-Length", str(length)), ("Content-Type", "application/json")]
    with dial(server, port) as connection:
        connection.sendall(head("POST", port, PATHS[port], headers))
        answer = said(connection)
        assert status(answer) in (401, 403, 405, 415)
        assert not closes(answer)
        connection.sendall(b"x" * length)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b"", "once all has come, the server closes"


def test_a_request_that_comes_with_the_end_of_a_refused_one_is_answered_if_it_is_done(
    server: Running,
) -> None:
    """The refusal comes before the body, and the client goes on: done without an answer it would be done twice."""
    token = {"Authorization": f"Bearer {server.token}"}
    server.client.post(f"{server.files}/", files={"twice": b"content"}, headers=token)
    sent = [*token.items(), *SDK_FILES]
    with dial(server, "files") as connection:
        connection.sendall(head("PUT", "files", "/twice", [*sent, ("Content-Length", "1")]))
        answer = said(connection)
        assert (status(answer), closes(answer)) == (405, False)
        connection.sendall(b"x" + head("DELETE", "files", "/twice", sent))
        answer = said(connection)
        assert (status(answer), closes(answer)) == (200, True)
        assert connection.recv(1) == b"", "the server closed it"


def test_two_requests_in_each_other_are_noted_while_an_answer_is_under_way(
    server: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What parent and child write to one connection: headers, another whole request, then the first one's body."""
    monkeypatch.setattr(security_log, "_counts", {})
    token = [("Authorization", f"Bearer {server.token}"), ("Content-Type", "application/json"), *SDK]
    first = head("POST", "api", "/events.add_batch", [*token, ("Content-Length", "400")])
    second = head("GET", "api", "/debug.ping", token)
    with dial(server) as connection:
        connection.sendall(second + first + second + b"nonsense\r\n" * 100)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65536):
                pass
    assert [r for r in caplog.records if r.getMessage().startswith("malformed_request ")]


@pytest.mark.parametrize(
    ("sent", "forks"),
    [
        ([(b"x-trains-client", b"trains-0.16")], True),
        ([(b"x-clearml-client", b"webapp-1.0")], False),
        ([(b"user-agent", b"python-requests/2.9"), (b"x-trains-agent", b"1")], False),
        ([(b"user-agent", b"curl/8")], False),
    ],
)
def test_who_may_fork(sent: list[tuple[bytes, bytes]], forks: bool) -> None:
    assert may_fork(sent) == forks
