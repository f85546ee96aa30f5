"""Names of hosts as addresses: a firewall holds these, for no name can be asked for while a host starts."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Any

from ansible.errors import AnsibleFilterError


def as_addresses(names: Iterable[str]) -> list[str]:
    """Addresses and networks as they are, names as what this machine's resolver says of them; sorted, each once.

    Raises:
        AnsibleFilterError: a name has no address.
    """
    found: set[str] = set()
    for name in map(str, names):
        try:
            ipaddress.ip_network(name, strict=False)
        except ValueError:
            found.update(_resolved(name))
        else:
            found.add(name)
    return sorted(found)


def _resolved(name: str) -> set[str]:
    try:
        told = socket.getaddrinfo(name, None, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise AnsibleFilterError(
            f"{name} has no address that this machine knows: give the host's ansible_host in the inventory"
        ) from error
    return {str(row[4][0]).partition("%")[0] for row in told}


def holds_address(networks: Iterable[str], address: str) -> bool:
    """Whether one of these addresses, networks and names is or holds an address."""
    one = ipaddress.ip_address(address)
    return any(one in ipaddress.ip_network(each, strict=False) for each in as_addresses(networks))


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {"as_addresses": as_addresses, "holds_address": holds_address}
