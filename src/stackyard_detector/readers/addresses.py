"""Which address of a record is the external one: the party outside the user's networks.

Standard library only.
"""

from __future__ import annotations

import ipaddress
from typing import Dict, Iterable, List, Optional, Tuple, Union

from stackyard_task.channel import BadInput

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

#: Never an external host. Listed here and not asked of ``ipaddress.is_private``: that answer differs between
#: Python versions, and it counts the documentation ranges, which simulated logs use as outside addresses.
INTERNAL_NETWORKS = (
    "10.0.0.0/8",  # private, RFC 1918
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",  # carrier-grade NAT, RFC 6598
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local
    "0.0.0.0/8",  # "this" network
    "224.0.0.0/4",  # multicast
    "255.255.255.255/32",
    "::/128",
    "::1/128",
    "fc00::/7",  # unique local, RFC 4193
    "fe80::/10",
    "ff00::/8",
)

#: Addresses remembered before the memory starts anew: a scan can bring millions.
REMEMBERED = 200_000


class ExternalAddress:
    """Chooses the external address among the columns of a record.

    Args:
        internal: networks of the user's own ("203.0.113.0/24"), beside the private ranges.

    Raises:
        BadInput: a text that is not a network.
    """

    def __init__(self, internal: Iterable[str] = ()) -> None:
        self._v4: List[Tuple[int, int]] = []
        self._v6: List[Tuple[int, int]] = []
        for text in (*INTERNAL_NETWORKS, *internal):
            try:
                network = ipaddress.ip_network(text, strict=False)
            except ValueError as error:
                raise BadInput(
                    f"internal network {text!r} is not a network; expected e.g. '203.0.113.0/24'"
                ) from error
            known = self._v4 if network.version == 4 else self._v6
            known.append((int(network.netmask), int(network.network_address)))
        self._remembered: Dict[str, Optional[bool]] = {}

    def is_external(self, text: str) -> Optional[bool]:
        """Whether ``text`` is an address outside; ``None``: not an address at all."""
        if text in self._remembered:
            return self._remembered[text]
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[text] = answer = self._judge(text)
        return answer

    def choose(self, candidates: Iterable[Optional[str]]) -> Optional[str]:
        """The first external address among ``candidates``, in its one spelling; ``None``: there is none."""
        for text in candidates:
            if text and self.is_external(text):
                return one_spelling(text)
        return None

    def _judge(self, text: str) -> Optional[bool]:
        try:
            address = ipaddress.ip_address(text.strip().strip("[]").split("%", 1)[0])
        except ValueError:
            return None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        number = int(address)
        known = self._v4 if address.version == 4 else self._v6
        return not any(number & mask == base for mask, base in known)


def one_spelling(text: str) -> str:
    """``text``, or, where it is an IPv6 address, its one spelling (RFC 5952): one party has one key.

    Brackets go, an IPv4 address written as IPv6 becomes IPv4; a zone ("%eth0") stays.
    """
    if ":" not in text:
        return text
    bare, percent, zone = text.strip().strip("[]").partition("%")
    try:
        address = ipaddress.IPv6Address(bare)
    except ValueError:
        return text
    return str(address.ipv4_mapped or address.compressed) + percent + zone
