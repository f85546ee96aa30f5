"""Which pages' requests are believed, on every port: cross-site requests and CORS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from stackyard_server import identity
from stackyard_server.http.origins import Origins, Sender
from stackyard_server.settings import ServerSettings
from tests.waiting import PATIENCE_SECONDS

from ..running import Running, running_server

PARTNER = "https://lab.example.org"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server(cors_origins=(PARTNER,)) as running:
        yield running


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    """Sends what a test tells it to, and remembers nothing."""
    with httpx.Client(timeout=PATIENCE_SECONDS, verify=False) as client:
        yield client


def by_cookie(server: Running, **headers: str) -> dict[str, str]:
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"Cookie": f"other=1; {identity.COOKIE}={server.token}", **shown}


WRITE, READ = "users.set_preferences", "users.get_preferences"


JSON, FORM, TEXT = "application/json", "application/x-www-form-urlencoded", "text/plain"


#: (endpoint, method, headers, body) a page elsewhere can make a browser send.
FORGED: dict[str, tuple[str, str, dict[str, str], bytes]] = {
    "a form": (WRITE, "POST", {"Origin": "http://evil.example", "Content-Type": FORM}, b"preferences.a=1"),
    "a form of text/plain": (
        WRITE,
        "POST",
        {"Origin": "http://evil.example", "Content-Type": TEXT},
        b'{"preferences":{}}',
    ),
    "a form of a sandboxed page": (
        WRITE,
        "POST",
        {"Origin": "null", "Content-Type": TEXT},
        b'{"preferences":{}}',
    ),
    "a form without an origin": (WRITE, "POST", {"Content-Type": TEXT}, b'{"preferences":{}}'),
    "a multipart form": (WRITE, "POST", {"Content-Type": "multipart/form-data; boundary=x"}, b"--x--"),
    "JSON by script": (
        WRITE,
        "POST",
        {"Origin": "http://evil.example", "Content-Type": JSON},
        b'{"preferences":{}}',
    ),
    "JSON by script, said by the browser": (
        WRITE,
        "POST",
        {"Sec-Fetch-Site": "cross-site", "Content-Type": JSON},
        b"{}",
    ),
    "a sister port": (WRITE, "POST", {"Sec-Fetch-Site": "same-site", "Content-Type": JSON}, b"{}"),
    "another port's origin": (WRITE, "POST", {"Origin": "http://127.0.0.1:1", "Content-Type": JSON}, b"{}"),
    "an image": (WRITE, "GET", {}, b""),
    "an image, said by the browser": (READ, "GET", {"Sec-Fetch-Site": "cross-site"}, b""),
    "a link somebody clicked": (WRITE, "GET", {"Sec-Fetch-Site": "none"}, b""),
    "a link elsewhere": (READ, "GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, b""),
    "no content type": (READ, "POST", {"Origin": "http://evil.example"}, b"{}"),
    "a host that only begins alike": (
        WRITE,
        "POST",
        {"Origin": "http://127.0.0.1.evil.example", "Content-Type": JSON},
        b"{}",
    ),
    "an origin that is none": (WRITE, "POST", {"Origin": "http://[", "Content-Type": JSON}, b"{}"),
}


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.promise("own-pages-only", on="API")
def test_other_sites_cannot_use_the_cookie(server: Running, browser: httpx.Client, name: str) -> None:
    """CVE-2024-24593 (CSRF in the api server); ASVS 3.5.1 to 3.5.3."""
    endpoint, method, headers, body = FORGED[name]
    answer = browser.request(
        method, f"{server.api}/{endpoint}", headers=by_cookie(server, **headers), content=body
    )
    assert answer.status_code == 403, answer.text
    assert answer.json()["meta"]["result_code"] == 403
    if endpoint == WRITE:
        bearer = {"Authorization": f"Bearer {server.token}"}
        allowed = browser.request(
            method, f"{server.api}/{endpoint}", headers={**headers, **bearer}, content=body
        )
        assert allowed.status_code != 403, "a client that sends Authorization chose to call"


@pytest.mark.promise("own-pages-only", on="API")
def test_our_own_pages_can_use_the_cookie(server: Running, browser: httpx.Client) -> None:
    """As the official web app calls: from the same origin, with JSON."""
    ours = {"Origin": server.api, "Sec-Fetch-Site": "same-origin", "Content-Type": JSON}
    for headers in (
        ours,
        {"Origin": server.api, "Content-Type": JSON},
        {"Content-Type": f"{JSON}; charset=utf-8"},
    ):
        answer = browser.post(
            f"{server.api}/{WRITE}", headers=by_cookie(server, **headers), content=b'{"preferences":{"a":1}}'
        )
        assert answer.status_code == 200, answer.text
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert browser.get(f"{server.api}/{READ}", headers=by_cookie(server, **headers)).status_code == 200


def test_our_own_pages_are_those_of_the_address_users_know(browser: httpx.Client) -> None:
    """Behind a proxy the Host header is not what the browser's address bar shows."""
    with running_server(web_url="https://stackyard.example.org") as server:
        headers = by_cookie(server, Origin="https://stackyard.example.org", Content_Type=JSON)
        assert browser.post(f"{server.api}/{READ}", headers=headers, content=b"{}").status_code == 200


def test_the_sdk_sends_get_with_a_body_and_the_cookie_beside_its_header(
    server: Running, browser: httpx.Client
) -> None:
    """What unmodified clients do must go on."""
    headers = {**by_cookie(server), "Authorization": f"Bearer {server.token}"}
    answer = browser.request(
        "GET", f"{server.api}/{WRITE}", headers=headers, content=b'{"preferences":{"b":1},"method":"get"}'
    )
    assert answer.status_code == 200


def cors_of(answer: httpx.Response) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k.startswith("access-control-")}


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://lab.example.org.evil.example", "*"]
)
@pytest.mark.promise("cors-off", on="API, files, pages")
def test_cors_is_off_for_whoever_is_not_named(server: Running, browser: httpx.Client, origin: str) -> None:
    """ASVS 3.4.2; clearml-server echoes any origin with credentials (E2)."""
    ask = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for port in (server.api, server.files, server.web):
        assert cors_of(browser.options(f"{port}/tasks.get_all", headers=ask)) == {}, port
        assert cors_of(browser.get(f"{port}/debug.ping", headers={"Origin": origin})) == {}, port


@pytest.mark.promise("cors-off", on="API, files, pages")
def test_cors_names_an_origin_the_operator_named(server: Running, browser: httpx.Client) -> None:
    ask = {"Origin": PARTNER, "Access-Control-Request-Method": "POST"}
    for url in (server.api, f"{server.web}/api", server.files, f"{server.web}/files"):
        allowed = browser.options(f"{url}/tasks.get_all", headers=ask)
        assert allowed.status_code == 200
        assert cors_of(allowed)["access-control-allow-origin"] == PARTNER
        assert "*" not in str(cors_of(allowed))
        answer = browser.get(f"{url}/debug.ping", headers={"Origin": PARTNER})
        assert cors_of(answer)["access-control-allow-origin"] == PARTNER
        assert answer.headers["vary"] == "Origin"
    assert cors_of(browser.options(f"{server.web}/tasks", headers=ask)) == {}


#: Origin, Sec-Fetch-Site, who that is.
SENDERS: list[tuple[str | None, str | None, Sender]] = [
    (None, None, "unsaid"),
    (None, "same-origin", "ours"),
    (None, "none", "person"),
    (None, "same-site", "other"),
    (None, "cross-site", "other"),
    ("http://host:1", None, "ours"),
    ("http://HOST:1", "same-origin", "ours"),
    ("https://known.example", None, "ours"),
    ("http://host:1", "none", "person"),
    ("http://host:1", "same-site", "other"),
    ("http://host:2", None, "other"),
    ("http://host:2", "same-origin", "other"),
    (PARTNER, None, "named"),
    (PARTNER, "same-site", "named"),
    (PARTNER, "cross-site", "other"),
    ("null", None, "other"),
    ("http://[", None, "other"),
    ("", None, "other"),
]


@pytest.mark.parametrize(("origin", "site", "sender"), SENDERS)
def test_a_browser_says_who_sent_a_request(
    tmp_path: Path, origin: str | None, site: str | None, sender: Sender
) -> None:
    origins = Origins(ServerSettings(tmp_path, web_url="https://known.example", cors_origins=(PARTNER,)))
    said = {"host": "host:1", "origin": origin, "sec-fetch-site": site}
    assert origins.sender({name: value for name, value in said.items() if value is not None}) == sender


#: What a page of another site makes a browser say.
ELSEWHERE = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": PARTNER, "Sec-Fetch-Site": "cross-site"},
]


@pytest.mark.parametrize("headers", ELSEWHERE)
@pytest.mark.promise("own-pages-only", on="pages")
def test_other_sites_cannot_send_a_form(
    server: Running, browser: httpx.Client, headers: dict[str, str]
) -> None:
    """CVE-2024-24593 (CSRF) on the pages."""
    for path in ("/queues", "/login", "/logout", "/account"):
        answer = browser.post(
            f"{server.web}{path}", data={"name": "stolen"}, headers=by_cookie(server, **headers)
        )
        assert answer.status_code == 403
    assert server.call("queues.get_all", name="stolen")["queues"] == []


def test_a_form_says_where_it_comes_from(server: Running, browser: httpx.Client) -> None:
    """Every browser says of a form where it comes from; what says nothing is none of our pages."""
    for headers, status in (
        ({}, 403),
        ({"Origin": PARTNER}, 403),
        ({"Origin": server.web}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
    ):
        data = {"name": f"queue {len(headers)} {status} {'Origin' in headers}"}
        answer = browser.post(f"{server.web}/queues", data=data, headers=by_cookie(server, **headers))
        assert answer.status_code == status, headers


def test_forms_are_taken_at_the_address_users_know(browser: httpx.Client) -> None:
    """Behind a proxy the Host header is not what the browser's address bar shows."""
    with running_server(web_url="https://stackyard.example.org") as server:
        headers = by_cookie(server, Origin="https://stackyard.example.org")
        answer = browser.post(f"{server.web}/queues", data={"name": "mine"}, headers=headers)
        assert answer.status_code == 303


@pytest.mark.parametrize("port", ["files", "web"])
@pytest.mark.parametrize("headers", ELSEWHERE)
@pytest.mark.promise("own-pages-only", on="files, pages")
def test_other_sites_cannot_change_a_file(
    server: Running, browser: httpx.Client, headers: dict[str, str], port: str
) -> None:
    url = f"{getattr(server, port)}{'' if port == 'files' else '/files'}"
    bearer = {"Authorization": f"Bearer {server.token}"}
    put = {"files": {"csrf.txt": ("csrf.txt", b"1")}}
    # A token in the header was put there on purpose.
    assert browser.post(f"{url}/", **put, headers={**bearer, **headers}).status_code == 200
    cookie = by_cookie(server, **headers)
    assert browser.post(f"{url}/", **put, headers=cookie).status_code == 403
    assert browser.delete(f"{url}/csrf.txt", headers=cookie).status_code == 403
    listed = {"url": f"{url}/delete_many", "json": {"files": ["csrf.txt"]}}
    assert browser.post(**listed, headers=cookie).status_code == 403
    assert browser.get(f"{url}/csrf.txt", headers=bearer).content == b"1"


def test_our_own_pages_and_clients_can_change_a_file(server: Running, browser: httpx.Client) -> None:
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": server.files}, {"Origin": PARTNER}):
        cookie = by_cookie(server, **headers)
        put = {"files": {"mine.txt": ("mine.txt", b"1")}}
        assert browser.post(f"{server.files}/", **put, headers=cookie).status_code == 200, headers
        assert browser.delete(f"{server.files}/mine.txt", headers=cookie).status_code == 200
