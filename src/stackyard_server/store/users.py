"""Users as the sign-in knows them: by login, by role, by what ends their sessions.

Their documents are in ``documents``; what lets them in beside a password is in ``credentials``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from . import Transaction


def by(tx: Transaction, column: Literal["login", "id", "name"], value: str) -> str | None:
    """The id of the user of that login, id or name; None where none or several have it."""
    rows = tx.all(f"SELECT id FROM user WHERE {column}=? LIMIT 2", (value,))
    return rows[0][0] if len(rows) == 1 else None


def password(tx: Transaction, login: str) -> tuple[str, str | None] | None:
    """(id, password hash) of the user who signs in with that login; None for a disabled one too."""
    row = tx.one("SELECT id, password FROM user WHERE login=? AND NOT disabled", (login,))
    return None if row is None else (row[0], row[1])


def change(tx: Transaction, id: str, changes: Mapping[str, Any]) -> bool:
    """Set columns of a user and end all of their sessions; whether there is such a user."""
    columns = "".join(f"{name}=?, " for name in changes)
    return bool(
        tx.run(f"UPDATE user SET {columns}generation=generation+1 WHERE id=?", [*changes.values(), id])
    )


#: Whether a user can sign in, if not disabled: by a password or an access key.
_GETS_IN = (
    "(login IS NOT NULL AND password IS NOT NULL OR EXISTS (SELECT 1 FROM credential c WHERE c.user=user.id))"
)


def is_admin(tx: Transaction, id: str) -> bool:
    """Whether a user administers the server, and is not disabled."""
    sql = "SELECT 1 FROM user WHERE id=? AND role='admin' AND NOT disabled"
    return tx.value(sql, (id,)) is not None


def is_other_admin(tx: Transaction, id: str) -> bool:
    """Whether somebody else administers the server, is not disabled and can sign in."""
    sql = f"SELECT 1 FROM user WHERE role='admin' AND NOT disabled AND id<>? AND {_GETS_IN} LIMIT 1"
    return tx.value(sql, (id,)) is not None


def has_admin(tx: Transaction) -> bool:
    """Whether any user, disabled or not, is an administrator who could sign in."""
    return tx.value(f"SELECT 1 FROM user WHERE role='admin' AND {_GETS_IN} LIMIT 1") is not None


def owners(tx: Transaction) -> list[tuple[str, str]]:
    """(id, name) of the administrators; of the first user where there is none."""
    found = tx.all("SELECT id, name FROM user WHERE role='admin' AND NOT disabled ORDER BY number")
    found = found or tx.all("SELECT id, name FROM user WHERE NOT disabled ORDER BY number LIMIT 1")
    return [(id, name) for id, name in found]


def ids(tx: Transaction) -> list[str]:
    """Every user's id."""
    return [id for (id,) in tx.all("SELECT id FROM user")]


def overview(tx: Transaction) -> list[dict[str, Any]]:
    """Each user's id, login, name, role, disabled, keys (their number) and created (epoch milliseconds), oldest
    first."""
    rows = tx.all(
        "SELECT id, login, name, role, disabled, (SELECT count(*) FROM credential c WHERE c.user=u.id), created "
        "FROM user u ORDER BY number"
    )
    names = ("id", "login", "name", "role", "disabled", "keys", "created")
    return [{**dict(zip(names, row, strict=True)), "disabled": bool(row[4])} for row in rows]


def shown_name(tx: Transaction, id: str) -> str | None:
    """A user's login, or the name of one who has none."""
    name: str | None = tx.value("SELECT coalesce(login, name) FROM user WHERE id=?", (id,))
    return name
