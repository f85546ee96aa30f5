"""The addresses that the unmodified SDK prints lead to the pages of what they are printed for."""

from __future__ import annotations

import re
import time

import httpx

from stackyard_server import identity

from ..running import Running
from .conftest import Flow

LOGIN, PASSWORD = "reader", "correct horse battery"


def test_every_printed_address_leads_to_the_page_of_its_task(flow: Flow, server: Running) -> None:
    with server.store.writing() as tx:
        identity.add_user(tx, int(time.time() * 1000), name="Reader", login=LOGIN, password=PASSWORD)
    printed = flow("addresses.py")
    ids = re.findall(r"^ID (\w+)$", printed, re.MULTILINE)
    addresses = set(re.findall(rf"{re.escape(server.web)}/\S+", printed))
    found = {id: {address for address in addresses if id in address} for id in ids}
    assert len(ids) == 3, printed
    assert all(found.values()), printed
    assert addresses == set().union(*found.values()), "an address of something else"
    kinds = {address.removeprefix(server.web).split("/")[1] for address in addresses}
    assert kinds == {"projects", "datasets", "pipelines"}
    with httpx.Client(follow_redirects=True) as visitor:
        for id, of_it in found.items():
            for address in of_it:
                visitor.cookies.clear()
                form = visitor.get(address)
                after = re.search(r'name="next" value="([^"]+)"', form.text)
                assert after, f"{address} is not remembered while one signs in"
                page = visitor.post(
                    f"{server.web}/login", headers={"Origin": server.web},
                    data={"login": LOGIN, "password": PASSWORD, "next": after[1]},
                )  # fmt: skip
                assert page.status_code == 200, (address, page.text)
                assert page.url.path.startswith(f"/tasks/{id}"), address
