"""What every answer carries, and what is refused before any page is asked: hosts, methods, lengths."""

from __future__ import annotations

import socket

import httpx
import pytest

from tests.stackyard.web.conftest import WebApp

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


@pytest.mark.parametrize(
    "path", ["/", "/login", "/nothing", "/compare", "/static/style.css", "/static/nothing.css"]
)
def test_every_answer_has_the_policy_and_no_script(app: WebApp, path: str) -> None:
    with app.visitor() as visitor:
        answer = visitor.get(path)
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert "<script" not in answer.text
    assert " style=" not in answer.text
    if not path.startswith("/static/style"):
        assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", ""])
def test_a_name_that_is_not_ours_is_refused(app: WebApp, host: str) -> None:
    with app.visitor() as visitor:
        answer = visitor.get("/login", headers={"Host": host.format(port=app.address.rpartition(":")[2])})
    assert answer.status_code == 421
    assert answer.text.startswith("This server has another name")


def raw(app: WebApp, text: str) -> bytes:
    """The answer to a request as it is written."""
    host, _, port = app.address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 60) as connection:
        connection.sendall(text.replace("HOST", f"{host}:{port}").replace("\n", "\r\n").encode())
        found = b""
        while piece := connection.recv(65536):
            found += piece
    return found


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("GET /login HTTP/1.1\nHost: HOST\nHost: evil.example\nConnection: close\n\n", 400),
        ("GET /login HTTP/1.1\nConnection: close\n\n", 400),
        (
            "POST /login HTTP/1.1\nHost: HOST\nOrigin: http://HOST\nConnection: close\nContent-Length: 99999\n\n",
            413,
        ),
        (
            "POST /login HTTP/1.1\nHost: HOST\nOrigin: http://HOST\nConnection: close\n"
            "Transfer-Encoding: chunked\n\n5\nhello\n0\n\n",
            411,
        ),
        (
            "POST /login HTTP/1.1\nHost: HOST\nOrigin: http://HOST\nOrigin: http://evil.example\n"
            "Connection: close\nContent-Length: 0\n\n",
            400,
        ),
        ("DELETE /login HTTP/1.1\nHost: HOST\nConnection: close\n\n", 405),
        ("GET /" + "x" * 3_000 + " HTTP/1.1\nHost: HOST\nConnection: close\n\n", 414),
        ("GET /?" + "x" * 13_000 + " HTTP/1.1\nHost: HOST\nConnection: close\n\n", 414),
        ("rubbish\n\n", 400),
    ],
)
def test_odd_requests_are_refused(app: WebApp, text: str, status: int) -> None:
    assert int(raw(app, text).split()[1]) == status


def test_who_is_not_there_is_told_so_on_a_page(app: WebApp) -> None:
    with app.signed_in() as visitor:
        answer = visitor.get("/nothing")
        assert (answer.status_code, "There is no such page." in answer.text) == (404, True)
        assert visitor.post("/compare", headers={"Origin": app.address}, data={}).status_code == 405
        assert visitor.head("/reports").status_code == 200


def test_a_stranger_sees_no_page_but_the_form(app: WebApp) -> None:
    with httpx.Client(base_url=app.address) as visitor:
        for path in (
            "/",
            "/compare",
            "/compare/report.csv?project=a&group-by=b",
            "/reports",
            "/reports/files/0/a/report.md",
        ):
            answer = visitor.get(path)
            assert answer.status_code == 401
            assert "Sign in" in answer.text
