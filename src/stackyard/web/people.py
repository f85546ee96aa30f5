"""Who is there: the person whose token a request brings, as the server itself knows them.

A token comes from a session of ours (``sessions``), or from the cookie that the server's own pages set on this host:
browsers send a cookie to every port of a host. It is shown to that server and to nobody else.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stackyard.clearml.client import Client, ServerError
from stackyard.clearml.connection import Connection
from stackyard.comparing.near import printable
from stackyard.web.asking import TimedClient
from stackyard.web.sessions import Sessions
from stackyard.web.work import BusyError

#: The cookie by which ClearML's pages know who is there.
SERVERS_COOKIE = "clearml_token_basic"
#: How long a server's word on a token counts, and of how many tokens it is remembered.
KNOWN_SECONDS, MOST_KNOWN = 30.0, 500
#: How long a server may take to say who somebody is.
ASK_SECONDS = 10.0
#: Sign-ins that failed from one address within a time, after which that address waits.
MOST_FAILED, FAILED_SECONDS = 10, 60.0
_MOST_ADDRESSES = 1_000
_LONGEST_TOKEN, _LONGEST_NAME = 8_192, 100
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


@dataclass(frozen=True)
class Person:
    """Somebody whom the server knows."""

    name: str
    #: Not their token, and tells them from others.
    digest: str
    token: str = field(repr=False)
    #: Whether they signed in by our form.
    ours: bool


class People:
    """Finds out who is there.

    Args:
        connection: the server's addresses.
        cookie: name of our own session's cookie.
        clock: monotonic seconds.
    """

    def __init__(
        self, connection: Connection, cookie: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.connection, self.cookie, self.sessions = connection, cookie, Sessions(clock)
        self._clock = clock
        #: Digest of a token -> name, until when it counts.
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def tokens(self, cookies: Mapping[str, str]) -> list[tuple[str, bool]]:
        """The tokens that a request brings, those of our own sessions first, each with whether it is of one."""
        ours = self.sessions.token(cookies.get(self.cookie))
        theirs = cookies.get(SERVERS_COOKIE, "").strip('"')
        found = [(ours, True)] if ours else []
        if theirs and len(theirs) <= _LONGEST_TOKEN and _TOKEN.fullmatch(theirs):
            found.append((theirs, False))
        return found

    def known(self, token: str, ours: bool) -> Person | None:
        """The person of a token of whom the server said so of late; ``None``: it has to be asked."""
        digest = _digest(token)
        name, until = self._known.get(digest, ("", 0.0))
        return Person(name, digest, token, ours) if self._clock() < until else None

    def ask(self, token: str, ours: bool) -> Person | None:
        """The person of a token, as the server says; ``None``: it takes it from nobody. Waits for the server.

        Raises:
            ServerError: the server refuses for another reason.
            UnreachableError: it does not answer.
        """
        try:
            with TimedClient(self.connection.with_token(token), ASK_SECONDS) as client:
                user = client.call("users.get_current_user").get("user")
        except ServerError as error:
            if error.code != 401:
                raise
            return None
        told = user.get("name") if isinstance(user, dict) else None
        name = printable(told)[:_LONGEST_NAME] if isinstance(told, str) else ""
        return Person(name or "somebody", _digest(token), token, ours)

    def remember(self, person: Person) -> None:
        """Take the server's word on somebody for a while."""
        self._known[person.digest] = (person.name, self._clock() + KNOWN_SECONDS)
        self._known.move_to_end(person.digest)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def forget(self, token: str) -> None:
        """A token is good no longer: whoever brings it has to sign in."""
        self._known.pop(_digest(token), None)
        self.sessions.end_of(token)

    # -- signing in --------------------------------------------------------------------------------

    def check_patience(self, address: str) -> None:
        """Refuse an address from which too many sign-ins failed.

        Raises:
            BusyError: it has to wait.
        """
        if len(self._of_late(address)) >= MOST_FAILED:
            raise BusyError("too many attempts failed from your address; wait a minute")

    def failed(self, address: str) -> None:
        """A sign-in from an address failed."""
        self._failed[address] = [*self._of_late(address), self._clock()]
        self._failed.move_to_end(address)
        while len(self._failed) > _MOST_ADDRESSES:
            self._failed.popitem(last=False)

    def sign_in(self, name: str, secret: str) -> str:
        """The token for a name and password, or an access key and its secret. Waits for the server.

        Raises:
            ServerError: the server refuses them: code 401.
            UnreachableError: it does not answer.
        """
        with Client(self.connection.with_key(name, secret), patience_seconds=0) as client:
            return client.sign_in()

    def sign_out(self, token: str) -> None:
        """End a session on the server. Waits for it.

        Raises:
            ServerError: it refuses.
            UnreachableError: it does not answer.
        """
        with TimedClient(self.connection.with_token(token), ASK_SECONDS) as client:
            client.call("auth.logout")

    def _of_late(self, address: str) -> list[float]:
        since = self._clock() - FAILED_SECONDS
        return [at for at in self._failed.get(address, []) if at > since]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
