"""``store.users`` and ``store.credentials``: who is meant by a name, who is left to administer, which keys are good."""

from __future__ import annotations

import pytest

from stackyard_server.store import Transaction, credentials, users
from stackyard_server.store.documents import USER


@pytest.fixture(autouse=True)
def people(tx: Transaction) -> None:
    for id, name, role, disabled in (
        ("u1", "Ada", "admin", False),
        ("u2", "Zoe", "user", False),
        ("u3", "Zoe", "admin", True),
    ):
        USER.insert(tx, {"id": id, "name": name, "login": f"{id}-login", "role": role, "disabled": disabled})


def test_a_name_that_two_have_means_nobody(tx: Transaction) -> None:
    assert users.by(tx, "name", "Ada") == "u1"
    assert users.by(tx, "name", "Zoe") is None
    assert users.by(tx, "login", "u2-login") == "u2"


def test_a_disabled_administrator_is_none(tx: Transaction) -> None:
    assert users.is_admin(tx, "u1")
    assert not users.is_admin(tx, "u3")
    assert not users.is_other_admin(tx, "u1")
    assert [name for _, name in users.owners(tx)] == ["Ada"]


def test_without_an_administrator_the_first_user_owns(tx: Transaction) -> None:
    users.change(tx, "u1", {"role": "user"})
    assert users.owners(tx) == [("u1", "Ada")]


@pytest.mark.promise("session-ends-at-once")
def test_a_change_ends_the_sessions_of_that_user_only(tx: Transaction) -> None:
    assert users.change(tx, "u2", {"role": "readonly"})
    assert [USER.field(tx, id, "generation") for id in ("u1", "u2")] == [0, 1]
    assert not users.change(tx, "nobody", {})


def test_a_disabled_user_has_no_password_to_sign_in_with(tx: Transaction) -> None:
    assert users.password(tx, "u2-login") == ("u2", None)
    assert users.password(tx, "u3-login") is None


def test_keys_go_with_their_user_and_no_other(tx: Transaction) -> None:
    credentials.add(tx, "u1", "KEY1", "digest", None)
    credentials.add(tx, "u2", "KEY2", "digest", "laptop")
    assert not credentials.remove(tx, "u2", "KEY1")
    assert credentials.belongs_to(tx, "KEY1", "u1")
    assert credentials.remove_all(tx, "u1") == 1
    assert credentials.find(tx, "KEY1") is None
    credentials.note_use(tx, "KEY2", 5, "10.0.0.1")
    assert credentials.of(tx, "u2") == [("KEY2", "laptop", 5, "10.0.0.1")]


def test_an_ended_session_is_remembered_until_its_tokens_expire_and_longer_among_the_last(
    tx: Transaction,
) -> None:
    """A clock that was ahead for a moment calls everything expired: the last ones stay whatever it says."""
    credentials.end_session(tx, "s1", until=100)
    assert credentials.forget_sessions(tx, before=101) == 0, "one of the last"
    tx.many(
        "INSERT INTO revoked_session VALUES (?, ?)",
        [(f"later {number}", 200) for number in range(credentials.MOST_ENDED_SESSIONS)],
    )
    assert credentials.forget_sessions(tx, before=100) == 0, "its tokens are good yet"
    assert credentials.is_ended(tx, "s1")
    assert credentials.forget_sessions(tx, before=101) == 1
    assert not credentials.is_ended(tx, "s1")
    assert credentials.is_ended(tx, "later 0")
