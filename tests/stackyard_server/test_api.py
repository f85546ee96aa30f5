"""The API port as a client sees it: paths, versions, bodies, envelopes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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


def test_an_unknown_endpoint_is_404_in_the_envelope(server: Running) -> None:
    meta = server.ask("v2.34/tasks.nope")["meta"]
    assert (meta["result_code"], meta["result_subcode"]) == (404, 0)
