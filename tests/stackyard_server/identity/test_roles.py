"""Roles: every endpoint x every role, and who gets at whose things."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from stackyard_server import endpoints, identity, security_log
from stackyard_server.calls.endpoint import Endpoint
from tests.waiting import PATIENCE_SECONDS

from ..running import Running, running_server

#: Answer before anyone signed in.
OPEN = {"auth.fixed_users_mode", "debug.ping", "login.supported_modes"}
#: Write, but only what is the caller's own: a read-only user may.
OWN = {
    "auth.create_credentials",
    "auth.edit_credentials",
    "auth.logout",
    "auth.revoke_credentials",
    "login.logout",
    "users.set_preferences",
}
#: Administrators only. All else: who reads may be readonly, who writes is a user.
ADMIN = {
    "auth.create_user",
    "auth.edit_user",
    "auth.get_token_for_user",
    "auth.validate_token",
    "server.config",
    "server.endpoints",
    "storage.reset_settings",
    "storage.set_settings",
    "users.create",
    "users.delete",
}
#: Touch no table here (retired, or kept in memory), but are a user's to call.
WORK = {
    "models.update_for_task",
    "serving.container_status_report",
    "serving.register_container",
    "serving.unregister_container",
}
TABLE = endpoints.load()


def least_role(entry: Endpoint) -> str | None:
    """What the table above says an endpoint needs."""
    if entry.name in OPEN:
        return None
    if entry.name in ADMIN:
        return "admin"
    if entry.name in WORK:
        return "user"
    return "readonly" if entry.name in OWN or entry.access in ("none", "read") else "user"


@dataclass
class Cast:
    """A server and a user of each role, with a key each."""

    server: Running
    keys: dict[str, tuple[str, str]]
    ids: dict[str, str]
    client: httpx.Client

    def ask(
        self, role: str | None, name: str, body: dict[str, Any] | None = None, **headers: str
    ) -> tuple[int, int]:
        """(code, subcode) of a call, by key and secret on the call itself."""
        return self.answer(role, name, body, **headers)[:2]

    def answer(
        self, role: str | None, name: str, body: dict[str, Any] | None = None, **headers: str
    ) -> tuple[int, int, dict[str, Any]]:
        self.client.cookies.clear()
        auth = httpx.BasicAuth(*self.keys[role]) if role else httpx.Auth()
        envelope = self.client.post(
            f"{self.server.api}/{name}", json=body or {}, headers=headers, auth=auth
        ).json()
        meta = envelope["meta"]
        return meta["result_code"], meta["result_subcode"], envelope["data"]


@pytest.fixture(scope="module")
def cast() -> Iterator[Cast]:
    with running_server() as server:
        keys, ids = {}, {}
        with server.store.writing() as tx:
            for role in identity.ROLES:
                ids[role] = identity.add_user(tx, 0, name=f"the {role}", role=role)
                keys[role] = identity.add_credentials(tx, ids[role])
            ids["other"] = identity.add_user(tx, 0, name="another user")
            keys["other"] = identity.add_credentials(tx, ids["other"])
        with httpx.Client(timeout=PATIENCE_SECONDS, verify=False) as client:
            yield Cast(server, keys, ids, client)


@pytest.mark.parametrize("name", sorted(TABLE))
@pytest.mark.promise("role-table", on="API")
def test_every_endpoint_asks_for_the_role_of_the_table(cast: Cast, name: str) -> None:
    """ASVS 8.2.1: least role per endpoint, as registered and as answered, for every implementation of it."""
    for entry in TABLE[name]:
        least = least_role(entry)
        assert entry.signed_in == (least is not None)
        if least is None:
            continue
        assert entry.role == least
        path = f"v{entry.shown_version}/{name}"
        assert cast.ask(None, path) == (401, 20)
        for role in identity.ROLES:
            allowed = identity.ROLES.index(role) >= identity.ROLES.index(least)
            answered = cast.ask(role, path)
            assert (answered != (403, 20)) is allowed, (role, answered)
            assert answered[0] != 401, (role, answered)
            assert answered[0] < 500, (role, answered)


@pytest.mark.promise("role-table", on="API")
def test_a_role_nobody_knows_may_nothing(cast: Cast) -> None:
    """A role written into the database by something newer opens nothing."""
    with cast.server.store.writing() as tx:
        user = identity.add_user(tx, 0, name="from the future")
        key = identity.add_credentials(tx, user)
        tx.run("UPDATE user SET role='overlord' WHERE id=?", (user,))
    cast.keys["overlord"] = key
    assert cast.ask("overlord", "users.get_current_user") == (403, 20)
    assert cast.ask("overlord", "server.config") == (403, 20)


@pytest.mark.parametrize("role", identity.ROLES)
@pytest.mark.parametrize(
    "header", ["X-Clearml-Impersonate-As", "X-Clearml-Act-As", "X-Trains-Impersonate-As", "X-Trains-Act-As"]
)
@pytest.mark.promise("no-impersonation")
def test_nobody_acts_as_somebody_else(cast: Cast, role: str, header: str) -> None:
    """The headers by which ClearML's web server may be any user (E2: free login by default)."""
    assert cast.ask(role, "users.get_current_user", None, **{header: cast.ids["other"]}) == (400, 6)
    assert cast.ask(role, "auth.login", None, **{header: cast.ids["other"]}) == (400, 6)


@pytest.mark.promise("no-impersonation")
def test_no_one_gets_a_token_for_another(cast: Cast) -> None:
    assert cast.ask("user", "auth.get_token_for_user", {"user": cast.ids["other"]}) == (403, 20)
    assert cast.ask("admin", "auth.get_token_for_user", {"user": cast.ids["other"]}) == (400, 6)


def test_an_administrator_can_have_a_token_looked_at(cast: Cast) -> None:
    good = cast.answer("user", "auth.login")[2]["token"]
    assert cast.answer("admin", "auth.validate_token", {"token": good})[2] == {
        "company": cast.answer("user", "users.get_current_user")[2]["user"]["company"]["id"],
        "user": cast.ids["user"],
        "valid": True,
    }
    assert cast.answer("admin", "auth.validate_token", {"token": good[:-3]})[2]["valid"] is False
    assert cast.answer("admin", "auth.validate_token", {"token": "x"})[2]["valid"] is False


@pytest.mark.promise("own-keys")
def test_keys_are_managed_by_their_owner_only(cast: Cast) -> None:
    """ASVS 8.2.2 (IDOR): another user's key is as if it were not there, for administrators too."""
    key = cast.keys["other"][0]
    for role in identity.ROLES:
        assert cast.ask(role, "auth.revoke_credentials", {"access_key": key}) == (400, 300)
        assert cast.ask(role, "auth.edit_credentials", {"access_key": key, "label": "mine"}) == (400, 300)
        shown = cast.answer(role, "auth.get_credentials")[2]["credentials"]
        assert key not in [k["access_key"] for k in shown]
        assert all(set(k) <= {"access_key", "label", "last_used", "last_used_from"} for k in shown)
    assert cast.ask("other", "users.get_current_user") == (200, 0)


def test_a_read_only_user_keeps_their_own_things(cast: Cast) -> None:
    code, _, data = cast.answer("readonly", "auth.create_credentials", {"label": "mine"})
    assert code == 200
    made = data["credentials"]["access_key"]
    assert cast.ask("readonly", "auth.edit_credentials", {"access_key": made, "label": "ours"}) == (200, 0)
    assert cast.ask("readonly", "auth.revoke_credentials", {"access_key": made}) == (200, 0)
    assert cast.ask("readonly", "users.set_preferences", {"preferences": {"a": {"b": 1}}}) == (200, 0)
    assert cast.answer("readonly", "users.get_preferences")[2]["preferences"] == {"a": {"b": 1}}


@pytest.mark.promise("own-keys")
def test_preferences_are_ones_own_replaced_by_section_and_bounded(cast: Cast) -> None:
    sections = {"a": {"old": 1}, "f": {"g": {"h.i": 1}}}
    for given in (
        sections,
        {"a": {"b": 1, "c": [1]}},
        {"a.b": {"d": 2}},
        {"e": None},
        {"..": 1},
        {"f.g.j": 2},
    ):
        assert cast.ask("user", "users.set_preferences", {"preferences": given}) == (200, 0)
    assert cast.answer("user", "users.get_preferences")[2]["preferences"] == {
        "a": {"b": {"d": 2}, "c": [1]},
        "f": {"g": {"h.i": 1, "j": 2}},
        "e": None,
        "..": 1,
    }
    deep = {".".join("a" * 2000): 1}
    assert cast.ask("user", "users.set_preferences", {"preferences": deep}) == (400, 800)
    assert cast.answer("other", "users.get_preferences")[2]["preferences"] == {}
    assert cast.answer("admin", "users.get_by_id", {"user": cast.ids["user"]})[2]["user"]["preferences"] == ""
    big = {"preferences": {"big": "x" * 300_000}}
    assert cast.ask("user", "users.set_preferences", big) == (400, 800)


@pytest.mark.promise("own-name")
def test_names_are_changed_by_their_owner_or_an_administrator(cast: Cast) -> None:
    """ASVS 8.2.2 and 8.2.3: and only names: role, login and password are no fields of users.update."""
    body = {
        "user": cast.ids["other"],
        "name": "Renamed",
        "role": "admin",
        "password": "x" * 12,
        "login": "root",
    }
    assert cast.ask("user", "users.update", body) == (403, 20)
    assert cast.ask("admin", "users.update", body) == (200, 0)
    with cast.server.store.reading() as tx:
        row = tx.one("SELECT name, role, password, login FROM user WHERE id=?", (cast.ids["other"],))
    assert row == ("Renamed", "user", None, None)
    assert cast.ask("other", "users.update", {"user": cast.ids["other"], "name": "Other"}) == (200, 0)
    assert cast.ask("admin", "users.update", {"user": "nobody", "name": "Nobody"}) == (400, 301)


def test_an_administrator_adds_and_removes_users(cast: Cast) -> None:
    code, _, data = cast.answer("admin", "auth.create_user", {"name": "New One", "email": "new@example.org"})
    assert code == 200
    assert cast.answer("admin", "users.get_by_id", {"user": data["id"]})[2]["user"]["name"] == "New One"
    assert cast.ask("admin", "auth.edit_user", {"user": data["id"], "role": "readonly"}) == (200, 0)
    assert cast.ask("admin", "auth.edit_user", {"user": data["id"], "role": "root"}) == (400, 12)
    assert cast.ask("admin", "users.delete", {"user": data["id"]}) == (200, 0)
    assert cast.ask("admin", "users.get_by_id", {"user": data["id"]}) == (400, 301)


@pytest.mark.promise("api-users-cannot-sign-in")
def test_a_user_made_through_the_api_has_no_way_in_until_given_a_password(cast: Cast) -> None:
    made = cast.answer("admin", "auth.create_user", {"name": "Eve", "email": "eve@example.org"})[2]["id"]
    for login in ("Eve", "eve@example.org", made):
        for password in ("", "Eve", "password"):
            answer = cast.server.client.post(f"{cast.server.api}/auth.login", auth=(login, password))
            assert answer.status_code == 401, (login, password)


PRIVATE = ["password", "login", "email", "role", "preferences", "generation", "disabled"]


@pytest.mark.parametrize("field", PRIVATE)
@pytest.mark.parametrize("name", ["users.get_all", "users.get_all_ex"])
@pytest.mark.promise("private-fields")
def test_what_is_private_of_a_user_is_neither_shown_nor_searched(cast: Cast, name: str, field: str) -> None:
    """ASVS 8.2.3: no projection, filter, pattern or order reaches a password hash, not even one bit at a time."""
    with cast.server.store.writing() as tx:
        tx.run("UPDATE user SET password='$argon2id$secret', email='a@b' WHERE id=?", (cast.ids["other"],))
    everyone = {u["id"] for u in cast.answer("user", name)[2]["users"]}
    shown = cast.answer("user", name, {"only_fields": [field]})
    assert shown[0] == 400 or all(set(u) <= {"id"} for u in shown[2]["users"])
    assert cast.ask("user", name, {"order_by": [field]})[0] == 400
    for filters in (
        {field: "^.*secret"},
        {field: ["x"]},
        {"_any_": {"pattern": "secret|^u|^a", "fields": [field]}},
        {"_all_": {"pattern": "secret|^u|^a", "fields": [field]}},
        {"filters": {field: {"any": {"include": ["x"]}}}},
    ):
        code, _, data = cast.answer("user", name, filters)
        found = {u["id"] for u in data.get("users", [])}
        assert code == 400 or found in (everyone, set()), filters


@pytest.mark.parametrize("path", [f"user.{field}" for field in PRIVATE])
@pytest.mark.promise("private-fields")
def test_what_is_private_of_a_user_is_not_shown_by_a_join(cast: Cast, path: str) -> None:
    """ASVS 8.2.3, through the tasks of the user."""
    if "tasks.get_all_ex" not in TABLE or "tasks.create" not in TABLE:
        pytest.skip("tasks are not served")
    assert cast.ask("other", "tasks.create", {"name": "one", "type": "training"})[0] == 200
    for body in ({"only_fields": [path]}, {"only_fields": ["user"]}, {}):
        code, _, data = cast.answer("user", "tasks.get_all_ex", body)
        shown = str(data)
        assert code in (200, 400)
        assert "argon2id" not in shown
        assert "generation" not in shown


@pytest.mark.promise("store-secrets")
def test_secrets_of_outside_stores_are_for_administrators(cast: Cast) -> None:
    """CVE-2024-43779 (stored credentials readable by others): hidden at every depth."""
    bucket = {"bucket": "b", "key": "AKIA", "secret": "s3cr3t"}
    settings = {
        "aws": {"key": "AKIA", "secret": "s3cr3t", "token": "t0k", "region": "eu", "buckets": [bucket]},
        "google": {"project": "p", "credentials_json": "{s3cr3t}", "buckets": []},
        "azure": {"containers": [{"account_name": "n", "account_key": "s3cr3t"}]},
    }
    assert cast.ask("user", "storage.set_settings", settings) == (403, 20)
    assert cast.ask("admin", "storage.set_settings", settings) == (200, 0)
    for role in ("user", "readonly"):
        shown = cast.answer(role, "storage.get_settings")[2]["settings"]
        assert "s3cr3t" not in str(shown)
        assert "AKIA" not in str(shown)
        assert shown["aws"]["region"] == "eu"
    assert cast.answer("admin", "storage.get_settings")[2]["settings"]["aws"]["secret"] == "s3cr3t"
    assert cast.ask("admin", "storage.reset_settings", {"keys": ["aws"]}) == (200, 0)
    assert cast.answer("admin", "storage.get_settings")[2]["settings"]["aws"]["secret"] == ""


@pytest.mark.promise("store-secrets")
def test_the_settings_shown_to_administrators_hold_no_secret(cast: Cast) -> None:
    """ASVS 13.3: neither the signing key nor any hash."""
    code, _, data = cast.answer("admin", "server.config")
    assert code == 200
    with cast.server.store.reading() as tx:
        assert tx.value("SELECT value FROM meta WHERE key='token_key'") not in str(data)


def test_role_refusals_are_in_the_security_log(
    cast: Cast, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ASVS 16.3.2: failed authorization."""
    monkeypatch.setattr(security_log, "_counts", {})
    caplog.set_level(logging.INFO, "stackyard_server.security")
    cast.ask("readonly", "users.create", {"name": "x"})
    [line] = [r.getMessage() for r in caplog.records if r.getMessage().startswith("refused ")]
    assert 'endpoint="users.create"' in line
    assert cast.ids["readonly"] in line
