"""Passwords and access keys: how they are kept, how often one may be wrong, and what of it is written down."""

from __future__ import annotations

import concurrent.futures
import logging
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from stackyard_server import identity, security_log
from stackyard_server.identity import authenticator, passwords
from stackyard_server.identity.throttle import Throttle, network_of
from stackyard_server.protocol.error_table import ApiError
from stackyard_server.store import Store
from tests.waiting import PATIENCE_SECONDS

from ..running import Running, running_server
from .console import Hands, console

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def nothing_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repetitions are counted for the whole process; each test starts anew."""
    monkeypatch.setattr(security_log, "_counts", {})


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def server(hands: Hands) -> Iterator[Running]:
    with running_server(clock=hands) as running:
        yield running


def add_ada(server: Running) -> str:
    with console(server) as tx:
        return identity.add_user(tx, 0, name="Ada Lab", login="ada", password=PASSWORD)


def login(server: Running, name: str, secret: str) -> httpx.Response:
    with httpx.Client(timeout=PATIENCE_SECONDS) as client:
        return client.post(f"{server.api}/auth.login", auth=(name, secret))


@pytest.mark.promise("no-default-secret")
def test_a_new_folder_has_no_user_no_key_and_a_key_of_its_own(tmp_path: Any) -> None:
    """ASVS 13.2.3 and E2: nothing is the same in two installations, and nobody can sign in to a new one."""
    store = Store(tmp_path / "data")
    with store.writing() as tx:
        assert identity.found(tx, 0)
        assert tx.value("SELECT count(*) FROM user") == 0
        assert tx.value("SELECT count(*) FROM credential") == 0
    store.close()


@pytest.mark.promise("passwords-argon2id")
def test_only_an_argon2id_hash_of_a_password_is_kept(server: Running) -> None:
    """CVE-2024-24595 (passwords in plain text): argon2id with 19 MiB and t=2, or nothing."""
    add_ada(server)
    assert login(server, "ada", PASSWORD).status_code == 200
    with server.store.reading() as tx:
        kept = tx.value("SELECT password FROM user WHERE login='ada'")
        digest = tx.value("SELECT secret_digest FROM credential WHERE access_key=?", (server.access_key,))
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert digest != server.secret_key
    server.store.fold()
    for path in server.store.folder.iterdir():
        if path.is_file():
            content = path.read_bytes()
            assert PASSWORD.encode() not in content, path
            assert server.secret_key.encode() not in content, path


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
@pytest.mark.promise("passwords-argon2id")
def test_a_password_too_short_or_too_long_is_refused(server: Running, password: str) -> None:
    """ASVS 6.2.1 and 6.2.9: at least 8 characters, and no hashing of megabytes."""
    with pytest.raises(ApiError) as refused, console(server) as tx:
        identity.add_user(tx, 0, name="Bob", login="bob", password=password)
    assert (refused.value.code, refused.value.subcode) == (400, 800)
    assert "x" * 20 not in refused.value.message
    add_ada(server)
    assert login(server, "ada", password).status_code == 401


@pytest.mark.promise("wrong-password-alike")
def test_a_wrong_password_and_an_unknown_login_answer_alike(server: Running) -> None:
    """ASVS 6.3.8: nobody learns which logins exist."""
    add_ada(server)
    answers = [login(server, "ada", "not it, not it"), login(server, "nobody", PASSWORD)]
    messages = {(a.status_code, a.json()["meta"]["result_msg"]) for a in answers}
    assert messages == {(401, "Unauthorized (invalid credentials) (failed to locate provided credentials)")}


@pytest.mark.promise("hashing-off-the-loop")
def test_passwords_are_hashed_off_the_event_loop(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a hash takes its time, others are answered."""
    add_ada(server)
    entered, release = threading.Event(), threading.Event()
    real = passwords.fits

    def slow(stored: str | None, password: str) -> bool:
        entered.set()
        assert release.wait(PATIENCE_SECONDS)
        return real(stored, password)

    monkeypatch.setattr(passwords, "fits", slow)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        signing_in = pool.submit(login, server, "ada", PASSWORD)
        assert entered.wait(PATIENCE_SECONDS)
        assert server.call("debug.ping") == {"msg": "ClearML server"}
        assert login(server, server.access_key, server.secret_key).status_code == 200
        assert not signing_in.done()
        release.set()
        assert signing_in.result().status_code == 200


@pytest.mark.promise("guessing-slowed", on="API, pages")
def test_guessing_at_a_login_is_slowed_down(server: Running, hands: Hands) -> None:
    """ASVS 6.3.1: after some wrong passwords 429 with Retry-After, even for the right one; then it goes on."""
    add_ada(server)
    statuses = [
        login(server, "ada", f"wrong guess {i}").status_code for i in range(authenticator.LOGIN_LIMIT + 3)
    ]
    assert statuses == [401] * authenticator.LOGIN_LIMIT + [429] * 3
    refused = login(server, "ada", PASSWORD)
    assert refused.status_code == 429
    wait = int(refused.headers["Retry-After"])
    assert 0 < wait <= authenticator.LOGIN_LEAK_SECONDS
    form = {"data": {"login": "ada", "password": PASSWORD}, "headers": {"Sec-Fetch-Site": "same-origin"}}
    page = server.client.post(f"{server.web}/login", **form)
    assert (page.status_code, int(page.headers["Retry-After"])) == (429, wait)
    assert server.call("debug.ping")
    hands.now += wait + 1
    assert login(server, "ada", PASSWORD).status_code == 200


@pytest.mark.promise("guessing-slowed", on="API")
def test_spraying_logins_from_one_address_is_slowed_down(server: Running) -> None:
    """ASVS 6.3.1: many logins, one password each, from one address."""
    statuses = [
        login(server, f"user{i}", "Winter2026").status_code for i in range(authenticator.ADDRESS_LIMIT + 3)
    ]
    assert statuses == [401] * authenticator.ADDRESS_LIMIT + [429] * 3


@pytest.mark.promise("guessing-slowed")
def test_a_user_who_signed_in_from_an_address_is_not_locked_out_by_others(
    hands: Hands, tmp_path: Any
) -> None:
    """The limit per login is no weapon against its owner."""
    store = Store(tmp_path / "data")
    with store.writing() as tx:
        identity.found(tx, 0)
        identity.add_user(tx, 0, name="Ada", login="ada", password=PASSWORD)
    door = identity.Authenticator(store, hands)
    assert door.sign_in("ada", PASSWORD, "10.0.0.1").name == "Ada"
    for i in range(authenticator.LOGIN_LIMIT):
        with pytest.raises(ApiError):
            door.sign_in("ada", "wrong guess", f"10.9.0.{i}")
    with pytest.raises(ApiError) as refused:
        door.sign_in("ada", PASSWORD, "10.9.1.1")
    assert refused.value.code == 429
    assert door.sign_in("ada", PASSWORD, "10.0.0.1").name == "Ada"
    for i in range(authenticator.ADDRESS_LIMIT + 5):  # of anybody beside her
        with pytest.raises(ApiError):
            door.sign_in(f"somebody {i}", "wrong guess", "10.0.0.1")
    with pytest.raises(ApiError) as refused:
        door.sign_in("bob", PASSWORD, "10.0.0.1")
    assert refused.value.code == 429
    assert door.sign_in("ada", PASSWORD, "10.0.0.1").name == "Ada"
    codes = []
    for _ in range(authenticator.ADDRESS_LIMIT + 2):  # her own login is no free guess there
        with pytest.raises(ApiError) as refused:
            door.sign_in("ada", "wrong guess", "10.0.0.1")
        codes.append(refused.value.code)
    assert codes == [401] * authenticator.ADDRESS_LIMIT + [429] * 2
    door.close()
    store.close()


@pytest.mark.promise("guessing-slowed", on="API")
def test_right_keys_are_never_held_back(server: Running) -> None:
    """An agent with a stale key must not lock out its neighbours on the same address, nor users with passwords."""
    add_ada(server)
    stale = [login(server, "A" * 30, "stale").status_code for _ in range(authenticator.ADDRESS_LIMIT + 5)]
    assert stale[0] == 401
    assert stale[-1] == 429
    assert {login(server, server.access_key, server.secret_key).status_code for _ in range(5)} == {200}
    assert login(server, "ada", PASSWORD).status_code == 200


def test_what_the_throttle_remembers_is_bounded(hands: Hands) -> None:
    throttle = Throttle(hands, limit=3, leak_seconds=10, remembered=100)
    for i in range(10_000):
        throttle.count(str(i))
    assert len(throttle) == 100


def test_a_clock_set_back_keeps_nobody_out(hands: Hands) -> None:
    throttle = Throttle(hands, limit=2, leak_seconds=10)
    throttle.count("a")
    throttle.count("a")
    hands.now -= 10_000_000
    assert throttle.wait_seconds("a") <= 20


def test_an_ipv6_host_counts_as_its_network() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:10.0.0.1") == network_of("10.0.0.1")
    assert network_of("unix") == "unix"


@pytest.mark.promise("last-administrator")
def test_the_last_administrator_stays(server: Running) -> None:
    with console(server) as tx:
        only = identity.add_user(tx, 0, name="Root", role="admin")
    for change in (identity.remove, identity.disable, lambda tx, user: identity.set_role(tx, user, "user")):
        with pytest.raises(ApiError), console(server) as tx:
            change(tx, only)
    with console(server) as tx:
        too = identity.add_user(tx, 0, name="Root too", role="admin")
    with pytest.raises(ApiError), console(server) as tx:
        identity.remove(tx, only)  # the other one has neither password nor key
    with console(server) as tx:
        identity.add_credentials(tx, too)
        identity.remove(tx, only)


@pytest.mark.parametrize("login_name", ["a:b", "A" * 30, "a\nb", "", " ", "x" * 201, "a\x00b"])
def test_a_login_that_could_be_mistaken_is_refused(server: Running, login_name: str) -> None:
    with pytest.raises(ApiError) as refused, console(server) as tx:
        identity.add_user(tx, 0, name="Bob", login=login_name, password=PASSWORD)
    assert (refused.value.code, refused.value.subcode) == (400, 800)


@pytest.mark.promise("security-log")
def test_the_security_log_names_events_and_no_secret(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """ASVS 16.3.1 to 16.3.3: failed and successful sign-in, refused tokens and roles, changes of users."""
    caplog.set_level(logging.INFO, "stackyard_server.security")
    user = add_ada(server)
    login(server, "ada", PASSWORD)
    login(server, "ada", "wrong guess one")
    login(server, "B" * 30, "not-this-secret")
    forged = server.token[:-8] + "AAAAAAAA"
    server.client.get(f"{server.api}/users.get_all", headers={"Authorization": f"Bearer {forged}"})
    server.ask("server.config")
    with console(server) as tx:
        identity.disable(tx, user)
    lines = [r.getMessage() for r in caplog.records if r.name == "stackyard_server.security"]
    events = {line.split(" ")[0] for line in lines}
    assert events >= {"user_added", "login", "login_failed", "token_refused", "refused", "user_disabled"}
    text = "\n".join(lines)
    for secret in (PASSWORD, "wrong guess one", "not-this-secret", forged, server.token, server.secret_key):
        assert secret not in text


@pytest.mark.promise("security-log")
def test_nothing_a_client_sends_starts_a_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """ASVS 16.4.1: log injection."""
    caplog.set_level(logging.INFO, "stackyard_server.security")
    security_log.note(
        "login_failed", login='a\nlogin user="root"\r\x1b[2J\x7f\u2028\u202e\ud800', address="10.1.1.1"
    )
    [line] = [r.getMessage() for r in caplog.records]
    assert line.isascii()
    assert line.isprintable()
    assert len(line.splitlines()) == 1


@pytest.mark.promise("security-log")
def test_repeated_events_are_counted_not_written(caplog: pytest.LogCaptureFixture) -> None:
    """ASVS 16.4: a flood of failures does not fill the disk."""
    for _ in range(500):
        security_log.note("login_failed", login="x", address="10.2.2.2")
    assert len(caplog.records) <= 2 * security_log.BURST
