from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.readers import Quarantine, blocks, read_sessions
from stackyard_task.channel import BadInput

pytestmark = pytest.mark.python

#: An instant at which a window of 30 minutes begins.
START = 1_699_999_200
ALERTS = f"""time,ip,short,label
{START + 100},10.0.0.1,A,-
{START + 160},10.0.0.2,B,-
{START + 130},10.0.0.1,C,scan
{START + 1900},10.0.0.1,D,-
"""
SETTINGS = {
    "format": "csv",
    "key_column": "ip",
    "time_column": "time",
    "event_column": "short",
    "label_column": "label",
}


def test_events_are_grouped_by_key_and_window_in_time_order_and_one_malicious_row_marks_a_session(
    write, read
):
    sessions, _ = read(write("a.csv", ALERTS), session_minutes=30, **SETTINGS)
    assert [(s.key, s.events, s.label, s.started_at) for s in sessions] == [
        ("10.0.0.1", ["A", "C"], 1, START + 100),
        ("10.0.0.2", ["B"], 0, START + 160),
        ("10.0.0.1", ["D"], 0, START + 1900),
    ]


def test_without_a_window_a_key_is_one_session(write, read):
    sessions, _ = read(write("a.csv", ALERTS), **SETTINGS)
    assert [(s.key, s.events) for s in sessions] == [("10.0.0.1", ["A", "C", "D"]), ("10.0.0.2", ["B"])]


def test_without_label_column_the_label_is_unknown_and_a_fixed_one_holds_for_all(write, read):
    settings = {k: v for k, v in SETTINGS.items() if k != "label_column"}
    assert {s.label for s in read(write("a.csv", ALERTS), **settings)[0]} == {None}
    assert {s.label for s in read(write("a.csv", ALERTS), label=1, **settings)[0]} == {1}


def test_benign_values_can_be_given(write, read):
    sessions, _ = read(write("a.csv", ALERTS), benign_values=["-", "SCAN"], **SETTINGS)
    assert {s.label for s in sessions} == {0}


def test_several_columns_make_one_key_event_or_time(write, read):
    text = "day,clock,src,dst,act,port\n2024-01-01,00:00:10,a,b,deny,22\n2024-01-01,00:00:05,a,b,ALLOW,443\n"
    (session,), _ = read(
        write("a.csv", text),
        format="csv",
        key_column=["src", "dst"],
        time_column=["day", "clock"],
        event_column=["act", "port"],
        action_map={"allow": "Allow", "deny": "Deny"},
    )
    assert (session.key, session.events, session.started_at) == (
        "a|b",
        ["Allow|443", "Deny|22"],
        1704067205.0,
    )


def test_rows_that_are_not_of_interest_are_no_corrupt_rows(write, read):
    sessions, quarantine = read(write("a.csv", ALERTS), where={"short": ["A", "B"]}, **SETTINGS)
    assert [s.events for s in sessions] == [["A"], ["B"]]
    assert quarantine.count == 0


def test_corrupt_rows_are_set_aside_with_line_and_reason(write, read, tmp_path):
    text = ALERTS + (
        f"200,10.0.0.3\nsoon,10.0.0.4,E,-\n{START},,F,-\n{START},10.0.0.5,,-\n" + '230,"10.0.0.6,G,-\n'
    )
    from stackyard_detector.readers import Quarantine

    quarantine = Quarantine(tmp_path / "q.jsonl")
    sessions, _ = read(write("a.csv", text), quarantine=quarantine, **SETTINGS)
    quarantine.finish()
    assert {s.key for s in sessions} == {"10.0.0.1", "10.0.0.2"}
    import json

    found = {e["line"]: e["reason"] for e in map(json.loads, (tmp_path / "q.jsonl").read_text().splitlines())}
    assert found == {
        6: "has 2 columns, expected 4",
        7: "time: 'soon' is neither a number nor an ISO 8601 time",
        8: "key is empty",
        9: "event is empty",
        10: "has 2 columns, expected 4",
    }


def test_an_unclosed_quote_does_not_swallow_the_rest_of_the_file(write, read):
    rows = "".join(f"{START + i},10.0.0.1,E,-\n" for i in range(100_000))
    text = 'time,ip,short,label\n1,"10.0.0.9,A,-\n' + rows
    sessions, quarantine = read(write("a.csv", text), **SETTINGS)
    assert quarantine.count >= 1
    assert sum(len(s.events) for s in sessions) > 80_000


def test_wrong_columns_name_those_seen_and_those_wanted(write, read):
    with pytest.raises(BadInput, match=r"line 1: has no column 'short', 'label'; it has: time, ip, name"):
        read(write("a.csv", "time,ip,name\n1,2,3\n"), **SETTINGS)


def test_a_header_alone_holds_no_session(write, read):
    with pytest.raises(BadInput, match="holds no session"):
        read(write("a.csv", "time,ip,short,label\n"), **SETTINGS)


def test_another_delimiter(write, read):
    (session,), _ = read(
        write("a.csv", "ip;e\nx;A\nx;B\n"), format="csv", delimiter=";", key_column="ip", event_column="e"
    )
    assert session.events == ["A", "B"]


ROWS = st.lists(
    st.lists(st.sampled_from(["a", "b,c", 'q"q', "two\nlines", "", "ä", " x ", "1"]), min_size=2, max_size=4),
    max_size=30,
)


@given(ROWS, st.sampled_from([64, 1 << 17]), st.sampled_from([",", ";"]))
def test_rows_are_what_csv_reads_whatever_stands_in_them_and_wherever_a_block_ends(
    tmp_path_factory, rows, size, delimiter
):
    path = tmp_path_factory.mktemp("table") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=delimiter, lineterminator="\n").writerows(
            [("k", "e", "n"), ("first", "E", ""), *rows]
        )
    with path.open(encoding="utf-8", newline="") as stream:
        expected = list(csv.reader(stream, delimiter=delimiter))[1:]
    source = {
        "path": str(path),
        "format": "csv",
        "key_column": "k",
        "event_column": "e",
        "delimiter": delimiter,
    }
    quarantine = Quarantine()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", size)
        sessions = list(read_sessions({"sources": [source]}, quarantine))
    good = [row for row in expected if len(row) == 3 and row[0] and row[1].strip()]
    assert sorted(e for s in sessions for e in s.events) == sorted(row[1].strip() for row in good)
    assert quarantine.count == len([row for row in expected if row]) - len(good)
