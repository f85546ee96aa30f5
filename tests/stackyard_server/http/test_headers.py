"""What the answers of the API carry beside what every port's do (``test_edge``)."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from stackyard_server.http.headers import complete

from ..running import Running, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as client:
        yield client


@pytest.mark.parametrize(
    "path", ["debug.ping", "tasks.nope", "users.get_all", "", "v2/x", "%00", "server.info"]
)
def test_every_answer_says_what_it_is_and_is_kept_by_nobody(
    server: Running, browser: httpx.Client, path: str
) -> None:
    """ASVS 3.4.3 (CSP), 3.4.4 (nosniff), 3.4.6 (frame-ancestors), 14.3.2 (no-store), 13.4.6 (no versions)."""
    answer = browser.get(f"{server.api}/{path}")
    assert answer.headers["server"] == "clearml"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["content-type"].startswith("application/json")


def test_an_answer_may_say_otherwise_and_says_it_once() -> None:
    always = [(b"cache-control", b"no-store"), (b"server", b"clearml")]
    own = [(b"cache-control", b"max-age=300"), (b"content-type", b"text/css")]
    assert complete(own, always) == [(b"server", b"clearml"), *own]
