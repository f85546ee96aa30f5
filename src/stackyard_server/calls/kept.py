"""What a server keeps in memory between calls: bounded by bytes, and gone once its time is over.

Where there is too much, the oldest of the user who has most goes: nobody pushes out what others keep. Any thread.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..protocol.bounds import STORE_BYTES

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
#: What an entry takes beside its value, bytes.
ENTRY_BYTES = 500


@dataclass(slots=True)
class Entry(Generic[Value]):
    """One value that is kept."""

    value: Value
    user: str
    bytes: int
    #: Until when, epoch milliseconds.
    until: int


class Kept(Generic[Key, Value]):
    """Values by key.

    Args:
        most: Values at most.
        most_bytes: What they take together at most.
    """

    def __init__(self, most: int, most_bytes: int = STORE_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._entries: OrderedDict[Key, Entry[Value]] = OrderedDict()
        self._bytes: Counter[str] = Counter()
        self._lock = threading.RLock()

    @property
    def bytes(self) -> int:
        """What all of them take."""
        return self._bytes.total()

    def put(self, key: Key, value: Value, user: str, size: int, until: int, now: int) -> None:
        """Keep a value, in place of the one that its key had.

        Args:
            key: Under which it is found.
            value: What is kept.
            user: Whose it is.
            size: Its bytes.
            until: When it is over, epoch milliseconds.
            now: Epoch milliseconds.
        """
        with self._lock:
            self.drop(key)
            self.expire(now)
            self._entries[key] = Entry(value, user, size + ENTRY_BYTES, until)
            self._bytes[user] += size + ENTRY_BYTES
            while self.bytes > self._most_bytes or len(self._entries) > self._most:
                greedy = self._bytes.most_common(1)[0][0]
                self.drop(next(k for k, entry in self._entries.items() if entry.user == greedy))

    def get(self, key: Key, now: int) -> Value | None:
        """The value of a key; None where there is none, or it is over."""
        with self._lock:
            entry = self._entries.get(key)
            return None if entry is None or entry.until < now else entry.value

    def values(self, now: int) -> list[Value]:
        """All that are not over, oldest first."""
        with self._lock:
            self.expire(now)
            return [entry.value for entry in self._entries.values()]

    def drop(self, key: Key) -> None:
        """Forget a value; one that is not there is no fault."""
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is not None:
                self._bytes[entry.user] -= entry.bytes
                if not self._bytes[entry.user]:
                    del self._bytes[entry.user]

    def expire(self, now: int) -> None:
        """Forget what is over."""
        with self._lock:
            for key in [key for key, entry in self._entries.items() if entry.until < now]:
                self.drop(key)
