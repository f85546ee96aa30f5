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


Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: What an IPv4 address is on a socket that takes both kinds.
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def network(address: str) -> str:
    """What counts as one address: of IPv6 the first half, which is what one network is given (RFC 6177)."""
    try:
        read = _unwrapped(address)
    except ValueError:
        return address
    return str(read) if read.version == 4 else str(ipaddress.ip_network((read, 64), strict=False))


def _unwrapped(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address, without its zone; an IPv4 one also where it is written as IPv6.

    Raises:
        ValueError: It is none.
    """
    read = ipaddress.ip_address(address.partition("%")[0])
    return (read.version == 6 and read.ipv4_mapped) or read


def believed(proxies: Iterable[str]) -> list[str]:
    """Named proxies, addresses or networks, in every form in which they may connect; "*" is everybody."""
    named = list(proxies)
    if "*" in named:
        return ["*"]
    forms = []
    for given in map(ipaddress.ip_network, named):
        forms.append(given)
        if given.version == 4:
            inside = int(MAPPED.network_address) + int(given.network_address)
            forms.append(ipaddress.IPv6Network((inside, 96 + given.prefixlen)))
        elif given.subnet_of(MAPPED):
            inside = int(given.network_address) - int(MAPPED.network_address)
            forms.append(ipaddress.IPv4Network((inside, given.prefixlen - 96)))
    return [str(form) for form in forms]


class Shares:
    """Who holds how many of something that is limited.

    Args:
        most: How many there are.
        whole: Addresses and networks that may have all of them, each address: proxies, for whom many stand behind
            one; "*" is everybody.
    """

    def __init__(self, most: Callable[[], int], whole: Iterable[str] = ()) -> None:
        self.most = most()
        forms = believed(whole)
        self._everybody = forms == ["*"]
        self._whole = [] if self._everybody else [ipaddress.ip_network(form) for form in forms]
        self.held: Counter[str] = Counter()

    def counted_as(self, address: str) -> str:
        """What an address counts as: a proxy as itself, others as their network."""
        return address if self._has_whole(address) else network(address)

    def _has_whole(self, address: str) -> bool:
        try:
            read = _unwrapped(address)
        except ValueError:
            return self._everybody
        return self._everybody or any(read in proxies for proxies in self._whole)

    def of(self, counted: str) -> int:
        """How many one may have that is counted as this."""
        return self.most if self._has_whole(counted) else max(1, self.most // 2)

    def take(self, counted: str) -> bool:
        """One more; False where it, or all together, have what they may have."""
        if self.held.total() >= self.most or self.held[counted] >= self.of(counted):
            return False
        self.held[counted] += 1
        return True

    def give_back(self, counted: str) -> None:
        """One that it took."""
        self.held[counted] -= 1
        if not self.held[counted]:
            del self.held[counted]
