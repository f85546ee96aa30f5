"""Descriptors: what is kept free, and what one address may have."""

from __future__ import annotations

import resource

import pytest

from stackyard_server.http import shares
from stackyard_server.protocol.bounds import DESCRIPTORS


@pytest.mark.promise("descriptors-shared")
@pytest.mark.parametrize("allowed", [512, 1024, 4096, 1_000_000])
def test_descriptors_stay_free(monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (allowed, allowed))
    taken = shares.most_connections() + shares.most_files() + DESCRIPTORS["own"]
    assert allowed - taken >= DESCRIPTORS["kept_free"]
    assert shares.most_connections() > allowed // 5 or shares.most_connections() == DESCRIPTORS["connections"]


@pytest.mark.promise("descriptors-shared")
def test_one_address_has_half_and_a_named_proxy_all() -> None:
    held = shares.Shares(lambda: 10, ["10.0.0.1"])
    assert [held.take("10.0.0.2") for _ in range(7)] == [True] * 5 + [False] * 2
    assert held.take("10.0.0.3")
    held.give_back("10.0.0.2")
    assert held.take("10.0.0.2")
    assert [held.take("10.0.0.1") for _ in range(5)] == [True] * 4 + [False]


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    assert shares.network("2001:db8::1") == shares.network("2001:db8::ffff:1")
    assert shares.network("2001:db8::1") != shares.network("2001:db8:0:1::1")
    assert shares.network("10.0.0.1") == "10.0.0.1"
