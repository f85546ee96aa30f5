"""The addresses that the unmodified SDK prints lead to the pages of what they are printed for."""

from __future__ import annotations

from ..running import Running
from . import printed
from .conftest import Flow


def test_every_printed_address_leads_to_the_page_of_its_task(flow: Flow, server: Running) -> None:
    addresses = printed.addresses_in(server, flow("addresses.py"))
    assert len(addresses) == 3
    assert all(addresses.values())
    kinds = {
        address.removeprefix(server.web).split("/")[1] for of_it in addresses.values() for address in of_it
    }
    assert kinds == {"projects", "datasets", "pipelines"}
    assert printed.not_found(server, addresses) == []
