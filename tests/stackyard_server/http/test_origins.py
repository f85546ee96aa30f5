"""Browsers: cookies, cross-site requests, CORS, and the headers of every answer."""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from stackyard_server import identity
from stackyard_server.settings import ServerSettings

from .running import Running, running_server

PARTNER = "https://lab.example.org"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server(cors_origins=(PARTNER,)) as running:
        yield running


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    """Sends what a test tells it to, and remembers nothing."""
    with httpx.Client(timeout=30) as client:
        yield client


def by_cookie(server: Running, **headers: str) -> dict[str, str]:
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"Cookie": f"other=1; {identity.COOKIE}={server.token}", **shown}


def host(server: Running) -> str:
    return server.api.removeprefix("http://")


def test_the_cookie_is_bound_to_our_own_pages(server: Running, browser: httpx.Client) -> None:
    """ASVS 3.3.1 to 3.3.4; clearml-server: SameSite=Lax, secure: false, max_age: 99999999999 (E2)."""
    answer = browser.post(f"{server.api}/auth.login", auth=(server.access_key, server.secret_key))
    cookie = SimpleCookie(answer.headers["set-cookie"])[identity.COOKIE]
    assert cookie.value == answer.json()["data"]["token"]
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"], cookie["max-age"]) == ("Strict", "/", "86400")
    assert not cookie["secure"]  # this server speaks no TLS
    assert "domain" not in answer.headers["set-cookie"].lower()


def test_the_cookie_is_secure_behind_tls(browser: httpx.Client) -> None:
    """ASVS 3.3.1: by our own certificate or a proxy's."""
    with running_server(web_url="https://stackyard.example.org") as server:
        answer = browser.post(f"{server.api}/auth.login", auth=(server.access_key, server.secret_key))
    assert SimpleCookie(answer.headers["set-cookie"])[identity.COOKIE]["secure"]


def test_a_certificate_of_our_own_makes_the_cookie_secure(tmp_path: Path) -> None:
    """ASVS 3.3.1."""
    assert ServerSettings(tmp_path, tls_certificate=tmp_path / "cert.pem").behind_tls
    assert not ServerSettings(tmp_path).behind_tls


def test_logging_out_takes_the_cookie_away(server: Running, browser: httpx.Client) -> None:
    """ASVS 7.4.1."""
    token = browser.post(f"{server.api}/auth.login", auth=(server.access_key, server.secret_key)).json()[
        "data"
    ]["token"]
    browser.cookies.clear()
    cookie = {"Cookie": f"{identity.COOKIE}={token}"}
    answer = browser.post(f"{server.api}/auth.logout", headers={**cookie, "Origin": server.api}, json={})
    taken = SimpleCookie(answer.headers["set-cookie"])[identity.COOKIE]
    assert (taken.value, taken["max-age"]) == ("", "0")
    after = browser.post(f"{server.api}/users.get_current_user", headers=cookie, json={})
    assert after.status_code == 401


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
def test_cors_is_off_for_whoever_is_not_named(server: Running, browser: httpx.Client, origin: str) -> None:
    """ASVS 3.4.2; clearml-server echoes any origin with credentials (E2)."""
    ask = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for port in (server.api, server.files, server.web):
        assert cors_of(browser.options(f"{port}/tasks.get_all", headers=ask)) == {}, port
        assert cors_of(browser.get(f"{port}/debug.ping", headers={"Origin": origin})) == {}, port


def test_cors_names_an_origin_the_operator_named(server: Running, browser: httpx.Client) -> None:
    ask = {"Origin": PARTNER, "Access-Control-Request-Method": "POST"}
    allowed = browser.options(f"{server.api}/tasks.get_all", headers=ask)
    assert allowed.status_code == 200
    assert cors_of(allowed)["access-control-allow-origin"] == PARTNER
    assert "*" not in str(cors_of(allowed))
    answer = browser.get(f"{server.api}/debug.ping", headers={"Origin": PARTNER})
    assert cors_of(answer)["access-control-allow-origin"] == PARTNER
    assert answer.headers["vary"] == "Origin"


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
