"""Authentication: from a request's ``Authorization`` header or cookie to an ``Identity``.

Tokens and access keys are checked where they are met (microseconds); a password takes 30 ms of hashing, which
``admitted`` does in a thread. A token is refused at once when its session ended, its access key was revoked, its user
was removed or disabled, or role or password changed: by this process (``forget``) or another (the store tells).
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..moments import Clock
from ..protocol.error_table import ApiError, error
from ..security_log import note
from ..store import Fault, Store, Transaction, credentials, meta, users
from ..store.documents import USER
from . import passwords, tokens
from .throttle import Throttle, network_of
from .tokens import DAY_SECONDS, Identity
from .users import ACCESS_KEY, digest

#: Verified tokens remembered.
REMEMBERED = 4096
#: Passwords hashed at the same time (19 MiB each), and how many more may wait.
HASHERS, MOST_WAITING = 2, 32
#: Wrong passwords from one address (and for a login where it came from before, by itself), and for one login from
#: addresses it never came from, before they have to wait; each counts for so many seconds.
ADDRESS_LIMIT, ADDRESS_LEAK_SECONDS = 20, 15.0
LOGIN_LIMIT, LOGIN_LEAK_SECONDS = 10, 60.0
#: How often "last used" of an access key is written down at most, seconds.
USED_EVERY_SECONDS = 60


class Authenticator:
    """Tells callers apart.

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
        self._addresses = Throttle(clock, ADDRESS_LIMIT, ADDRESS_LEAK_SECONDS)
        self._key_addresses = Throttle(clock, ADDRESS_LIMIT, ADDRESS_LEAK_SECONDS)
        self._logins = Throttle(clock, LOGIN_LIMIT, LOGIN_LEAK_SECONDS)
        self._at_home = Throttle(clock, ADDRESS_LIMIT, ADDRESS_LEAK_SECONDS)
        self._came_before: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._used: dict[str, float] = {}
        self._hashers = ThreadPoolExecutor(HASHERS, "hasher")
        self._hashing = 0
        self._lock = threading.Lock()
        with store.reading() as tx:
            self._key = meta.token_key(tx)

    def forget(self) -> None:
        """Look everything up again: users, roles or sessions changed."""
        self._remembered.clear()

    def admit(self, authorization: str | None, cookie: str | None, address: str = "") -> Identity | None:
        """Who calls; None when there is nothing to go by. Hashes a password where it is.

        Raises:
            ApiError: 401 with ClearML's subcodes; 429 after too many wrong ones.
        """
        if self.store.changed_elsewhere():
            self.forget()
        if authorization:
            scheme, _, value = authorization.partition(" ")
            if scheme == "Bearer":
                return self.verify(value.strip(), address=address)
            if scheme == "Basic":
                name, secret = tokens.basic_pair(value.strip())
                if self._is_login(name):
                    return self.sign_in(name, secret, address)
                return self._by_key(name, secret, address)
            raise error("auth_type")
        if cookie:
            return self.verify(cookie, "cookie", address)
        return None

    async def admitted(
        self, authorization: str | None, cookie: str | None, address: str = ""
    ) -> Identity | None:
        """As ``admit``, for the event loop: a password is hashed in a thread.

        Raises:
            ApiError: 401 with ClearML's subcodes; 429 after too many wrong ones.
        """
        if authorization and authorization.startswith("Basic "):
            name, secret = tokens.basic_pair(authorization[6:].strip())
            if self._is_login(name):
                return await asyncio.get_running_loop().run_in_executor(
                    self._hashers, self.sign_in, name, secret, address
                )
        return self.admit(authorization, cookie, address)

    def sign_in(self, login: str, password: str, address: str = "") -> Identity:
        """Who a login and password stand for. Takes 30 ms; may be called from any thread.

        Raises:
            ApiError: 401/22; 429 with ``Retry-After`` after too many wrong ones.
        """
        network = network_of(address)
        home = f"{network} {login}"
        # Where somebody signed in before, what others guess there about other logins is not held against them.
        if (login, network) in self._came_before:
            wait = self._at_home.wait_seconds(home)
        else:
            wait = max(self._addresses.wait_seconds(network), self._logins.wait_seconds(login))
        if wait > 0:
            note("locked_out", login=login, address=address, seconds=math.ceil(wait))
            raise _too_many(wait)
        # Counted before the answer is known: many at once must not get more tries than one after the other.
        self._addresses.count(network)
        self._logins.count(login)
        self._at_home.count(home)
        with self._lock:
            if self._hashing >= HASHERS + MOST_WAITING:
                raise _too_many(1)
            self._hashing += 1
        try:
            with self.store.reading() as tx:
                row = users.password(tx, login)
            fits = passwords.fits(row[1] if row else None, password)
        finally:
            with self._lock:
                self._hashing -= 1
        # Looked up again: hashing took its time, and the user may be gone or the password another one by now.
        with self.store.reading() as tx:
            same = row is not None and users.password(tx, login) == row
            who = self._identity(tx, row[0], "password") if fits and same and row else None
        if who is None:
            note("login_failed", login=login, address=address)
            raise wrong_credentials()
        self._addresses.take_back(network)
        self._logins.take_back(login)
        self._at_home.take_back(home)
        with self._lock:
            self._came_before[login, network] = None
            self._came_before.move_to_end((login, network))
            if len(self._came_before) > REMEMBERED:
                self._came_before.popitem(last=False)
        note("login", logging.INFO, user=who.user, proof="password", address=address)
        return who

    def issue(self, who: Identity, seconds: int | None = None) -> str:
        """A token for an identity: in the session it came with, else in a new one.

        Raises:
            ApiError: 400/12 a life that no token may have.
        """
        life = tokens.life_seconds(seconds, self.token_seconds)
        return tokens.encode(who, self._key, int(self.clock()), life)

    def verify(
        self, token: str, proof: str = "token", address: str = "", tx: Transaction | None = None
    ) -> Identity:
        """The identity a token stands for; within a transaction that is open already, if one is given.

        Raises:
            ApiError: 401/30 forged, expired, revoked, or its user is gone.
        """
        known = self._remembered.get(proof + token)
        if known is not None and self.clock() < known.expires_at:
            return known
        try:
            claims = tokens.decode(token, self._key, self.clock(), max(self.token_seconds, DAY_SECONDS))
            if tx is not None:
                identity = self._claimed(tx, claims, proof)
            else:
                with self.store.reading() as tx:
                    identity = self._claimed(tx, claims, proof)
        except ApiError as refused:
            note("token_refused", address=address, reason=refused.message)
            raise
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[proof + token] = identity
        return identity

    def revoke(self, tx: Transaction, who: Identity) -> None:
        """End the caller's session: its tokens are worth nothing from now on, renewed ones included."""
        if who.session:
            until = max(who.expires_at, int(self.clock()) + self.token_seconds)
            credentials.end_session(tx, who.session, until)
            note("logout", logging.INFO, user=who.user)
        self.forget()

    def was_used(self, who: Identity, address: str) -> None:
        """Write down when and from where an access key was last used, once a minute at most; on the writing thread."""
        now = self.clock()
        if not who.access_key or abs(now - self._used.get(who.access_key, -math.inf)) < USED_EVERY_SECONDS:
            return
        if len(self._used) >= REMEMBERED:
            self._used.clear()
        self._used[who.access_key] = now
        try:
            with self.store.writing("metrics") as tx:
                credentials.note_use(tx, who.access_key, int(now * 1000), address)
        except Fault as fault:  # a full disk keeps nobody out
            note("last_use_not_written", reason=fault)

    def close(self) -> None:
        """Let running hashes end."""
        self._hashers.shutdown()

    def _claimed(self, tx: Transaction, claims: dict[str, Any], proof: str) -> Identity:
        """The identity behind a token's claims, if the session, its key and its user are still what they were."""
        key = claims.get("key", "")
        if credentials.is_ended(tx, claims["session_id"]):
            raise error("invalid_token", "revoked token")
        who = self._identity(tx, claims["identity"]["user"], proof, claims)
        if key and not credentials.belongs_to(tx, key, claims["identity"]["user"]):
            raise error("invalid_token", "revoked token")
        if who is None:
            raise error("invalid_token", "unknown user")
        if who.generation != claims["generation"]:
            raise error("invalid_token", "revoked token")
        return who

    def _by_key(self, access_key: str, secret: str, address: str) -> Identity:
        with self.store.reading() as tx:
            row = credentials.find(tx, access_key)
            good = row is not None and hmac.compare_digest(row[0], digest(secret))
            who = self._identity(tx, row[1], "key", {"key": access_key}) if row and good else None
        if who is not None:
            return who
        # Wrong secrets of 400 bits are nobody's guess: the limit is against noise, and never holds a right one back.
        network = network_of(address)
        wait = self._key_addresses.wait_seconds(network)
        note("login_failed", access_key=access_key, address=address)
        if wait > 0:
            raise _too_many(wait)
        self._key_addresses.count(network)
        raise wrong_credentials()

    def _identity(
        self, tx: Transaction, id: str, proof: str, claims: dict[str, Any] | None = None
    ) -> Identity | None:
        """The user as the caller's identity; None when there is none, or disabled."""
        user = USER.get(tx, id, ("name", "role", "disabled", "generation"))
        if user is None or user.get("disabled"):
            return None
        claims = claims or {}
        return Identity(
            user=user["id"],
            name=user["name"],
            role=user["role"],
            company=meta.company(tx),
            company_name=meta.company_name(tx),
            session=claims.get("session_id", ""),
            issued_at=claims.get("iat", 0),
            expires_at=claims.get("exp", 0),
            proof=proof,
            access_key=claims.get("key", ""),
            generation=user.get("generation", 0),
            proved_at=claims.get("auth_time", 0),
        )

    @staticmethod
    def _is_login(name: str) -> bool:
        return bool(name) and not ACCESS_KEY.fullmatch(name)


def wrong_credentials() -> ApiError:
    """401/22, the same whatever was wrong: whether a login exists is nobody's business."""
    return error("wrong_credentials", "failed to locate provided credentials")


def _too_many(seconds: float) -> ApiError:
    refused = error("too_many", "wait before trying again", seconds=math.ceil(seconds))
    refused.headers = [("Retry-After", str(math.ceil(seconds)))]
    return refused
