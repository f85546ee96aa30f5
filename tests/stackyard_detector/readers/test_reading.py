from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest

from stackyard_detector.readers import Quarantine, data_checksum, read_sessions
from stackyard_detector.readers.source import FORMATS, KEYS
from stackyard_task.channel import BadInput


def data(path, **settings):
    return {"sources": [{"path": str(path), "format": "sequences", **settings}]}


def test_every_key_and_format_of_a_source_is_documented():
    page = Path(__file__).resolve().parents[3] / "docs" / "data.md"
    text = page.read_text(encoding="utf-8")
    assert [word for word in (*KEYS, *FORMATS) if f"`{word}`" not in text] == []


def test_sources_are_read_one_after_the_other(write):
    sources = [
        {"path": str(write("a", "1 2\n")), "format": "sequences", "label": 0},
        {"path": str(write("b.csv", "events\n3 4\n")), "format": "csv-sequences", "label": 1},
    ]
    sessions = list(read_sessions({"sources": sources}, Quarantine()))
    assert [(s.events, s.label) for s in sessions] == [(["1", "2"], 0), (["3", "4"], 1)]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"format": "parquet"},
            "format is 'parquet', expected one of sequences, csv-sequences, lines, csv, jsonl, key-value",
        ),
        ({"colour": 1}, r"sources\[0\] has no key 'colour'; allowed: action_map"),
        ({"label": 2}, "label is 2, expected 0"),
        ({"label": True}, "label is True"),
        ({"max_events": 0}, "max_events is 0, expected a whole number above 0"),
        ({"session_minutes": -5}, "session_minutes is -5, expected a number above 0"),
        ({"session_minutes": "30"}, "session_minutes is '30'"),
        ({"time_unit": "h"}, "time_unit is 'h', expected one of s, ms, us, ns"),
        ({"time_order": "up"}, "time_order is 'up'"),
        ({"key_column": []}, r"key_column is \[\], expected a text or a list of texts"),
        ({"delimiter": "--"}, "delimiter is '--', expected one character"),
        ({"format": "lines"}, "needs key_pattern"),
        ({"format": "lines", "key_pattern": "("}, "no regular expression"),
        ({"format": "lines", "key_pattern": "blk"}, "0 groups, expected at least one"),
        ({"format": "csv"}, "needs key_column or external_key"),
        ({"format": "csv", "key_column": "ip"}, "needs event_column"),
        (
            {"format": "csv", "key_column": "ip", "event_column": "e", "session_minutes": 5},
            "session_minutes needs time_column",
        ),
        ({"external_key": {"column": "a"}}, "external_key is .* expected a table of columns"),
        ({"external_key": {"columns": "a", "if_none": "x"}}, "external_key.if_none is 'x'"),
        ({"action_map": {"a": 1}}, "action_map is"),
        ({"where": "x"}, "where is 'x'"),
    ],
)
def test_settings_that_are_not_allowed_name_key_value_and_what_is_before_anything_is_read(
    tmp_path, settings, sentence
):
    with pytest.raises(BadInput, match=sentence) as caught:
        read_sessions(data(tmp_path / "not there", **settings), Quarantine())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value", [{}, {"sources": []}, {"sources": "a"}, None, {"sources": ["a"]}, {"sources": [{}]}]
)
def test_data_without_usable_sources_is_refused(value):
    with pytest.raises(BadInput, match=r"sources"):
        read_sessions(value, Quarantine())


def test_the_checksum_depends_on_content_and_settings_but_not_on_place_or_compression(write, tmp_path):
    plain = data_checksum(data(write("a", "1 2\n")))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.gz").write_bytes(gzip.compress(b"1 2\n"))
    assert data_checksum(data(tmp_path / "elsewhere" / "b.gz")) == plain
    assert data_checksum(data(write("a", "1 3\n"))) != plain
    assert data_checksum(data(write("a", "1 2\n"), max_events=1)) != plain
    assert len(plain) == 64
    with pytest.raises(BadInput, match="no such file"):
        data_checksum(data(tmp_path / "none"))


def test_a_compressed_file_cut_off_has_no_checksum(write):
    with pytest.raises(BadInput, match="cannot be read"):
        data_checksum(data(write("a.gz", gzip.compress(b"1 2\n" * 1000)[:-9])))


def test_importing_the_readers_imports_nothing_but_the_standard_library():
    import subprocess

    code = "import sys, stackyard_detector.readers\nprint({'drain3', 'numpy', 'orjson', 'torch'} & {*sys.modules})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
