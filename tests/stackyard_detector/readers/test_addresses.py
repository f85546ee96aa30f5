from __future__ import annotations

import pytest

from stackyard_detector.readers.addresses import ExternalAddress
from stackyard_task.channel import BadInput

INTERNAL = [
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "127.0.0.1",
    "169.254.7.7",
    "100.64.0.1",
    "100.127.255.255",
    "224.0.0.251",
    "255.255.255.255",
    "0.0.0.0",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::fb",
    "::",
    "::ffff:10.0.0.1",
]
EXTERNAL = [
    "8.8.8.8",
    "172.32.0.1",
    "172.15.0.1",
    "100.63.0.1",
    "100.128.0.1",
    "198.18.0.1",
    "203.0.113.9",
    "2001:db8::1",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("text", INTERNAL)
def test_private_loopback_link_local_and_shared_ranges_are_internal(text):
    assert ExternalAddress().is_external(text) is False


@pytest.mark.parametrize("text", EXTERNAL)
def test_all_others_are_external(text):
    assert ExternalAddress().is_external(text) is True


def test_networks_of_the_user_are_internal_too():
    chooser = ExternalAddress(["203.0.113.0/24", "2001:db8::/32"])
    assert chooser.choose(["203.0.113.9", "198.51.100.1"]) == "198.51.100.1"
    assert chooser.choose(["2001:db8::9", None]) is None


def test_the_first_external_one_is_chosen_and_no_address_is_none():
    chooser = ExternalAddress()
    assert chooser.choose(["10.0.0.1", "8.8.8.8"]) == "8.8.8.8"
    assert chooser.choose(["8.8.8.8", "9.9.9.9"]) == "8.8.8.8"
    assert chooser.choose(["host-a", "", None, "10.0.0.1"]) is None


def test_a_text_that_is_no_network_is_refused():
    with pytest.raises(BadInput, match=r"'10.0.0.0/99' is not a network"):
        ExternalAddress(["10.0.0.0/99"])
