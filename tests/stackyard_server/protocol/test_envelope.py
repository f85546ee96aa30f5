"""What a request may look like: depth, numbers, paths and queries of any form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from stackyard_server.protocol.bounds import MOST_DEPTH

from ..http.lines import dial, said
from ..running import Running, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


def post(server: Running, name: str, body: bytes, content_type: str = "application/json") -> Any:
    headers = {"Content-Type": content_type, "Authorization": f"Bearer {server.token}"}
    answer = server.client.post(f"{server.api}/{name}", content=body, headers=headers)
    meta = answer.json()["meta"]
    assert meta["result_code"] == answer.status_code
    return answer.status_code, meta["result_subcode"], meta["result_msg"]


DEEP: dict[str, bytes] = {
    "lists": b'{"preferences":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "objects": b'{"preferences":' + b'{"a":' * 900 + b"1" + b"}" * 901,
    "just too deep": b'{"preferences":' + b'{"a":' * MOST_DEPTH + b"1" + b"}" * MOST_DEPTH + b"}",
    "not closed": b'{"preferences":' + b"[" * 100_000,
}


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.promise("nesting-bounded")
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


#: What curl says of any body.
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("body", [b"[]", b"null", b"[1]", b"[{}]", b'"x"', b'""', b"0", b"false", b" null\n"])
@pytest.mark.promise("listed-differences")
def test_a_body_that_is_no_object_is_refused(server: Running, body: bytes) -> None:
    """By a list of what would all be shown, and by a call that takes nothing."""
    for name in ("projects.get_all", "debug.ping", "v2.34/tasks.get_all_ex"):
        for content_type in ("application/json", "text/plain", FORM):
            assert post(server, name, body, content_type)[:2] == (400, 12), (name, body)


def test_an_empty_body_is_an_object_without_fields(server: Running) -> None:
    for content_type in ("application/json", FORM):
        for body in (b"", b"{}"):
            assert post(server, "projects.get_all", body, content_type)[0] == 200


def test_what_curl_calls_a_form_is_read_as_the_json_it_is(server: Running) -> None:
    for body in (b'{"name": "a=b", "page": "x"}', b"page=x"):
        assert post(server, "projects.get_all", body, FORM)[:2] == (400, 12)
    assert post(server, "projects.get_all", b"no pair", FORM)[:2] == (400, 0)


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
