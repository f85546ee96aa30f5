"""Who signed in by our own form: tokens in memory only, each under a random name, bounded in number and in time."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

#: How long a session lives, and how many there are; of more the oldest end.
SESSION_SECONDS = 12 * 3600
MOST_SESSIONS = 200
#: Bytes of a session's name, and characters of one that is looked up.
_NAME_BYTES, _LONGEST_NAME = 32, 64


@dataclass(frozen=True)
class _Session:
    token: str
    until: float


class Sessions:
    """The sessions of one process.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: OrderedDict[str, _Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def begin(self, token: str) -> str:
        """The name of a new session, which nobody can guess."""
        self._end_old()
        while len(self._held) >= MOST_SESSIONS:
            self._held.popitem(last=False)
        name = secrets.token_urlsafe(_NAME_BYTES)
        self._held[name] = _Session(token, self._clock() + SESSION_SECONDS)
        return name

    def token(self, name: str | None) -> str | None:
        """The token of a session; ``None``: there is none of that name, or no longer."""
        if not name or len(name) > _LONGEST_NAME:
            return None
        self._end_old()
        found = self._held.get(name)
        return found.token if found else None

    def end(self, name: str | None) -> None:
        """End a session, if there is one."""
        if name:
            self._held.pop(name, None)

    def end_of(self, token: str) -> None:
        """End the sessions of a token that its server no longer takes."""
        for name in [name for name, held in self._held.items() if held.token == token]:
            del self._held[name]

    def _end_old(self) -> None:
        now = self._clock()
        while self._held and next(iter(self._held.values())).until <= now:  # the oldest is the first
            self._held.popitem(last=False)
