"""What the SDK printed as addresses of the web app, and whether each leads to the page of what it was printed for."""

from __future__ import annotations

import re
import time

import httpx

from stackyard_server import identity

from ..running import Running

LOGIN, PASSWORD = "reader", "correct horse battery"


def addresses_in(server: Running, printed: str) -> dict[str, list[str]]:
    """The addresses of the web port by the id they were printed for (a line ``ID ...``)."""
    ids = re.findall(r"^ID (\w+)$", printed, re.MULTILINE)
    addresses = sorted(set(re.findall(rf"{re.escape(server.web)}/\S+", printed)))
    return {id: [address for address in addresses if id in address] for id in ids}


def not_found(server: Running, addresses: dict[str, list[str]]) -> list[str]:
    """Those that do not lead to the page of their id, for somebody who has to sign in first."""
    with server.store.writing() as tx:
        identity.add_user(tx, int(time.time() * 1000), name="Reader", login=LOGIN, password=PASSWORD)
    return [
        address for id, of_it in addresses.items() for address in of_it if not _leads_to(server, address, id)
    ]


def _leads_to(server: Running, address: str, id: str) -> bool:
    with httpx.Client(follow_redirects=True) as visitor:
        form = visitor.get(address)
        after = re.search(r'name="next" value="([^"]+)"', form.text)
        page = visitor.post(
            f"{server.web}/login", headers={"Origin": server.web},
            data={"login": LOGIN, "password": PASSWORD, "next": after[1] if after else "/"},
        )  # fmt: skip
        return page.status_code == 200 and page.url.path.startswith(f"/tasks/{id}")
