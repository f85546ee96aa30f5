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
