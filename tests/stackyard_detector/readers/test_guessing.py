"""What a file without settings is taken for, and why."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from stackyard_detector.readers import guessing
from stackyard_task.channel import BadInput

CASES: Dict[str, Any] = {
    "JSON lines": (
        [
            '{"ts": 1704685029.1, "user": "a", "action": "x"}',
            '{"ts": 1704685030.1, "user": "a", "action": "y"}',
        ],
        {
            "format": "jsonl",
            "key_column": "user",
            "event_column": "action",
            "time_column": "ts",
            "session_minutes": 30,
        },
    ),
    "objects in JSON": (
        ['{"@timestamp": "2024-01-08T03:37:09Z", "remote": {"ip": "198.51.100.7"}, "rule": {"id": "R1"}}'],
        {
            "format": "jsonl",
            "key_column": "remote.ip",
            "event_column": "rule.id",
            "time_column": "@timestamp",
            "session_minutes": 30,
        },
    ),
    "milliseconds": (
        [
            '{"time": 1704685029000, "user": "a", "action": "x"}',
            '{"time": 1704685030000, "user": "a", "action": "y"}',
        ],
        {
            "format": "jsonl",
            "key_column": "user",
            "event_column": "action",
            "time_column": "time",
            "session_minutes": 30,
            "time_unit": "ms",
        },
    ),
    "CSV": (
        ["a;srcip;dstip;action", "1;198.51.100.7;10.0.0.5;deny", "2;198.51.100.7;10.0.0.5;allow"],
        {
            "format": "csv",
            "delimiter": ";",
            "external_key": {"columns": ["srcip", "dstip"], "if_none": "first"},
            "event_column": "action",
        },
    ),
    "sessions in CSV": (["key,label,events", "a,0,1 2 3", "b,1,4 5"], {"format": "csv-sequences"}),
    "sequences": (["1 2 3 1", "E5 E7", "4 4 4"], {"format": "sequences"}),
    "pairs": (
        ["x=1 usr=a act=deny q=2", "x=2 usr=a act=allow q=3"],
        None,
    ),
    "raw lines": (
        ["connection of 198.51.100.7 closed", "connection of 198.51.100.9 opened", "nothing"],
        {"format": "lines", "key_pattern": r"\b((?:\d{1,3}\.){3}\d{1,3})\b"},
    ),
    "blocks": (
        ["Receiving block blk_-1 x", "Deleting block blk_22 x"],
        {"format": "lines", "key_pattern": r"(blk_-?\d+)"},
    ),
}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[1] is not None])
def test_a_file_is_taken_for_what_it_looks_like(name: str) -> None:
    lines, settings = CASES[name]
    guess = guessing.guessed(lines)
    assert guess.settings == settings
    assert guess.settings["format"] in guess.why


@pytest.mark.parametrize(
    "lines",
    [[], ["   "], ["only words here", "and here too"], ["x=1 usr=a act=deny q=2", "x=2 usr=b act=allow q=3"]],
)
def test_where_nothing_can_be_chosen_it_says_what_to_set(lines: List[str]) -> None:
    with pytest.raises(BadInput, match=r"set key_column|say format|say what makes a session"):
        guessing.guessed(lines)


@pytest.mark.parametrize("lines", [["ElfFile\0\0\0", "\x02"], ["\ufffdPNG", "\ufffd\ufffd x \ufffd"]])
def test_what_is_no_text_says_how_to_make_it_one(lines: List[str]) -> None:
    with pytest.raises(BadInput, match=r"encoding.*evtx_dump"):
        guessing.guessed(lines)


FIREWALL = [
    f"<4>Nov  2 00:08:{i:02d} gw-01 UDMPRO,788a20aabbcc,UDM-Pro-3.2.12: [WAN_IN-3001-A]IN=eth8 OUT= MAC=78:8a "
    f"SRC=192.0.2.{i} DST=203.0.113.10 LEN=60 PROTO={('TCP', 'UDP')[i % 2]} SPT=19610 DPT=443 LEN=40"
    for i in range(20)
]


def test_a_preset_that_reads_nothing_is_not_proposed() -> None:
    assert guessing.guessed(FIREWALL).settings == {"preset": "netfilter"}
    asked: List[Any] = []
    found = guessing.guessed(FIREWALL, {}, lambda settings: asked.append(settings["preset"]))  # type: ignore[arg-type,func-returns-value]
    assert "netfilter" in asked
    assert found.settings["format"] == "key-value"


def test_given_settings_are_heeded_before_anything_is_guessed() -> None:
    journal = [f'{{"_HOSTNAME": "bastion", "_PID": "{i}", "MESSAGE": "line {i * i}"}}' for i in range(9)]
    with pytest.raises(BadInput, match="set key_column"):
        guessing.guessed(journal)
    found = guessing.guessed(journal, {"key_column": "_HOSTNAME", "event_column": "MESSAGE"})
    assert found.settings == {"format": "jsonl"}
    assert guessing.guessed(["only words here"] * 3, {"key_pattern": r"^(\w+)"}).settings == {
        "format": "lines"
    }


@pytest.mark.parametrize(
    ("lines", "format", "field"),
    [
        (['{"when": "23.11.2026 10:00", "user": "a"}'] * 3, "jsonl", "when"),
        (["when,user", "23.11.2026 10:00,a", "24.11.2026 10:00,b"], "csv", "when"),
        (["Nov 23 10:00:00 gw x"] * 3, "lines", "a part of each line"),
        (["no time here"] * 3, "lines", None),
    ],
)
def test_what_looks_like_a_time_and_is_not_used_is_named(lines: List[str], format: str, field: Any) -> None:
    assert guessing.unused_time(lines, format) == field
