"""Tokens and sessions: what is accepted, for how long, and how at once it ends, on the API and the files port."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jwt
import pytest

from stackyard_server import identity
from stackyard_server.store import Transaction
from stackyard_server.upkeep import watchdog

from ..running import Running, running_server
from .console import Hands, console

DAY = 24 * 3600
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def hands() -> Hands:
    return Hands()


@pytest.fixture(scope="module")
def server(hands: Hands) -> Iterator[Running]:
    with running_server(clock=hands) as running:
        yield running


def whoami(server: Running, token: str) -> tuple[int, int, str]:
    answer = server.client.get(
        f"{server.api}/users.get_current_user", headers={"Authorization": f"Bearer {token}"}
    )
    meta = answer.json()["meta"]
    assert answer.status_code == meta["result_code"]
    return meta["result_code"], meta["result_subcode"], meta["result_msg"]


def login(server: Running, name: str, secret: str, **body: Any) -> httpx.Response:
    return server.client.post(f"{server.api}/auth.login", auth=(name, secret), json=body)


def token_of(answer: httpx.Response) -> str:
    token: str = answer.json()["data"]["token"]
    return token


def on_files(server: Running, token: str) -> int:
    """The status of an upload: it needs to be signed in."""
    files = {f"/p/{claims_of(token)['session_id']}.txt": ("x.txt", b"x")}
    headers = {"Authorization": f"Bearer {token}"}
    return server.client.post(f"{server.files}/", files=files, headers=headers).status_code


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def key_of(server: Running) -> str:
    with server.store.reading() as tx:
        key: str = tx.value("SELECT value FROM meta WHERE key='token_key'")
    return key


def test_a_token_carries_the_claims_clients_read(server: Running) -> None:
    claims = claims_of(server.token)
    assert [claims[name] for name in ("auth_type", "feature_set", "api_version")] == [
        "Bearer",
        "basic",
        "2.34",
    ]
    assert claims["identity"]["user"] == server.user_id
    assert jwt.get_unverified_header(server.token) == {"alg": "HS256", "typ": "JWT"}


@pytest.mark.promise("tokens-live-a-day")
def test_life_is_a_day_and_no_more_whatever_is_asked(server: Running, hands: Hands) -> None:
    """clearml-server default of 30 days, a year at most (E2): here 24 hours at most."""
    for asked, given in ((None, DAY), (2, 2), (31_536_000, DAY)):
        body = {} if asked is None else {"expiration_sec": asked}
        claims = claims_of(token_of(login(server, server.access_key, server.secret_key, **body)))
        assert claims["exp"] - claims["iat"] == given
    for asked in (31_536_001, 999_999_999, 0, -1):
        meta = login(server, server.access_key, server.secret_key, expiration_sec=asked).json()["meta"]
        assert (meta["result_code"], meta["result_subcode"]) == (400, 12), meta
    token = token_of(login(server, server.access_key, server.secret_key, expiration_sec=60))
    assert whoami(server, token)[0] == 200
    hands.now += 60
    assert whoami(server, token) == (
        401,
        30,
        "Invalid token (invalid jwt token): reason=Signature has expired",
    )
    assert on_files(server, token) == 401


@pytest.mark.promise("tokens-live-a-day")
def test_a_session_cannot_be_carried_on_for_ever(server: Running, hands: Hands) -> None:
    """ASVS 7.3: a token exchanged for the next keeps its session, and that ends after 30 days."""
    token = token_of(login(server, server.access_key, server.secret_key))
    session, began = claims_of(token)["session_id"], hands.now
    try:
        while hands.now < began + 40 * DAY:
            hands.now += DAY - 1
            answer = server.client.post(
                f"{server.api}/auth.login", headers={"Authorization": f"Bearer {token}"}
            )
            if answer.status_code == 401:
                break
            token = token_of(answer)
            assert claims_of(token)["session_id"] == session
        assert 29 * DAY < hands.now - began < 32 * DAY
    finally:
        server.token = token_of(login(server, server.access_key, server.secret_key))


def signed(claims: dict[str, Any], key: str, header: dict[str, Any], algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers=header)


def changed(name: str, value: Any) -> Callable[[dict[str, Any], str], str]:
    """A token whose claim is another (None: missing), signed with the server's own key."""

    def make(claims: dict[str, Any], key: str) -> str:
        claims = {**claims, name: value}
        if value is None:
            del claims[name]
        return signed(claims, key, {})

    return make


def part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def unsigned(claims: dict[str, Any], key: str) -> str:
    return part(b'{"alg":"none","typ":"JWT"}') + "." + part(json.dumps(claims).encode()) + "."


def signed_with_nothing(claims: dict[str, Any]) -> str:
    head = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps(claims).encode())
    return head + "." + part(hmac.digest(b"", head.encode(), "sha256"))


FORGERIES: dict[str, Callable[[dict[str, Any], str], str]] = {
    "alg none": unsigned,
    "another algorithm with the same key": lambda claims, key: signed(claims, key, {}, "HS512"),
    "another key": lambda claims, key: signed(claims, "k" * 64, {}),
    "an empty key": lambda claims, key: signed_with_nothing(claims),
    "another typ": lambda claims, key: signed(claims, key, {"typ": "scroll"}),
    "a critical header": lambda claims, key: signed(claims, key, {"crit": ["x"], "x": 1}),
    "another kind of token": changed("auth_type", "Scroll"),
    "no kind": changed("auth_type", None),
    "no exp": changed("exp", None),
    "exp as text": changed("exp", "9999999999"),
    "exp not whole": changed("exp", 9999999999.5),
    "exp true": changed("exp", True),
    "no iat": changed("iat", None),
    "iat far ahead": changed("iat", 9_999_999_999),
    "a life of years": changed("exp", 1_795_000_000 + 400 * DAY),
    "no session": changed("session_id", None),
    "no generation": changed("generation", None),
    "an earlier generation": changed("generation", -1),
    "a user who is not": changed("identity", {"user": "0" * 32}),
    "a user of another type": changed("identity", {"user": {"$ne": None}}),
    "no identity": changed("identity", None),
    "a key that is not": changed("key", "X" * 30),
    "the signature cut": lambda claims, key: signed(claims, key, {})[:-4],
    "nothing": lambda claims, key: "-",
    "dots": lambda claims, key: "..",
    "very long": lambda claims, key: "a" * 20_000,
    "not ascii": lambda claims, key: "\xfc.\xfc.\xfc",
}


@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.promise("tokens-forged")
def test_a_forged_token_is_refused(server: Running, name: str) -> None:
    """ASVS 9.1.1 and 9.1.2 (MAC, algorithm allow-list, no "none"), 9.2.1 to 9.2.3 (exp, type, whose)."""
    good = token_of(login(server, server.access_key, server.secret_key))
    assert whoami(server, good)[0] == 200
    forged = FORGERIES[name](claims_of(good), key_of(server))
    header = f"Bearer {forged}".encode("latin-1")
    answer = server.client.get(f"{server.api}/users.get_current_user", headers={b"Authorization": header})
    meta = answer.json()["meta"]
    assert (meta["result_code"], meta["result_subcode"]) == (401, 30), meta


@pytest.mark.promise("no-default-secret")
def test_the_token_key_is_made_on_first_start_and_differs_between_servers(server: Running) -> None:
    """E2 and ASVS 13.2.3: no default secret. A token of one server is worth nothing on another."""
    with running_server() as other:
        assert len(key_of(other)) >= 64
        assert key_of(other) != key_of(server)
        assert whoami(other, server.token)[:2] == (401, 30)


def logged_out(server: Running, token: str, user: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert server.client.post(f"{server.api}/auth.logout", headers=headers).status_code == 200


def logged_out_by_the_web_app(server: Running, token: str, user: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert server.client.post(f"{server.api}/login.logout", headers=headers).status_code == 200


def key_revoked(server: Running, token: str, user: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    server.client.post(f"{server.api}/auth.revoke_credentials", json={"access_key": key}, headers=headers)


def by_console(change: Callable[[Transaction, str], None]) -> Callable[[Running, str, str, str], None]:
    def act(server: Running, token: str, user: str, key: str) -> None:
        with console(server) as tx:
            change(tx, user)

    return act


ENDINGS: dict[str, Callable[[Running, str, str, str], None]] = {
    "auth.logout": logged_out,
    "login.logout": logged_out_by_the_web_app,
    "its access key is revoked": key_revoked,
    "the user is disabled": by_console(identity.disable),
    "the user is removed": by_console(identity.remove),
    "the role changed": by_console(lambda tx, user: identity.set_role(tx, user, "readonly")),
    "the password changed": by_console(lambda tx, user: identity.set_password(tx, user, "another one, long")),
    "an administrator ended the sessions": by_console(identity.end_sessions),
}


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.promise("session-ends-at-once", on="API, files, pages")
def test_a_session_ends_at_once_on_every_port(server: Running, hands: Hands, name: str) -> None:
    """ASVS 7.4.1 to 7.4.5 and 8.3.2; clearml-server keeps a revoked token good for 12 h on its file server (E2)."""
    with console(server) as tx:
        user = identity.add_user(tx, 0, name="leaver", login=f"leaver {name}", password=PASSWORD)
        key, secret = identity.add_credentials(tx, user)
    token = token_of(login(server, key, secret))
    renewed = token_of(
        server.client.post(f"{server.api}/auth.login", headers={"Authorization": f"Bearer {token}"})
    )
    for good in (token, renewed):
        assert whoami(server, good)[0] == 200
        assert on_files(server, good) == 200
        assert below_the_pages(server, good) == {"page": 200, "/api": 200, "/files": 404}
    ENDINGS[name](server, token, user, key)
    for ended in (token, renewed):
        assert whoami(server, ended)[:2] == (401, 30)
        assert on_files(server, ended) == 401
        assert below_the_pages(server, ended) == {"page": 303, "/api": 401, "/files": 401}


def below_the_pages(server: Running, token: str) -> dict[str, int]:
    """What the web port answers, to the cookie and to the token: a page, the API and the file server."""
    cookie = {"Cookie": f"{identity.COOKIE}={token}"}
    bearer = {"Authorization": f"Bearer {token}"}
    return {
        "page": server.client.get(f"{server.web}/queues", headers=cookie).status_code,
        "/api": server.client.get(f"{server.web}/api/users.get_current_user", headers=bearer).status_code,
        "/files": server.client.get(f"{server.web}/files/none", headers=bearer).status_code,
    }


@pytest.mark.promise("session-ends-at-once", on="API")
def test_a_disabled_user_gets_in_by_nothing_and_again_once_enabled(server: Running) -> None:
    """ASVS 7.4.2: neither key nor password of a disabled user opens anything; old sessions do not come back."""
    with console(server) as tx:
        user = identity.add_user(tx, 0, name="on leave", login="on leave", password=PASSWORD)
        key, secret = identity.add_credentials(tx, user)
    token = token_of(login(server, key, secret))
    with console(server) as tx:
        identity.disable(tx, user)
    assert login(server, key, secret).status_code == 401
    assert login(server, "on leave", PASSWORD).status_code == 401
    with console(server) as tx:
        identity.enable(tx, user)
    assert login(server, key, secret).status_code == 200
    assert login(server, "on leave", PASSWORD).status_code == 200
    assert whoami(server, token)[:2] == (401, 30)


@pytest.mark.promise("session-ends-at-once", on="API, files")
def test_an_ended_session_stays_ended_though_the_clock_was_ahead_for_a_moment(
    server: Running, hands: Hands
) -> None:
    """What a clock calls expired is good again once it is set back."""
    before = hands.now
    token = token_of(login(server, server.access_key, server.secret_key))
    logged_out(server, token, "", "")
    try:
        hands.now = before + 30 * DAY
        other = token_of(login(server, server.access_key, server.secret_key))
        logged_out(server, other, "", "")
        watchdog.prune(server.server.services)
    finally:
        hands.now = before
    server.server.services.authenticator.forget()
    for ended in (token, other):
        assert whoami(server, ended)[:2] == (401, 30)
        assert on_files(server, ended) == 401


@pytest.mark.promise("clock-jumps", on="API")
def test_a_clock_that_jumps_breaks_no_token(server: Running, hands: Hands) -> None:
    """Set back, tokens stay good; set ahead, they expire and the client signs in again."""
    before = hands.now
    try:
        token = token_of(login(server, server.access_key, server.secret_key))
        hands.now = before - 3600
        assert whoami(server, token)[0] == 200
        assert login(server, server.access_key, server.secret_key).status_code == 200
        hands.now = before + 10 * DAY
        assert whoami(server, token)[:2] == (401, 30)
        assert login(server, server.access_key, server.secret_key).status_code == 200
    finally:
        hands.now = before


def test_the_header_wins_over_the_cookie(server: Running) -> None:
    """The SDK returns the cookie beside its header; a bad header is not made good by a cookie."""
    good = token_of(login(server, server.access_key, server.secret_key))
    cookie = {"Cookie": f"{identity.COOKIE}={good}", "Sec-Fetch-Site": "same-origin"}
    url = f"{server.api}/users.get_current_user"
    with httpx.Client() as client:
        assert client.get(url, headers=cookie).status_code == 200
        assert client.get(url, headers={**cookie, "Authorization": "Bearer x.y.z"}).status_code == 401
        assert (
            client.get(
                url, headers={"Cookie": f"{identity.COOKIE}=rubbish", "Authorization": f"Bearer {good}"}
            ).status_code
            == 200
        )


def test_the_recorded_401s(server: Running) -> None:
    """The subcodes clients act on: 20 nothing, 10 scheme, 22 wrong, 30 token."""
    url = f"{server.api}/users.get_current_user"
    cases = {
        None: 20,
        "Digest abc": 10,
        "Basic ***": 22,
        "Basic bm9rZXk6bm9zZWNyZXQ=": 22,
        "Bearer a.b.c": 30,
    }
    for header, subcode in cases.items():
        with httpx.Client() as client:
            answer = client.get(url, headers={"Authorization": header} if header else {})
        assert (answer.status_code, answer.json()["meta"]["result_subcode"]) == (401, subcode)
