"""How often one may be wrong: a leaking bucket per key, in memory, bounded. No clock of its own."""

from __future__ import annotations

import threading
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

from ..moments import Clock


class Throttle:
    """Counts failures per key; each leaks away again.

    Args:
        clock: Seconds.
        limit: Failures in a row before the key has to wait.
        leak_seconds: How long one failure counts.
        remembered: Keys kept; beyond, the one not seen for longest is forgotten.
    """

    def __init__(self, clock: Clock, limit: int, leak_seconds: float, remembered: int = 4096) -> None:
        self.clock = clock
        self.limit = limit
        self.leak_seconds = leak_seconds
        self.remembered = remembered
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_seconds(self, key: str) -> float:
        """How long until the key may try again; 0 now."""
        with self._lock:
            return max(0.0, (self._level(key) - self.limit + 1) * self.leak_seconds)

    def count(self, key: str) -> None:
        """One more failure."""
        with self._lock:
            self._levels[key] = (min(self._level(key) + 1, self.limit), self.clock())
            self._levels.move_to_end(key)
            while len(self._levels) > self.remembered:
                self._levels.popitem(last=False)

    def take_back(self, key: str) -> None:
        """One failure less: it was none."""
        with self._lock:
            level = self._level(key) - 1
            if level <= 0:
                self._levels.pop(key, None)
            else:
                self._levels[key] = (level, self.clock())

    def __len__(self) -> int:
        return len(self._levels)

    def _level(self, key: str) -> float:
        level, at = self._levels.get(key, (0.0, 0.0))
        # A clock that was set back must not keep anyone out.
        leaked = max(0.0, self.clock() - at) / self.leak_seconds
        return max(0.0, level - leaked)


def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 one (a host has all of it)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return parsed.exploded[:19]
    return address
