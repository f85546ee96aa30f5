"""A preset writes the settings; the user's own go before them."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path

import pytest

from stackyard_detector.readers.capture import MATCHED_CHARACTERS
from stackyard_detector.readers.presets import PRESETS, without_preset
from stackyard_detector.readers.presets.preset import Preset, settings_with
from stackyard_detector.readers.source import checked_sources
from stackyard_task.channel import BadInput

ONE = Preset(
    "one",
    "",
    "",
    "",
    {"format": "jsonl", "external_key": {"columns": ["a", "b"]}, "event_column": "e", "time_column": "t"},
)

PAGE = Path(__file__).resolve().parents[4] / "docs" / "log-formats.md"


def test_the_users_own_settings_go_first() -> None:
    found = settings_with(
        ONE, {"preset": "one", "path": "p", "session_minutes": 5, "event_column": ["e", "f"]}
    )
    assert found == {
        "format": "jsonl",
        "external_key": {"columns": ["a", "b"]},
        "event_column": ["e", "f"],
        "time_column": "t",
        "path": "p",
        "session_minutes": 5,
    }


def test_what_says_the_same_in_another_way_takes_its_place() -> None:
    found = settings_with(ONE, {"path": "p", "key_column": "user"})
    assert "external_key" not in found
    assert found["key_column"] == "user"


def test_networks_of_the_users_own_need_no_columns() -> None:
    found = settings_with(ONE, {"path": "p", "external_key": {"internal": ["203.0.113.0/24"]}})
    assert found["external_key"] == {"columns": ["a", "b"], "internal": ["203.0.113.0/24"]}


def test_a_preset_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadInput, match=r"sources\[0\]: preset is 'nope', expected one of .*suricata-eve"):
        checked_sources({"sources": [{"path": "p", "preset": "nope"}]})


def test_every_preset_is_a_source_that_can_be_read() -> None:
    assert len({preset.name for preset in PRESETS}) == len(PRESETS)
    for preset in PRESETS:
        (source,) = checked_sources({"sources": [{"path": "p", "preset": preset.name}]})
        assert source.format == preset.settings["format"]
        assert dict(source.given) == without_preset({"path": "p", "preset": preset.name}, "")
        assert preset.product, preset.name
        assert preset.help, preset.name
        assert preset.document, preset.name


def test_every_preset_is_on_its_page_with_its_document() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    for preset in PRESETS:
        (row,) = [row for row in rows if row.startswith(f"| `{preset.name}` |")]
        assert f"| {preset.product} |" in row
        assert f"[{preset.document}](https://" in row
        assert all(part.replace("a session is ", "") in row for part in preset.help.split("; an event is "))
    assert len(rows) == len(PRESETS)


def test_every_preset_is_tried_on_lines_in_the_form_of_its_document() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    for preset in PRESETS:
        name = f'"{preset.name}"' if not preset.name.startswith("zeek-") else f'"{preset.name[5:]}"'
        assert name in tests, preset.name


PIECES = (
    *(
        " ",
        "=",
        ",",
        '"',
        "[",
        "{",
        "]: ",
        "%ASA-4-106023: ",
        "198.51.100.7 ",
        "::",
        "sshd[1]: ",
        "kernel: ",
        "filterlog ",
    ),
    *(
        "[UFW ",
        "[**] ",
        "CEF:0|",
        '"ts":',
        "IN=",
        "msg=audit(",
        "dst_port=",
        '[08/Jan/2026:03:37:09 +0100] "',
        "\\",
        "2,",
    ),
)


def test_no_line_takes_a_pattern_long() -> None:
    """Lines of attackers: pieces of all forms repeated to the length up to which lines are matched, within seconds."""
    patterns = []
    for preset in PRESETS:
        for key in ("fields", "key_pattern", "event_pattern", "time_pattern"):
            given = preset.settings.get(key, [])
            patterns += [given] if isinstance(given, str) else given
        patterns += [preset.looks]
    compiled = [re.compile(pattern) for pattern in dict.fromkeys(patterns)]
    began = time.process_time()
    for one, other in itertools.product(
        PIECES, ("", "Jan  8 03:37:09 h kernel: ", "01/08-03:37:09.1 [**] [1:1:1] ")
    ):
        line = other + one * (MATCHED_CHARACTERS // len(one) // 8)
        for pattern in compiled:
            pattern.search(line)
    assert time.process_time() - began < 20
