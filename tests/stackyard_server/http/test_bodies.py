"""How much of a body is taken, and of whom, on every port."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from stackyard_server import identity
from stackyard_server.protocol import bounds

from ..running import Running, running_server
from .lines import chunks, dial, head, said, status

FORM = [("Content-Type", "application/x-www-form-urlencoded")]
JSON = [("Content-Type", "application/json")]
PARTS = [("Content-Type", "multipart/form-data; boundary=b")]
CHUNKED = [("Transfer-Encoding", "chunked")]
FIELD = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="x"; filename="x"\r\n\r\n'


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server(max_body_bytes=1_000_000, max_upload_bytes=1_000_000) as running:
        running.client.cookies.clear()
        yield running


@pytest.fixture(scope="module")
def reader(server: Running) -> str:
    """The token of somebody who may only read."""
    with server.store.writing() as tx:
        user = identity.add_user(tx, 0, name="reader", role="readonly")
        pair = identity.add_credentials(tx, user)
    token: str = server.client.get(f"{server.api}/auth.login", auth=pair).json()["data"]["token"]
    server.client.cookies.clear()
    return token


def signed_in(port: str, token: str) -> list[tuple[str, str]]:
    """What lets in: a header, or the cookie of our own pages."""
    if port != "web":
        return [("Authorization", f"Bearer {token}")]
    return [("Cookie", f"{identity.COOKIE}={token}"), ("Sec-Fetch-Site", "same-origin")]


def answer_before_the_end(server: Running, port: str, request: bytes, body: bytes) -> int:
    """The status of the answer to a request whose body never ends."""
    with dial(server, port) as connection:
        connection.sendall(request)
        with contextlib.suppress(OSError):  # it hung up on what it would not take
            for part in chunks(body):
                connection.sendall(part)
        return status(said(connection))


#: (port, path, headers) of what writes.
WRITES = [
    ("api", "/queues.create", JSON),
    ("web/api", "/queues.create", JSON),
    ("files", "/", PARTS),
    ("files", "/delete_many", JSON),
    ("web/files", "/", PARTS),
    ("web/files", "/delete_many", JSON),
    ("web", "/queues", PARTS),
    ("web", f"/tasks/{'0' * 32}/clone", FORM),
]


@pytest.mark.parametrize(("port", "path", "headers"), WRITES)
@pytest.mark.promise("role-before-body", on="API, files, pages")
def test_whoever_may_not_is_refused_before_the_body_came(
    server: Running, reader: str, port: str, path: str, headers: list[tuple[str, str]]
) -> None:
    """The role and the sign-in are looked at first: nothing is taken of those who are turned away."""
    request = head("POST", port, path, [*headers, *CHUNKED, *signed_in(port, reader)])
    assert answer_before_the_end(server, port, request, b"x") == 403
    stranger = head("POST", port, path, [*headers, *CHUNKED, ("Sec-Fetch-Site", "same-origin")])
    assert answer_before_the_end(server, port, stranger, b"x") == (303 if port == "web" else 401)


@pytest.mark.parametrize(
    ("port", "path", "headers"), [*WRITES, ("web", "/login", FORM), ("web", "/logout", FORM)]
)
@pytest.mark.promise("role-before-body", on="API, files, pages")
def test_other_sites_are_refused_before_the_body_came(
    server: Running, port: str, path: str, headers: list[tuple[str, str]]
) -> None:
    cookie = [("Cookie", f"{identity.COOKIE}={server.token}"), ("Sec-Fetch-Site", "cross-site")]
    request = head("POST", port, path, [*headers, *CHUNKED, *cookie])
    assert answer_before_the_end(server, port, request, b"x") == 403


#: (port, path, headers, how a body begins, what is taken at most) of what takes a body.
TAKEN = [
    ("api", "/users.set_preferences", JSON, b'{"preferences":{"a":"', 1_000_000),
    ("web/api", "/users.set_preferences", JSON, b'{"preferences":{"a":"', 1_000_000),
    ("files", "/", PARTS, FILE, 1_000_000),
    ("files", "/delete_many", JSON, b'{"files":["', 4 * 1024 * 1024),
    ("web/files", "/", PARTS, FILE, 1_000_000),
    ("web/files", "/delete_many", JSON, b'{"files":["', 4 * 1024 * 1024),
    ("web", "/queues", PARTS, FIELD, bounds.FORM.bytes),
    ("web", "/queues", FORM, b"name=", bounds.FORM.bytes),
]


@pytest.mark.parametrize(("port", "path", "headers", "begin", "most"), TAKEN)
@pytest.mark.promise("sizes-bounded", on="API, files, pages")
def test_a_body_is_cut_off_while_it_comes(
    server: Running, port: str, path: str, headers: list[tuple[str, str]], begin: bytes, most: int
) -> None:
    """Nothing is announced and nothing ends: the answer comes all the same."""
    request = head("POST", port, path, [*headers, *CHUNKED, *signed_in(port, server.token)])
    assert answer_before_the_end(server, port, request, begin + b"x" * most) == 413


@pytest.mark.parametrize(("port", "path", "headers", "begin", "most"), TAKEN)
@pytest.mark.promise("sizes-bounded", on="API, files, pages")
def test_a_body_that_is_announced_too_large_is_refused_at_once(
    server: Running, port: str, path: str, headers: list[tuple[str, str]], begin: bytes, most: int
) -> None:
    announced = [("Content-Length", str(most + 1))]
    request = head("POST", port, path, [*headers, *announced, *signed_in(port, server.token)])
    with dial(server, port) as connection:
        connection.sendall(request)
        assert status(said(connection)) == 413


@pytest.mark.parametrize(
    ("port", "path", "headers"),
    [("api", "/debug.ping", JSON), ("web", "/login", FORM), ("web", "/login", PARTS)],
)
@pytest.mark.promise("sizes-bounded", on="API")
def test_strangers_may_say_little(
    server: Running, port: str, path: str, headers: list[tuple[str, str]]
) -> None:
    ours = [("Sec-Fetch-Site", "same-origin")]
    request = head("POST", port, path, [*headers, *CHUNKED, *ours])
    assert answer_before_the_end(server, port, request, FIELD + b"x" * bounds.STRANGER.bytes) == 413


def test_many_fields_are_one_body(server: Running) -> None:
    """200 fields of 3 MB each, each of them within the bound of one field."""
    one = FIELD + b"x" * 3_000_000 + b"\r\n"
    request = head("POST", "web", "/queues", [*PARTS, *CHUNKED, *signed_in("web", server.token)])
    assert answer_before_the_end(server, "web", request, one * 2) == 413


def test_a_form_that_is_none_is_refused_in_words(server: Running) -> None:
    headers = {"Cookie": f"{identity.COOKIE}={server.token}", "Sec-Fetch-Site": "same-origin"}
    for kind, body in (
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"--c\r\n\r\nx"),
        ("multipart/form-data; boundary=b", FILE + b"1\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b; charset=nonsense", FIELD + b"\xff\r\n--b--\r\n"),
        ("application/x-www-form-urlencoded", b"&".join(b"a=1" for _ in range(6000))),
        ("text/plain", b"name=x"),
    ):
        sent = {**headers, "Content-Type": kind}
        answer = server.client.post(f"{server.web}/queues", content=body, headers=sent)
        assert answer.status_code in (303, 400), (kind, answer.text)
    assert server.call("debug.ping")


def test_whoever_is_known_may_say_more(server: Running) -> None:
    body = b'{"x":"' + b"x" * 900_000 + b'"}'
    headers = {"Authorization": f"Bearer {server.token}"}
    assert server.client.post(f"{server.api}/debug.ping", content=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("port", "path", "headers"),
    [("api", "/users.set_preferences", JSON), ("files", "/delete_many", JSON), ("web", "/queues", FORM)],
)
@pytest.mark.promise("sizes-bounded")
def test_bodies_being_received_are_bounded_together(
    server: Running, monkeypatch: pytest.MonkeyPatch, port: str, path: str, headers: list[tuple[str, str]]
) -> None:
    """What is held is counted over all ports."""
    monkeypatch.setattr(server.server.edge.bodies, "held_bytes", bounds.HELD_BYTES)
    request = head("POST", port, path, [*headers, *CHUNKED, *signed_in(port, server.token)])
    assert answer_before_the_end(server, port, request, b"x" * 500_000) == 429
    assert server.call("debug.ping")


@pytest.mark.promise("cut-off-changes-nothing")
def test_a_request_that_is_cut_off_changes_nothing(server: Running) -> None:
    """Half a batch is no batch."""
    body = b'{"preferences":{"half":1}}\n'
    with dial(server) as connection:
        head = f"POST /users.set_preferences HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
        connection.sendall(head.encode() + b"Content-Length: 500000\r\n\r\n" + body)
    assert server.call("debug.ping")
    assert "half" not in server.call("users.get_preferences")["preferences"]
    assert server.server.edge.bodies.held_bytes == 0
