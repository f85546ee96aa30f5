"""What the process may open, and who has how much of it: connections and open files, of all and of one address.

Some descriptors are always kept free, for the database and for whatever a moment needs. One address has half of the
rest at most, so that others are served whatever it does.
"""

from __future__ import annotations

import ipaddress
import resource
from collections import Counter
from collections.abc import Callable, Iterable

from ..protocol.bounds import DESCRIPTORS


def raise_limit() -> None:
    """Let the process open as much as the system lets it: the soft limit becomes the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _open_to_clients() -> int:
    """Descriptors that are neither kept free nor the store's own."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        allowed = DESCRIPTORS["connections"] * 4
    return max(24, allowed - DESCRIPTORS["kept_free"] - DESCRIPTORS["own"])


def most_connections() -> int:
    """Connections at most, over all ports: two thirds of what is open to clients."""
    return min(DESCRIPTORS["connections"], _open_to_clients() * 2 // 3)


def most_files() -> int:
    """Files that are being sent or received at most: a third of it."""
    return min(DESCRIPTORS["files"], _open_to_clients() // 3)


def network(address: str) -> str:
    """What counts as one address: of IPv6 the first half, which is what one network is given (RFC 6177)."""
    if ":" not in address or address.startswith("::ffff:"):
        return address
    return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))


class Shares:
    """Who holds how many of something that is limited.

    Args:
        most: How many there are.
        whole: Addresses that may have all of them: proxies, for whom many stand behind one address.
    """

    def __init__(self, most: Callable[[], int], whole: Iterable[str] = ()) -> None:
        self.most = most()
        self.whole = frozenset(whole)
        self.held: Counter[str] = Counter()

    def of(self, address: str) -> int:
        """How many an address may have."""
        return self.most if address in self.whole or "*" in self.whole else max(1, self.most // 2)

    def take(self, address: str) -> bool:
        """One more for an address; False where it, or all together, have what they may have."""
        if self.held.total() >= self.most or self.held[address] >= self.of(address):
            return False
        self.held[address] += 1
        return True

    def give_back(self, address: str) -> None:
        """One that it took."""
        self.held[address] -= 1
        if not self.held[address]:
            del self.held[address]
