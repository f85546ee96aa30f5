"""Users and their access keys: add, change, disable, remove. Each function runs in the caller's transaction.

These are the functions behind ``stackyard server user`` and the ``users`` and ``auth`` endpoints. Whatever changes what
a user may do ends all their sessions with it. After the transaction, the caller in the server's own process calls
``Authenticator.forget``; another process's changes are noticed by the server at its next request.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from typing import Any

from .. import SERVER_VERSION
from ..protocol.error_table import ApiError, error
from ..security_log import note
from ..store import Transaction, credentials, meta, users
from ..store.documents import USER, Document, new_id
from . import passwords
from .roles import ROLES

KEY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
KEY_LENGTH = 30
#: What an access key looks like; no login may.
ACCESS_KEY = re.compile(rf"[A-Z0-9]{{{KEY_LENGTH}}}")
LONGEST_NAME = 200
#: Access keys of one user.
MOST_KEYS = 100


def found(tx: Transaction, now: int) -> bool:
    """Make what a new data folder needs: the company and the signing key.

    Returns:
        Whether the folder was new.
    """
    if meta.get(tx, meta.COMPANY):
        return False
    kept = {
        meta.COMPANY: new_id(),
        meta.COMPANY_NAME: "stackyard",
        meta.TOKEN_KEY: secrets.token_urlsafe(48),
        "created": str(now),
    }
    meta.add(tx, kept)
    return True


def add_user(
    tx: Transaction,
    now: int,
    *,
    name: str,
    role: str = "user",
    login: str | None = None,
    password: str | None = None,
    by: str = "console",
    **more: Any,
) -> str:
    """Add a user; ``more`` are further columns (given_name, family_name, email, id).

    Returns:
        The new user's id.

    Raises:
        ApiError: 400/801 the login is taken; 400/800 name, role, login or password are not acceptable.
    """
    _check_name("name", name)
    _check_role(role)
    if login is not None:
        _check_name("login", login)
        if ":" in login or ACCESS_KEY.fullmatch(login):
            raise error("data_validation", login="must hold no ':' and not look like an access key")
        if users.by(tx, "login", login):
            raise error("duplicate", login=login)
    if more.get("id") and USER.exists(tx, more["id"]):
        raise error("duplicate", id=more["id"])
    document: Document = {
        "id": new_id(), "company": meta.company(tx), "name": name, "role": role, "login": login, "created": now,
        "created_in_version": SERVER_VERSION,
        "password": passwords.hashed(password) if password is not None else None, **more,
    }  # fmt: skip
    USER.insert(tx, document)
    user: str = document["id"]
    note("user_added", logging.INFO, user=user, login=login or "", role=role, by=by)
    return user


def find_user(tx: Transaction, name: str) -> Document:
    """The user of that login, id or (if only one has it) name.

    Raises:
        ApiError: 400/301.
    """
    id = users.by(tx, "login", name) or users.by(tx, "id", name) or users.by(tx, "name", name)
    if id and (user := USER.get(tx, id)):
        return user
    raise error("invalid_user_id", id=name)


def set_password(tx: Transaction, user: str, password: str, by: str = "console") -> None:
    """Give a user a new password and end their sessions.

    Raises:
        ApiError: 400/800 the password is not acceptable; 400/301.
    """
    _change(tx, user, {"password": passwords.hashed(password)})
    note("password_changed", logging.INFO, user=user, by=by)


def set_role(tx: Transaction, user: str, role: str, by: str = "console") -> None:
    """Give a user another role and end their sessions.

    Raises:
        ApiError: 400/800 no such role, or nobody would be left to administer; 400/301.
    """
    _check_role(role)
    if role != "admin":
        _keep_an_admin(tx, user)
    _change(tx, user, {"role": role})
    note("role_changed", logging.INFO, user=user, role=role, by=by)


def disable(tx: Transaction, user: str, by: str = "console") -> None:
    """Lock a user out: sessions end, password and keys are refused until ``enable``.

    Raises:
        ApiError: 400/800 nobody would be left to administer; 400/301.
    """
    _keep_an_admin(tx, user)
    _change(tx, user, {"disabled": True})
    note("user_disabled", logging.INFO, user=user, by=by)


def enable(tx: Transaction, user: str, by: str = "console") -> None:
    """Let a disabled user in again; ended sessions stay ended.

    Raises:
        ApiError: 400/301.
    """
    _change(tx, user, {"disabled": False})
    note("user_enabled", logging.INFO, user=user, by=by)


def remove(tx: Transaction, user: str, by: str = "console") -> None:
    """Remove a user with their keys and sessions; what they made stays.

    Raises:
        ApiError: 400/800 nobody would be left to administer; 400/301.
    """
    _keep_an_admin(tx, user)
    credentials.remove_all(tx, user)
    if not USER.delete(tx, [user]):
        raise error("invalid_user_id", id=user)
    note("user_removed", logging.INFO, user=user, by=by)


def rename(tx: Transaction, user: str, names: dict[str, str], by: str = "console") -> None:
    """Give a user another name, given_name or family_name.

    Raises:
        ApiError: 400/800 not acceptable; 400/301.
    """
    for field, name in names.items():
        _check_name(field, name)
    if not USER.exists(tx, user):
        raise error("invalid_user_id", id=user)
    USER.update(tx, user, names)
    note("user_renamed", logging.INFO, user=user, by=by, **names)


def end_sessions(tx: Transaction, user: str, by: str = "console") -> None:
    """End every session of a user; password and keys stay good.

    Raises:
        ApiError: 400/301.
    """
    _change(tx, user, {})
    note("sessions_ended", logging.INFO, user=user, by=by)


def add_credentials(
    tx: Transaction, user: str, label: str | None = None, by: str = "console"
) -> tuple[str, str]:
    """A new access key and its secret; the secret is not kept and cannot be shown again.

    Raises:
        ApiError: 400/800 the user has very many already.
    """
    if credentials.count(tx, user) >= MOST_KEYS:
        raise error("data_validation", credentials=f"{MOST_KEYS} access keys at most; revoke some")
    _check_label(label)
    access_key = "".join(secrets.choice(KEY_ALPHABET) for _ in range(KEY_LENGTH))
    secret_key = secrets.token_urlsafe(50)
    credentials.add(tx, user, access_key, digest(secret_key), label)
    note("credentials_added", logging.INFO, user=user, access_key=access_key, by=by)
    return access_key, secret_key


def revoke_credentials(tx: Transaction, user: str, access_key: str, by: str = "console") -> int:
    """Take one access key from its user; tokens made with it are worth nothing from now on. How many it were."""
    revoked = credentials.remove(tx, user, access_key)
    if revoked:
        note("credentials_revoked", logging.INFO, user=user, access_key=access_key, by=by)
    return revoked


def label_credentials(tx: Transaction, user: str, access_key: str, label: str | None) -> None:
    """Give one of a user's access keys another label.

    Raises:
        ApiError: 400/300 the user has no such key; 400/800 the label is too long.
    """
    _check_label(label)
    if not credentials.label(tx, user, access_key, label):
        raise no_such_key(tx, user, access_key)


def no_such_key(tx: Transaction, user: str, access_key: str) -> ApiError:
    """400/300: the user has no such access key."""
    names = {"id": user, "company": meta.company(tx), "credentials__key": access_key}
    return error("invalid_user", "invalid user or invalid access key", **names)


def digest(secret: str) -> str:
    """What is kept of a random secret (of 400 bits: a slow hash would add nothing)."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _change(tx: Transaction, user: str, changes: dict[str, Any]) -> None:
    """Change a user and end their sessions."""
    if not users.change(tx, user, changes):
        raise error("invalid_user_id", id=user)


def _keep_an_admin(tx: Transaction, user: str) -> None:
    if users.is_admin(tx, user) and not users.is_other_admin(tx, user):
        raise error("data_validation", user="the only administrator stays one; make another one first")


def _check_name(field: str, name: str) -> None:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise error("data_validation", **{field: f"1 to {LONGEST_NAME} printable characters are needed"})


def _check_label(label: str | None) -> None:
    if label is not None and len(label) > LONGEST_NAME:
        raise error("data_validation", label=f"{LONGEST_NAME} characters at most")


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise error("data_validation", role=f"one of {', '.join(ROLES)} is needed")
