"""Logs of Zeek: the header's words, what is absent, and the same sessions from tabs and from JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Tuple

import pytest

from stackyard_detector.readers import Quarantine, read_sessions
from stackyard_task.channel import BadInput

HEAD = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n"


def read(folder: Path, text: str, **own: Any) -> Tuple[List[Tuple[str, List[str]]], Quarantine]:
    path = folder / "x.log"
    path.write_text(text, encoding="utf-8")
    source = {
        "path": str(path),
        "format": "zeek",
        "key_column": "id.orig_h",
        "event_column": ["query", "rcode"],
        **own,
    }
    quarantine = Quarantine()
    sessions = [(s.key, list(s.events)) for s in read_sessions({"sources": [source]}, quarantine)]
    return sessions, quarantine


def test_unset_is_absent_and_empty_is_empty(tmp_path: Path) -> None:
    """Case D2, as text: the unanswered query is an event."""
    text = (
        f"{HEAD}#fields\tts\tid.orig_h\tquery\trcode\tAA\n#types\ttime\taddr\tstring\tstring\tbool\n"
        "1704685029.1\t10.0.0.5\twww.example.org\tNOERROR\tT\n"
        "1704685030.2\t10.0.0.5\tnope.example.org\t-\tF\n"
        "1704685031.2\t10.0.0.5\t(empty)\tNOERROR\t-\n"
        "1704685032.2\t10.0.0.5\ttab\\x09and \\xc3\\xa4\tREFUSED\tT\n"
        "1704685033.2\t10.0.0.5\tshort\n"
        "1704685034.2\t-\tno key\tX\tT\n"
        "#close\t2024-01-08-04-00-00\n"
    )
    sessions, quarantine = read(tmp_path, text, time_column="ts")
    assert sessions == [
        ("10.0.0.5", ["www.example.org|NOERROR", "nope.example.org|", "|NOERROR", "tab\tand ä|REFUSED"])
    ]
    assert quarantine.count == 2
    only, _ = read(tmp_path, text, where={"AA": "true"})
    assert only[0][1] == ["www.example.org|NOERROR", "tab\tand ä|REFUSED"]


def test_another_separator_and_joined_files(tmp_path: Path) -> None:
    text = (
        "#separator |\n#unset_field|?\n#fields|id.orig_h|query|rcode\n10.0.0.5|a|?\n"
        "#separator \\x2c\n#fields,rcode,extra,id.orig_h,query\nX,1,10.0.0.5,b\n"
    )
    assert read(tmp_path, text)[0] == [("10.0.0.5", ["a|", "b|X"])]


def test_json_gives_the_same(tmp_path: Path) -> None:
    text = '{"ts":1704685029.1,"id.orig_h":"10.0.0.5","query":"a","AA":true}\n'
    assert read(tmp_path, text, where={"AA": "true"})[0] == [("10.0.0.5", ["a|"])]


@pytest.mark.parametrize("text", ["", "10.0.0.5\ta\tb\n", HEAD + "10.0.0.5\ta\tb\n", HEAD])
def test_what_is_no_log_of_zeek_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(tmp_path, text)
    assert "\n" not in str(refused.value)
