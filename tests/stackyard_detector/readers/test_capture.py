from __future__ import annotations

from stackyard_detector.readers.capture import Capture, NamedGroups


def test_of_several_patterns_and_alternations_the_first_that_fits_counts():
    capture = Capture([r"(ASA)-(\d)", r"sid:(\d+)|rev:(\d+)"])
    assert capture.first("x ASA-4 sid:7") == "ASA|4"
    assert capture.first("rev:3 sid:7") == "3"
    assert capture.first("nothing") is None


def test_all_matches_are_found_once_each_and_in_order():
    assert Capture([r"(blk_\d+)"]).all("blk_2 blk_1 blk_2") == ["blk_2", "blk_1"]
    assert Capture([r"user=(\w+)", r"(\w+)@(\w+)"]).all("a@b c@d") == ["a|b", "c|d"]
    assert Capture([r"user=(\w+)"]).all("nobody") == []


def test_named_groups_of_the_first_pattern_that_fits():
    groups = NamedGroups([r"from (?P<src>\S+)(?: port (?P<port>\d+))?", r"user (?P<user>\S+)"])
    assert groups.of("user root from 8.8.8.8") == {"src": "8.8.8.8", "port": None}
    assert groups.of("user root") == {"user": "root"}
    assert groups.of("") is None
