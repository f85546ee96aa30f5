"""Descriptors: what is kept free, and what one address may have."""

from __future__ import annotations

import resource

import pytest
from uvicorn.middleware.proxy_headers import _TrustedHosts

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


@pytest.mark.promise("descriptors-shared")
@pytest.mark.parametrize(
    ("named", "proxy", "other"),
    [
        ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("10.0.0.1", "::ffff:10.0.0.1", "::ffff:10.0.0.2"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("127.0.0.0/8", "127.8.8.8", "128.0.0.1"),
        ("127.0.0.0/8", "::ffff:127.0.0.1", "::ffff:128.0.0.1"),
        ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ("2001:db8::/32", "2001:db8:7::1", "2001:db9::1"),
        ("fe80::1", "fe80::1%eth0", "fe80::2%eth0"),
    ],
)
def test_a_proxy_is_known_however_it_is_named_and_connects(named: str, proxy: str, other: str) -> None:
    held = shares.Shares(lambda: 10, [named])
    assert [held.take(held.counted_as(other)) for _ in range(6)] == [True] * 5 + [False]
    assert all(held.take(held.counted_as(proxy)) for _ in range(5))
    assert not held.take(held.counted_as(proxy)), "all are taken"
    for _ in range(5):
        held.give_back(held.counted_as(other))
    assert all(held.take(held.counted_as(proxy)) for _ in range(5)), "it may have them all"
    believed = _TrustedHosts(shares.believed([named]))
    assert proxy.partition("%")[0] in believed
    assert other.partition("%")[0] not in believed


def test_everybody_may_be_a_proxy() -> None:
    held = shares.Shares(lambda: 10, ["10.0.0.1", "*"])
    assert held.of(held.counted_as("2001:db8::1")) == 10
    assert shares.believed(["10.0.0.1", "*"]) == ["*"]


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    assert shares.network("2001:db8::1") == shares.network("2001:db8::ffff:1")
    assert shares.network("2001:db8::1") != shares.network("2001:db8:0:1::1")
    assert shares.network("10.0.0.1") == shares.network("::ffff:10.0.0.1") == "10.0.0.1"
