"""Signing in and out: by the form, by the server's own cookie; forged, foreign and too many attempts."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from stackyard.clearml.connection import Connection
from stackyard.web.signing import own_page
from tests.stackyard.comparing.lab import Lab
from tests.stackyard.web.conftest import NAME, PASSWORD, WebApp, sign_in, web_app
from tests.stackyard_server.running import Running

COOKIE = "clearml_token_basic"


def test_by_name_and_password_and_the_cookie_is_kept_from_scripts_and_other_sites(app: WebApp) -> None:
    with app.visitor() as visitor:
        answer = sign_in(visitor, NAME, PASSWORD)
        (cookie,) = answer.headers.get_list("set-cookie")
        name, *rest = cookie.split("; ")
        assert name.startswith(f"stackyard_web_{app.address.rpartition(':')[2]}=")
        assert {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"} == set(rest)
        page = visitor.get("/")
        assert "Ada L." in page.text


def test_by_access_key_and_secret(app: WebApp, server: Running) -> None:
    with app.visitor() as visitor:
        assert sign_in(visitor, server.access_key, server.secret_key).status_code == 303
        assert "tester" in visitor.get("/").text


def test_by_the_cookie_of_the_servers_own_pages(app: WebApp, server: Running) -> None:
    with app.visitor(cookies={COOKIE: server.token}) as visitor:
        page = visitor.get("/reports")
        assert page.status_code == 200
        assert "tester" in page.text


def test_where_browsers_use_tls_the_cookie_goes_by_tls_only(addresses: Connection) -> None:
    with web_app(addresses, url="https://lab.example") as app:
        with httpx.Client(base_url=f"http://127.0.0.1:{app.listening.names.port}") as visitor:
            answer = sign_in(visitor, NAME, PASSWORD, Origin="https://lab.example", Host="lab.example")
        assert "Secure" in answer.headers["set-cookie"].split("; ")


@pytest.mark.parametrize(
    "cookies",
    [
        {},
        {COOKIE: "forged"},
        {COOKIE: "x" * 9_000},
        {COOKIE: "a b"},
        {"session": "x"},
    ],
)
def test_nobody_is_asked_to_sign_in_and_led_on(app: WebApp, cookies: dict[str, str]) -> None:
    port = app.address.rpartition(":")[2]
    with app.visitor(cookies={**cookies, f"stackyard_web_{port}": "A" * 43}) as visitor:
        answer = visitor.get("/compare?project=a%20%22%3E%3Cb")
    assert answer.status_code == 401
    assert '<input type="hidden" name="next" value="/compare?project=a%20%22%3E%3Cb">' in answer.text
    assert "set-cookie" not in answer.headers


def test_the_page_that_was_asked_for_is_kept_as_it_was_asked_for(app: WebApp) -> None:
    page = "/reports/show/0/quick%20start/%3Cb%3E?x=%C3%A9"
    with app.visitor() as visitor:
        assert f'name="next" value="{page}"' in visitor.get(page).text
        form = {"name": NAME, "secret": PASSWORD, "next": page}
        answer = visitor.post("/login", data=form, headers={"Origin": app.address})
        assert (answer.status_code, answer.headers["location"]) == (303, page)


def test_wrong_ones_are_refused_and_after_many_an_address_waits(addresses: Connection) -> None:
    with web_app(addresses) as app, app.visitor() as visitor:
        answer = sign_in(visitor, NAME, "wrong password")
        assert answer.status_code == 401
        assert "Wrong name or password, or wrong key or secret." in answer.text
        assert "wrong password" not in answer.text.replace("Wrong name or password", "")
        for _ in range(12):
            answer = sign_in(visitor, "nobody-" + "x" * 20, "wrong")
        assert answer.status_code == 429
        assert "attempts" in answer.text
        assert len(app.listening.site.people.sessions) == 0


@pytest.mark.parametrize("given", [("", ""), ("ada", ""), ("a:b", "c"), ("x" * 300, "y"), ("ada", "y" * 300)])
def test_what_cannot_be_a_name_is_not_shown_to_the_server(app: WebApp, given: tuple[str, str]) -> None:
    with app.visitor() as visitor:
        assert sign_in(visitor, *given).status_code == 400


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:1"])
@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_a_form_of_another_site_is_refused(app: WebApp, origin: str | None, path: str) -> None:
    with app.signed_in() as visitor:
        headers = {} if origin is None else {"Origin": origin}
        answer = visitor.post(path, data={"name": NAME, "secret": PASSWORD}, headers=headers)
        assert (answer.status_code, answer.text) == (403, "This form was not sent from one of our pages.\n")
        assert visitor.get("/reports").status_code == 200, "the session goes on"


def test_signing_out_ends_the_session_here_and_on_the_server(app: WebApp, server: Running) -> None:
    with app.signed_in() as visitor:
        kept = dict(visitor.cookies)
        (token,) = {token for token, _ in app.listening.site.people.tokens(dict(visitor.cookies))}
        assert visitor.post("/logout", headers={"Origin": app.address}).status_code == 303
    with app.visitor(cookies=kept) as visitor:
        assert visitor.get("/reports").status_code == 401
    told = server.client.post(
        f"{server.api}/users.get_current_user", headers={"Authorization": f"Bearer {token}"}, json={}
    )
    assert told.status_code == 401


def test_a_session_that_the_server_ended_leads_back_to_signing_in_with_the_page_kept(
    app: WebApp, server: Running, sweep: Lab
) -> None:
    with app.signed_in() as visitor:
        page = f"/compare?project={sweep.project}"
        assert visitor.get(page).status_code == 200
        ((token, _),) = app.listening.site.people.tokens(dict(visitor.cookies))
        header = {"Authorization": f"Bearer {token}"}
        assert server.client.post(f"{server.api}/auth.logout", headers=header, json={}).status_code == 200
        answer = visitor.get(page)
        assert answer.status_code == 401
        assert "Your session has ended: sign in again." in answer.text
        assert f'name="next" value="{page}"' in answer.text


def test_tokens_and_secrets_are_on_no_page_and_in_no_log(
    app: WebApp, sweep: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    with app.signed_in() as visitor, caplog.at_level(0):
        ((token, _),) = app.listening.site.people.tokens(dict(visitor.cookies))
        pages = [
            visitor.get(path) for path in ("/", "/reports", f"/compare?project={sweep.project}&group-by=name")
        ]
    for text in [*(page.text for page in pages), *(str(page.headers) for page in pages), caplog.text]:
        assert token not in text
        assert PASSWORD not in text


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("/compare?project=a", "/compare?project=a"),
        (None, "/"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("/logout", "/"),
        ("/" + "x" * 20_000, "/"),
    ],
)
def test_one_is_led_on_to_our_own_pages_only(text: str | None, page: str) -> None:
    assert own_page(text) == page


def test_the_file_with_our_key_gives_addresses_and_no_key(tmp_path: Path, server: Running) -> None:
    from stackyard.clearml import connection
    from stackyard.settings import Settings

    file = tmp_path / "clearml.conf"
    file.write_text(
        f'api {{ api_server: "{server.api}", web_server: "{server.web}", files_server: "{server.files}"\n'
        'credentials { access_key: "KEY", secret_key: "SECRET" } }'
    )
    found = connection.addresses(Settings(tmp_path), file)
    assert (found.api, found.web, found.files) == (server.api, server.web, server.files)
    assert (found.access_key, found.secret_key, found.token) == ("", "", None)
