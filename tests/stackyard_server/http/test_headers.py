"""What the answers of the API carry beside what every port's do (``test_edge``)."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from stackyard_server.api import COMPRESS_FROM
from stackyard_server.http.headers import complete, takes_gzip

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


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("gzip, deflate", True),
        ("deflate, GZIP ; Q=0.001", True),
        ("br;q=1.0, x-gzip;q=1.000", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, deflate", False),
        ("gzip;q=much", False),
        ("identity", False),
        ("notgzip", False),
        ("*", False),
        ("", False),
    ],
)
def test_gzip_is_sent_to_whoever_takes_it(said: str, taken: bool) -> None:
    """RFC 9110, 12.5.3: a weight of 0 is a no."""
    assert takes_gzip(said) == taken


def test_an_answer_is_compressed_only_for_whoever_takes_it(server: Running) -> None:
    task = server.call("tasks.create", name="x" * COMPRESS_FROM, type="testing")["id"]
    for said, coded in (("gzip", "gzip"), ("gzip;q=0", None)):
        headers = {"Authorization": f"Bearer {server.token}", "Accept-Encoding": said}
        answer = server.client.get(f"{server.api}/tasks.get_by_id?task={task}", headers=headers)
        assert answer.json()["data"]["task"]["id"] == task
        assert answer.headers.get("content-encoding") == coded
        assert answer.headers["vary"] == "Accept-Encoding"
