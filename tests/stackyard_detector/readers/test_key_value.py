from __future__ import annotations

import pytest

from stackyard_task.channel import BadInput

LINES = """\
<134>fw day=2024-01-01 time=00:00:01 srcip=198.51.100.7 dstip=10.0.0.5 action="accept" service=TLS msg="b=c d"
<134>fw1 day=2024-01-01 time=00:00:02 srcip=10.0.0.5 dstip=198.51.100.7 action=deny service=SSH
<134>fw1 day=2024-01-01 time=00:00:03 srcip=10.0.0.5 dstip=10.0.0.6 action=deny service=SSH
a line without any pair
<134>fw1 day=2024-01-01 time=00:00:04 srcip=203.0.113.1 dstip=10.0.0.5 action=blocked-inline service=SMB
"""
SETTINGS = {
    "format": "key-value",
    "external_key": {"columns": ["srcip", "dstip"]},
    "time_column": ["day", "time"],
    "event_column": ["action", "service"],
    "action_map": {"accept": "Allow", "deny": "Deny", "blocked-inline": "Inline"},
}


def test_actions_are_mapped_and_sessions_are_per_external_address(write, read):
    sessions, quarantine = read(write("fw.log", LINES), **SETTINGS)
    assert [(s.key, s.events, s.started_at) for s in sessions] == [
        ("198.51.100.7", ["Allow|TLS", "Deny|SSH"], 1704067201.0),
        ("203.0.113.1", ["Inline|SMB"], 1704067204.0),
    ]
    assert quarantine.count == 1
    assert "line 4: has no key=value pair" in quarantine.first


def test_own_public_networks_are_internal(write, read):
    key = {"columns": ["srcip", "dstip"], "internal": ["198.51.100.0/24"]}
    sessions, _ = read(write("fw.log", LINES), **{**SETTINGS, "external_key": key})
    assert [s.key for s in sessions] == ["203.0.113.1"]


def test_quoted_values_may_hold_spaces_and_equal_signs(write, read):
    sessions, _ = read(
        write("fw.log", LINES),
        format="key-value",
        key_column="srcip",
        event_column="msg",
        where={"service": "TLS"},
    )
    assert sessions[0].events == ["b=c d"]


def test_a_file_of_another_kind_holds_no_session(write, read):
    with pytest.raises(
        BadInput, match=r"holds no session \(1 line is corrupt, the first: .* has no key=value pair"
    ):
        read(write("fw.log", "plain prose\n"), **SETTINGS)
