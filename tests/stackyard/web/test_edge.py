"""Which hosts and origins count as ours."""

from __future__ import annotations

import pytest

from stackyard.web.edge import Names


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("127.0.0.1:8090", True),
        ("localhost:8090", True),
        ("LOCALHOST:8090", True),
        ("[::1]:8090", True),
        ("127.0.0.1", False),
        ("127.0.0.1:8091", False),
        ("evil.example:8090", False),
        ("127.0.0.1.evil.example:8090", False),
        ("10.0.0.5:8090", False),
        ("", False),
        ("127.0.0.1:8090@evil.example", False),
    ],
)
def test_a_server_on_loopback_is_called_by_loopback_names(host: str, good: bool) -> None:
    assert Names("127.0.0.1", 8090).has(host) is good


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("10.0.0.5:8090", True),
        ("[fd00::5]:8090", True),
        ("localhost:8090", True),
        ("lab:8090", True),
        ("evil.example:8090", False),
        ("10.0.0.5:80", False),
        ("1.2.3.4.evil.example:8090", False),
        ("[evil]:8090", False),
    ],
)
def test_one_on_all_addresses_takes_bare_addresses_and_the_machines_name(host: str, good: bool) -> None:
    assert Names("0.0.0.0", 8090, machine=("lab",)).has(host) is good


def test_one_behind_a_proxy_is_called_as_browsers_call_it() -> None:
    names = Names("127.0.0.1", 8090, "https://lab.example")
    assert names.has("lab.example")
    assert names.has("127.0.0.1:8090")
    assert not names.has("other.example")
    assert (names.address, names.secure) == ("https://lab.example", True)


@pytest.mark.parametrize(
    ("origin", "good"),
    [
        ("http://127.0.0.1:8090", True),
        ("http://localhost:8090", True),
        ("http://127.0.0.1:8080", False),
        ("http://evil.example:8090", False),
        ("null", False),
        ("", False),
        ("file://", False),
        ("http://127.0.0.1:8090/page", False),
        ("javascript://127.0.0.1:8090", False),
        ("http://[", False),
    ],
)
def test_forms_come_from_our_own_pages(origin: str, good: bool) -> None:
    assert Names("127.0.0.1", 8090).is_origin(origin) is good
