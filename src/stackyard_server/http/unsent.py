"""Answers on their way to clients: how many bytes are held of them, and how fast a client must take what it is sent.

A large answer is held whole until its client has taken all of it but the last bytes. So it is counted whole, for
whoever asked; who holds much gets no further one read before that (``calls.readers`` asks ``has_room``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..protocol import bounds

#: Answers from this size on are counted, bytes. Of a smaller one a connection holds no more than of a large one's end.
COUNTED_BYTES = 64 * 1024
#: What is written of an answer at a time, so that a client that reads slowly lets others go on.
PART_BYTES = 256 * 1024
#: A client takes what is sent to it at this pace on average, after so long.
GRACE_SECONDS = 120.0
SLOWEST_BYTES_PER_SECOND = 16 * 1024


class Unsent:
    """What is held of all answers together; one for the server's life."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self._of: Counter[str] = Counter()
        #: Called when some of it was taken, or its client has gone.
        self.freed: Callable[[], None] = lambda: None

    def has_room(self, holder: str) -> bool:
        """Whether something more may be read for somebody."""
        held = self._of[holder]
        if not held:
            return True
        return held < bounds.UNSENT_BYTES_OF_A_USER and self.held_bytes < bounds.UNSENT_BYTES

    @contextmanager
    def holding(self, holder: str, size: int) -> Iterator[None]:
        """Inside, an answer of so many bytes is on its way."""
        self._of[holder] += size
        self.held_bytes += size
        try:
            yield
        finally:
            self._of[holder] -= size
            if not self._of[holder]:
                del self._of[holder]
            self.held_bytes -= size
            self.freed()


class Pace:
    """How fast one connection's client takes what is sent to it."""

    __slots__ = ("_since", "_taken_before", "written_bytes")

    def __init__(self) -> None:
        #: What was written of bodies so far.
        self.written_bytes = 0
        #: Since when something is unread, and what was taken until then.
        self._since: float | None = None
        self._taken_before = 0

    def is_too_slow(self, unread_bytes: int, now: float) -> bool:
        """Whether the client is to be let go; asked again and again, with what it has not read yet."""
        if not unread_bytes:
            self._since = None
            return False
        taken = self.written_bytes - unread_bytes
        if self._since is None:
            self._since, self._taken_before = now, taken
        allowed = GRACE_SECONDS + max(0, taken - self._taken_before) / SLOWEST_BYTES_PER_SECOND
        return now - self._since > allowed
