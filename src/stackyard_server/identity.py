"""Who is calling: passwords, access keys, tokens and roles.

Passwords are argon2id (19 MiB, t=2; OWASP Password Storage). Secrets of access keys are random (256 bits) and kept as
SHA-256. Tokens are JWT (HS256, ClearML's claims); the signing key is made on first start and lives in the database.
A revoked session is refused at once, on every port. Imports the store; no HTTP.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

import argon2
import jwt

from . import API_VERSION, FEATURE_SET, SERVER_VERSION
from .envelope import new_id
from .error_table import ApiError, error
from .moments import Clock
from .store import Store, Transaction
from .store.documents import USER, Document

HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
DAY_SECONDS = 24 * 3600
#: The longest token ClearML's clients may ask for; what is given is capped by the server's settings.
LONGEST_ASKED_SECONDS = 365 * DAY_SECONDS
#: The name clients know.
COOKIE = "clearml_token_basic"
#: Verified tokens remembered.
REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls. ``session`` is empty for key-and-secret on the call itself."""

    user: str
    name: str
    role: str
    company: str
    company_name: str
    session: str = ""
    #: Epoch seconds of the token.
    issued_at: int = 0
    expires_at: int = 0
    #: How the caller proved it: "token", "cookie", "key", "password".
    proof: str = "token"


def company_of(tx: Transaction) -> tuple[str, str]:
    """(id, name) of the one company."""
    return tx.value("SELECT value FROM meta WHERE key='company'"), tx.value(
        "SELECT value FROM meta WHERE key='company_name'"
    )


def found(tx: Transaction, now: int) -> bool:
    """Make what a new data folder needs: the company and the signing key.

    Returns:
        Whether the folder was new.
    """
    if tx.value("SELECT 1 FROM meta WHERE key='company'"):
        return False
    rows = [("company", new_id()), ("company_name", "stackyard"), ("token_key", secrets.token_urlsafe(48))]
    tx.many("INSERT INTO meta(key, value) VALUES (?, ?)", rows)
    tx.run("INSERT INTO meta(key, value) VALUES ('created', ?)", (str(now),))
    return True


def add_user(
    tx: Transaction,
    now: int,
    *,
    name: str,
    role: str = "user",
    login: str | None = None,
    password: str | None = None,
    **more: Any,
) -> str:
    """Add a user.

    Returns:
        The new user's id.

    Raises:
        ApiError: 400/801 the login is taken.
    """
    if login and tx.value("SELECT 1 FROM user WHERE login=?", (login,)):
        raise error("duplicate", login=login)
    company, _ = company_of(tx)
    document: Document = {
        "id": new_id(), "company": company, "name": name, "role": role, "login": login, "created": now,
        "created_in_version": SERVER_VERSION, "password": HASHER.hash(password) if password else None, **more,
    }  # fmt: skip
    USER.insert(tx, document)
    user: str = document["id"]
    return user


def add_credentials(tx: Transaction, user: str, label: str | None = None) -> tuple[str, str]:
    """A new access key and its secret; the secret is not kept and cannot be shown again."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    access_key = "".join(secrets.choice(alphabet) for _ in range(30))
    secret_key = secrets.token_urlsafe(50)
    tx.run(
        "INSERT INTO credential(access_key, secret_digest, user, label) VALUES (?, ?, ?, ?)",
        (access_key, digest(secret_key), user, label),
    )
    return access_key, secret_key


def digest(secret: str) -> str:
    """What is kept of a random secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Gate:
    """Tells callers apart: from an ``Authorization`` header or the cookie to an ``Identity``.

    Args:
        store: Where users, keys and revoked sessions are.
        clock: Epoch seconds.
        token_seconds: How long a token lives when none is asked for, and at most.
    """

    def __init__(self, store: Store, clock: Clock, token_seconds: int = DAY_SECONDS) -> None:
        self.store = store
        self.clock = clock
        self.token_seconds = token_seconds
        self._remembered: dict[str, Identity] = {}
        with store.reading() as tx:
            self._key: str = tx.value("SELECT value FROM meta WHERE key='token_key'")

    def forget(self) -> None:
        """Look everything up again: users, roles or sessions changed."""
        self._remembered.clear()

    def admit(self, authorization: str | None, cookie: str | None, address: str = "") -> Identity | None:
        """Who calls; None when there is nothing to go by.

        Raises:
            ApiError: 401 with ClearML's subcodes.
        """
        if self.store.changed_elsewhere():
            self.forget()
        if authorization:
            scheme, _, value = authorization.partition(" ")
            if scheme == "Bearer":
                return self.verify(value.strip())
            if scheme == "Basic":
                return self._basic(value.strip(), address)
            raise error("auth_type")
        if cookie:
            return self.verify(cookie, proof="cookie")
        return None

    def issue(self, who: Identity, seconds: int | None = None) -> str:
        """A token for an identity, in a session of its own."""
        now = int(self.clock())
        claims = {
            "iat": now,
            "exp": now + min(seconds or self.token_seconds, self.token_seconds),
            "auth_type": "Bearer",
            "session_id": new_id(),
            "env": "<unknown>",
            "identity": {
                "user": who.user,
                "company": who.company,
                "role": who.role,
                "user_name": who.name,
                "company_name": who.company_name,
            },
            "api_version": API_VERSION,
            "server_version": SERVER_VERSION,
            "server_build": "",
            "feature_set": FEATURE_SET,
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def verify(self, token: str, proof: str = "token") -> Identity:
        """The identity a token stands for.

        Raises:
            ApiError: 401/30 forged, expired, revoked, or its user is gone.
        """
        known = self._remembered.get(proof + token)
        if known is not None and self.clock() < known.expires_at:
            return known
        identity = self._decode(token, proof)
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[proof + token] = identity
        return identity

    def _decode(self, token: str, proof: str) -> Identity:
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                options={"require": ["exp", "iat"], "verify_exp": False, "verify_iat": False},
            )
        except (jwt.InvalidTokenError, ValueError, RecursionError) as fault:
            raise error("invalid_token", "invalid jwt token", reason=fault) from None
        if self.clock() >= claims["exp"]:
            raise error("invalid_token", "invalid jwt token", reason="Signature has expired")
        session, claimed = claims.get("session_id"), claims.get("identity")
        if (
            not isinstance(session, str)
            or not isinstance(claimed, dict)
            or claims.get("auth_type") != "Bearer"
        ):
            raise error("invalid_token", "invalid jwt token", reason="claims are missing")
        with self.store.reading() as tx:
            if tx.value("SELECT 1 FROM revoked_session WHERE session=?", (session,)):
                raise error("invalid_token", "revoked token")
            user = USER.get(tx, str(claimed.get("user")))
            company, company_name = company_of(tx)
        if user is None or user.get("disabled"):
            raise error("invalid_token", "unknown user")
        return Identity(
            user["id"],
            user["name"],
            user["role"],
            company,
            company_name,
            session,
            int(claims["iat"]),
            int(claims["exp"]),
            proof,
        )

    def _basic(self, value: str, address: str) -> Identity:
        try:
            name, _, secret = base64.b64decode(value).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name = secret = ""
        with self.store.reading() as tx:
            company, company_name = company_of(tx)
            row = tx.one("SELECT secret_digest, user FROM credential WHERE access_key=?", (name,))
            if row is not None and hmac.compare_digest(row[0], digest(secret)):
                user = USER.get(tx, row[1])
                proof = "key"
            elif row is None and (user := self._by_login(tx, name)):
                check_password(user, secret)
                proof = "password"
            else:
                user = None
        if user is None or user.get("disabled"):
            raise ApiError(
                401, 22, "Unauthorized (invalid credentials) (failed to locate provided credentials)"
            )
        return Identity(user["id"], user["name"], user["role"], company, company_name, proof=proof)

    def _by_login(self, tx: Transaction, login: str) -> Document | None:
        row = tx.one("SELECT id FROM user WHERE login=? AND password IS NOT NULL", (login,))
        return USER.get(tx, row[0]) if row else None

    def revoke(self, tx: Transaction, who: Identity) -> None:
        """End the caller's session: its token is worth nothing from now on."""
        if who.session:
            tx.run("INSERT OR IGNORE INTO revoked_session VALUES (?, ?)", (who.session, who.expires_at))
        self.forget()


def check_password(user: Document, password: str) -> None:
    """Check a user's password.

    Raises:
        ApiError: 401/22.
    """
    try:
        HASHER.verify(user["password"], password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        raise ApiError(401, 22, "Unauthorized (invalid credentials) (bad username or password)") from None
