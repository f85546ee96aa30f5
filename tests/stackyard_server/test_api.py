"""The API port as a client sees it: paths, versions, bodies, envelopes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stackyard_server import endpoints
from stackyard_server.protocol import bounds

from .running import Running, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


def test_ping_answers_in_the_envelope(server: Running) -> None:
    envelope = server.ask("v2.23/debug.ping")
    assert envelope["meta"]["endpoint"] == {
        "name": "debug.ping",
        "requested_version": "2.23",
        "actual_version": "1.0",
    }
    assert envelope["data"] == {"msg": "ClearML server"}


@pytest.mark.promise("methods-and-envelope")
def test_an_unknown_endpoint_is_404_in_the_envelope(server: Running) -> None:
    meta = server.ask("v2.34/tasks.nope")["meta"]
    assert (meta["result_code"], meta["result_subcode"]) == (404, 0)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.promise("methods-and-envelope")
def test_every_method_that_clients_send_means_the_same(server: Running, method: str) -> None:
    answer = server.client.request(method, f"{server.api}/debug.ping", json={})
    assert answer.json()["data"] == {"msg": "ClearML server"}


@pytest.mark.parametrize("path", ["debug.ping", "tasks.create", "metrics", "tasks.nope"])
@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PATCH", "PURGE"])
@pytest.mark.promise("methods-and-envelope")
def test_a_method_that_no_client_sends_is_refused(server: Running, method: str, path: str) -> None:
    """RFC 9110, 15.5.6."""
    answer = server.client.request(
        method, f"{server.api}/{path}", headers={"Authorization": f"Bearer {server.token}"}
    )
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST, PUT, DELETE, OPTIONS"
    assert answer.json()["meta"]["result_msg"] == f"Method not allowed: method={method}"


@pytest.mark.promise("lines-bounded")
def test_slow_reads_wait_in_a_line_of_bounded_length(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most so many readers at a time; whoever comes beyond the line is told to come again."""
    slow = next(
        n for n, entries in endpoints.load().items() for e in entries if e.slow and e.role == "readonly"
    )
    monkeypatch.setattr(bounds, "READS", 0)
    monkeypatch.setattr(bounds, "WAITING", 0)
    assert server.ask(slow)["meta"]["result_code"] == 429


@pytest.mark.promise("no-inner-words", on="API")
def test_no_answer_names_files_or_lines_of_the_server(server: Running) -> None:
    """ASVS 13.4.2 and 16.5.1: no debug mode, no stack traces."""
    for name, body in (
        ("tasks.nope", {}),
        ("users.get_by_id", {"user": 1}),
        ("users.update", {"user": "x" * 500}),
    ):
        envelope = server.ask(name, **body)
        assert envelope["meta"]["error_stack"] is None
        assert "Traceback" not in str(envelope)
        assert ".py" not in str(envelope)
