"""A preset writes the settings; the user's own go before them."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path
from typing import Any, List, Tuple

import pytest

from stackyard_detector.readers.capture import MATCHED_CHARACTERS
from stackyard_detector.readers.guessing import LETTERS
from stackyard_detector.readers.presets import PRESETS, without_preset
from stackyard_detector.readers.presets.preset import SERVICE, Preset, settings_with
from stackyard_detector.readers.source import checked_sources
from stackyard_task.channel import BadInput
from tests.stackyard_detector.readers.presets import test_firewalls, test_hosts, test_sensors, test_services
from tests.stackyard_detector.readers.presets.trying import read

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


def test_every_preset_is_read_by_the_tests_of_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests beside this one are run once more, and every preset has given events in one of them."""
    given = set()

    def recorded(folder: Path, preset: str, *args: Any, **own: Any) -> List[Tuple[str, List[str]]]:
        found = read(folder, preset, *args, **own)
        if any(events for _, events in found):
            given.add(preset)
        return found

    for module in (test_firewalls, test_hosts, test_sensors, test_services):
        monkeypatch.setattr(module, "read", recorded)
        for name, test in list(vars(module).items()):
            if name.startswith("test_"):
                (names, values) = next((mark.args for mark in getattr(test, "pytestmark", ())), ("", [""]))
                for value in values:
                    several = not isinstance(names, str)
                    test(
                        tmp_path, **(dict(zip(names, value)) if several else {names: value} if names else {})
                    )
    assert {preset.name for preset in PRESETS} - given == set()


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
        "type=A msg=audit(1.5:1): ses=4294967295 ",
        " addr=? exe=",
        "dst_port=",
        '[08/Jan/2026:03:37:09 +0100] "',
        "\\",
        "2,",
    ),
)


def test_no_line_takes_a_pattern_long() -> None:
    """Lines of attackers: pieces of all forms repeated to the length up to which lines are matched, or looked at."""
    patterns = {}
    for preset in PRESETS:
        for key in ("fields", "key_pattern", "event_pattern", "time_pattern"):
            given = preset.settings.get(key, [])
            for pattern in [given] if isinstance(given, str) else given:
                patterns[pattern] = MATCHED_CHARACTERS
        if preset.looks:
            patterns.setdefault(preset.looks, LETTERS)
    compiled = [(re.compile(pattern), most) for pattern, most in patterns.items()]
    for one, other in itertools.product(
        PIECES, ("", "Jan  8 03:37:09 h kernel: ", "01/08-03:37:09.1 [**] [1:1:1] ")
    ):
        line = other + one * (MATCHED_CHARACTERS // len(one) + 1)
        for pattern, most in compiled:
            began = time.process_time()
            pattern.search(line, 0, most)
            assert time.process_time() - began < 1, (pattern.pattern, one, other)


@pytest.mark.parametrize(
    ("name", "head", "piece"),
    [
        ("sshd", "<38>1 2026-01-08T03:37:10.5Z host sshd 44255 - ", '[a b="c"]'),
        ("netfilter", "<4>1 2026-01-08T03:37:09Z gw kernel - - ", '[a b="c"]'),
        ("asa", "Jan  8 03:37:09 h %ASA-4-430003: ", "SrcIP: "),
        ("asa", "Jan  8 03:37:09 h %ASA-4-106023: Deny ", "::"),
        ("sshd", "Jan  8 03:37:09 h sshd[1]: ", "198.51.100.7 port 1 ssh2: a SHA256:b ID "),
        ("sshd", "Jan  8 03:37:09 h sshd[1]: ", "198.51.100.7 port 22 "),
        ("sshd", "Jan  8 03:37:09 h sshd[1]: Failed none for ", "from 198.51.100.7 "),
        ("sshd", "Jan  8 03:37:09 h sshd[1]: Disconnecting ", "a : Change of username "),
        ("sshd", "Jan  8 03:37:09 h sshd[1]: Disconnecting : Change of username ", " port 198.51.100.7"),
        ("sshd", "Jan  8 03:37:09 h sshd[1]: pam_a: ", "rhost=::"),
        ("sshd", "Jan  8 03:37:09 h sshd[1]: reverse mapping checking ", "[198.51.100.7] "),
        ("sshd", "Jan  8 03:37:09 h sshd[1]: ", "::1 port 1"),
        ("asa", "%ASA-4-109006: A for user ", " from 198.51.100.7/1 to "),
        ("asa", "%ASA-5-111010: User ", " from IP ::1"),
        ("ufw", "Jan  8 03:37:09 gw ", "[UFW A] "),
        ("netfilter", "Jan  8 03:37:09 ", "a[1] "),
        ("auditd", "type=A msg=audit(1.5:1): ", '"" addr=?'),
        ("fortigate", "", ' service="tcp/1"'),
    ],
)
def test_no_message_behind_a_header_takes_a_pattern_long(name: str, head: str, piece: str) -> None:
    (preset,) = [preset for preset in PRESETS if preset.name == name]
    line = (head + piece * (MATCHED_CHARACTERS // len(piece)))[:MATCHED_CHARACTERS]
    for key in ("fields", "key_pattern", "event_pattern"):
        given = preset.settings.get(key, [])
        for pattern in [given] if isinstance(given, str) else given:
            began = time.process_time()
            re.search(pattern, line)
            assert time.process_time() - began < 1, pattern


def test_the_page_lists_the_ports_that_are_services() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs" / "log-formats.md").read_text(encoding="utf-8")
    listed = {int(port) for port in page.split("or one of these. Any other")[1].split("```")[1].split()[1:]}
    assert listed == {port for port in range(1024, 65536) if re.fullmatch(SERVICE, str(port))}
