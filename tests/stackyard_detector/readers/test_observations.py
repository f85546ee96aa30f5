"""What rows say: absent parts, keys that are nobody's, addresses in several spellings, times without a year."""

from __future__ import annotations

import json
import os

import pytest

from stackyard_detector.readers import Quarantine
from stackyard_task.channel import BadInput

pytestmark = pytest.mark.python

DNS = """\
{"ts": 1704685029.1, "id.orig_h": "10.0.0.5", "query": "www.example.org", "rcode_name": "NOERROR"}
{"ts": 1704685030.2, "id.orig_h": "10.0.0.5", "query": "nope.example.org"}
{"ts": 1704685031.2, "id.orig_h": "10.0.0.5"}
{"ts": 1704685032.2, "query": "x"}
"""
FLOWS = """\
2 123 eni-0a1b 198.51.100.7 10.0.0.5 40222 22 6 20 4249 1704685029 1704685089 REJECT OK
2 123 eni-0a1b - - - - - - - 1704685089 1704685149 - NODATA
2 123 eni-0a1b 198.51.100.7 10.0.0.5 40223 443 6 10 840 1704685149 1704685209 ACCEPT OK
"""
NAMES = [
    *("version", "account", "interface", "src", "dst", "sport", "dport", "protocol"),
    *("packets", "bytes", "start", "end", "action", "status"),
]


def found(sessions):
    return [(s.key, s.events) for s in sessions]


def test_a_part_of_an_event_that_is_absent_is_a_value_and_an_event_without_any_is_corrupt(write, read):
    settings = {"key_column": "id.orig_h", "time_column": "ts", "event_column": ["query", "rcode_name"]}
    sessions, quarantine = read(write("a.json", DNS), format="jsonl", **settings)
    assert found(sessions) == [("10.0.0.5", ["www.example.org|NOERROR", "nope.example.org|"])]
    assert quarantine.count == 2
    assert quarantine.first.endswith("line 3: has no field 'query', 'rcode_name'")


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("jsonl", '{"a": "1", "b": "2", "e": "x"}\n{"a": "1", "e": "y"}\n{"b": "2", "e": "z"}\n{"e": "w"}\n'),
        ("key-value", "a=1 b=2 e=x\na=1 e=y\nb=2 e=z\ne=w\n"),
        ("csv", "a,b,e\n1,2,x\n1,,y\n,2,z\n,,w\n"),
    ],
)
def test_a_part_of_a_key_that_is_absent_is_a_value_in_every_format(write, read, format, text):
    sessions, quarantine = read(write("a", text), format=format, key_column=["a", "b"], event_column="e")
    assert found(sessions) == [("1|2", ["x"]), ("1|", ["y"]), ("|2", ["z"])]
    assert quarantine.count == 1


@pytest.mark.parametrize("delimiter", [" ", "white space"])
def test_a_table_without_header_has_the_columns_it_is_given_and_a_key_of_a_dash_is_nobodys(
    write, read, delimiter
):
    text = FLOWS if delimiter == " " else FLOWS.replace(" ", " \t ")
    settings = {
        "format": "csv",
        "columns": NAMES,
        "delimiter": delimiter,
        "event_column": ["action", "dport"],
    }
    path = write("flow.log", text)
    sessions, quarantine = read(path, key_column="src", time_column="start", **settings)
    assert found(sessions) == [("198.51.100.7", ["REJECT|22", "ACCEPT|443"])]
    assert (quarantine.count, quarantine.lines) == (0, 3)
    both, _ = read(path, key_column=["src", "dst"], time_column="start", **settings)
    assert [s.key for s in both] == ["198.51.100.7|10.0.0.5"]
    outside, _ = read(
        path, external_key={"columns": ["src", "dst"], "if_none": "first"}, time_column="start", **settings
    )
    assert [s.key for s in outside] == ["198.51.100.7"]
    asked, _ = read(path, key_column="src", nobody=["198.51.100.7"], **settings)
    assert [s.key for s in asked] == ["-"]
    everybody, _ = read(path, key_column="src", nobody=[], **settings)
    assert [s.key for s in everybody] == ["198.51.100.7", "-"]
    with pytest.raises(
        BadInput, match=r"flow.log: columns: has no column 'source'; it has: version, account"
    ):
        read(path, key_column="source", **settings)


def test_a_row_of_another_width_is_corrupt_without_a_header_too(write, read):
    sessions, quarantine = read(
        write("a", "a 1\nb 2 3\nc 3\n"),
        format="csv",
        delimiter=" ",
        columns=["k", "e"],
        key_column="k",
        event_column="e",
    )
    assert [s.key for s in sessions] == ["a", "c"]
    assert quarantine.first.endswith("line 2: has 3 columns, expected 2")


@pytest.mark.parametrize("key", [{"key_column": "ip"}, {"external_key": {"columns": ["ip"]}}])
def test_one_address_in_several_spellings_is_one_key(write, read, key):
    spellings = ["2001:db8::1", "2001:DB8:0:0::1", "2001:0db8:0000:0000:0000:0000:0000:0001", "[2001:db8::1]"]
    mapped = ["198.51.100.7", "::ffff:198.51.100.7", "::ffff:c633:6407"]
    text = "ip,e\n" + "".join(f"{ip},E\n" for ip in [*spellings, *mapped])
    sessions, _ = read(write("a.csv", text), format="csv", event_column="e", **key)
    assert found(sessions) == [("2001:db8::1", ["E"] * 4), ("198.51.100.7", ["E"] * 3)]


NEW_YEAR = """\
Dec 31 23:58:00 h sshd[1]: Connection from 198.51.100.9
Dec 31 23:59:30 h sshd[1]: Failed password for root from 198.51.100.9
Jan  1 00:00:10 h sshd[1]: Accepted password for root from 198.51.100.9
Jan  1 00:00:20 h sshd[1]: session opened for root from 198.51.100.9
Feb 29 00:00:01 h sshd[1]: Accepted password for root from 198.51.100.9
"""
EVENTS = ["Connection from", "Failed password", "Accepted password", "session opened", "Accepted password"]


@pytest.mark.parametrize("given", [{}, {"year": 2023}, {"time_format": "%b %d %H:%M:%S"}])
def test_times_without_a_year_keep_the_order_of_the_file(write, read, given):
    """Whenever the file was written, no line is lost: not of January, nor of 29 February."""
    path = write("auth.log", NEW_YEAR)
    os.utime(path, (0, 1_796_000_000))  # in 2026, of which no February has 29 days
    patterns = {
        "key_pattern": r"from (\S+)",
        "time_pattern": r"^(\w+ +\d+ [\d:]+)",
        "event_pattern": r"\]: (\w+ \w+)",
    }
    (session,), quarantine = read(path, format="lines", **patterns, **given)
    assert session.events == EVENTS
    assert session.started_at == 1704067080.0
    assert quarantine.count == 0
    windows, quarantine = read(
        path, format="lines", session_minutes=30, time_order="sorted", **patterns, **given
    )
    assert [s.events for s in windows] == [EVENTS[:2], EVENTS[2:4], EVENTS[4:]]
    assert quarantine.count == 0


def test_a_year_that_is_none_is_refused(write, read):
    with pytest.raises(BadInput, match="year is 24, expected a whole number from 1990 to 2100"):
        read(write("a", NEW_YEAR), format="lines", key_pattern="(h)", time_pattern="(D.*0)", year=24)


def test_milliseconds_read_as_seconds_are_refused_with_the_unit_they_would_fit(write, read):
    path = write("a.csv", "t,k,e\n" + "".join(f"{1704685029000 + n},k,e\n" for n in range(60)))
    settings = {"format": "csv", "key_column": "k", "event_column": "e", "time_column": "t"}
    with pytest.raises(BadInput, match=r"60 lines are corrupt, the first: .* it would fit time_unit 'ms'"):
        read(path, **settings)
    assert len(read(path, time_unit="ms", **settings)[0]) == 1


def test_where_an_attack_begins_is_told_by_the_rows(write, read):
    text = "t,k,e,l\n" + "".join(
        f"{1704685000 + t},k,E{t},{label}\n" for t, label in [(9, "-"), (5, "x"), (7, "x"), (1, "-")]
    )
    settings = {"format": "csv", "key_column": "k", "event_column": "e", "time_column": "t"}
    path = write("a.csv", text)
    (session,), _ = read(path, label_column="l", **settings)
    assert (session.events, session.label, session.attack_starts_at) == (["E1", "E5", "E7", "E9"], 1, 1)
    assert (session.started_at, session.ended_at) == (1704685001.0, 1704685009.0)
    (cut,), _ = read(path, label_column="l", max_events=1, **settings)
    assert (cut.events, cut.label, cut.attack_starts_at) == (["E1"], 1, 1)
    (whole,), _ = read(path, label=1, **settings)
    assert (whole.label, whole.attack_starts_at) == (1, None)


def test_a_quarantined_row_keeps_the_fields_that_were_wanted(write, read, tmp_path):
    kept = Quarantine(tmp_path / "q.jsonl")
    text = "ip,what,time,more\n198.51.100.7,a,1704685029,x\n,b,1704685030,x\n198.51.100.7,c,later,x\n"
    read(write("a.csv", text), kept, format="csv", key_column="ip", event_column="what", time_column="time")
    kept.finish()
    entries = [json.loads(line) for line in (tmp_path / "q.jsonl").read_text().splitlines()]
    assert [(entry["line"], entry["text"]) for entry in entries] == [
        (3, "fields of the row: ip='', what='b', time='1704685030'"),
        (4, "fields of the row: ip='198.51.100.7', what='c', time='later'"),
    ]


def test_a_group_of_a_preset_is_told_by_what_it_means(write, read):
    lines = "Jan  8 03:37:09 gw kernel: IN=a OUT= SRC=198.51.100.7 DST=10.0.0.5 PROTO=1\nSRC=198.51.100.7 PROTO=1\n"
    _, quarantine = read(write("a.log", lines), preset="netfilter")
    assert (
        "line 2: has no time where the pattern in fields (the preset's, or your own) looks for 'at'"
        in quarantine.first
    )
