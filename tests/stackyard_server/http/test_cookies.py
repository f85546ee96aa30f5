"""The session's cookie has the same rules wherever it is set, taken away or read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.cookies import Morsel, SimpleCookie
from pathlib import Path

import httpx
import pytest

from stackyard_server import identity
from stackyard_server.http import cookies
from stackyard_server.settings import ServerSettings
from tests.waiting import PATIENCE_SECONDS

from ..running import Running, running_server

LOGIN, PASSWORD = "ada", "correct horse battery"
TLS = "https://stackyard.example.org"
#: How the cookie is set or taken away: port, path, whether somebody signs in.
WAYS = [
    ("api", "/auth.login", True),
    ("web", "/api/auth.login", True),
    ("web", "/login", True),
    ("api", "/auth.logout", False),
    ("web", "/api/auth.logout", False),
    ("api", "/login.logout", False),
    ("web", "/logout", False),
]


@pytest.fixture(scope="module", params=["plain", "behind a TLS proxy"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    settings = {} if request.param == "plain" else {"web_url": TLS}
    with running_server(**settings) as running:
        with running.store.writing() as tx:
            identity.add_user(tx, int(time.time() * 1000), name="Ada", login=LOGIN, password=PASSWORD)
        yield running


def cookie_of(server: Running, port: str, path: str, signs_in: bool) -> Morsel[str]:
    """The cookie as a way in or out sets it."""
    pair = (server.access_key, server.secret_key)
    with httpx.Client(timeout=PATIENCE_SECONDS) as browser:
        headers = {"Sec-Fetch-Site": "same-origin"}
        if not signs_in:
            token = browser.get(f"{server.api}/auth.login", auth=pair).json()["data"]["token"]
            browser.cookies.clear()
            headers["Cookie"] = f"{identity.COOKIE}={token}"
        url = f"{getattr(server, port)}{path}"
        if path in ("/login", "/logout"):
            answer = browser.post(url, data={"login": LOGIN, "password": PASSWORD}, headers=headers)
        else:
            answer = browser.post(url, json={}, headers=headers, auth=pair if signs_in else None)
        assert answer.status_code in (200, 303), answer.text
        assert "domain" not in answer.headers["set-cookie"].lower()
        return SimpleCookie(answer.headers["set-cookie"])[identity.COOKIE]


@pytest.mark.parametrize(("port", "path", "signs_in"), WAYS)
@pytest.mark.promise("cookie-rules", on="API, pages")
def test_the_cookie_has_the_same_rules_on_every_way(
    server: Running, port: str, path: str, signs_in: bool
) -> None:
    """ASVS 3.3.1 to 3.3.4; S2: Secure wherever browsers reach the server by TLS."""
    cookie = cookie_of(server, port, path, signs_in)
    assert bool(cookie.value) == signs_in
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"]) == ("Strict", "/")
    assert cookie["max-age"] == ("86400" if signs_in else "0")
    assert bool(cookie["secure"]) == server.server.settings.behind_tls


@pytest.mark.parametrize(
    ("sent", "token"),
    [
        ("", None),
        ("other=1", None),
        (f"{identity.COOKIE}=a.b", "a.b"),
        (f'other=1;{identity.COOKIE}="a.b"', "a.b"),
        (f"{identity.COOKIE}=first; {identity.COOKIE}=second", "first"),
        (f"x{identity.COOKIE}=a", None),
    ],
)
def test_the_token_is_read_out_of_the_cookies(sent: str, token: str | None) -> None:
    assert cookies.token_in({"cookie": sent}) == token


@pytest.mark.parametrize("path", ["/queues", "/files/x", "/api/users.get_current_user"])
@pytest.mark.promise("cookie-rules", on="API, files, pages")
def test_every_port_reads_the_same_cookie(server: Running, path: str) -> None:
    """Of two cookies of the name the first counts, on pages as on API and files."""
    for first, second, good in ((server.token, "x", True), ("x", server.token, False)):
        headers = {"Cookie": f"{identity.COOKIE}={first}; {identity.COOKIE}={second}"}
        answer = httpx.get(f"{server.web}{path}", headers=headers)
        assert answer.status_code == (
            (404 if "files" in path else 200) if good else (303 if path == "/queues" else 401)
        )


def test_a_certificate_of_our_own_makes_the_cookie_secure(tmp_path: Path) -> None:
    """ASVS 3.3.1."""
    own = ServerSettings(tmp_path, tls_certificate=tmp_path / "cert.pem")
    assert cookies.keep("a.b", own)[1].endswith("; Secure")
    assert "Secure" not in cookies.keep("a.b", ServerSettings(tmp_path))[1]
