from __future__ import annotations

import gzip
import lzma

import pytest

from stackyard_task.channel import BadInput


def test_one_session_a_line_with_its_line_number_as_key(write, read):
    sessions, quarantine = read(write("a", "5 5 22\n\n7 8 \r\n"), format="sequences", label=0)
    assert [(s.key, s.events, s.label, s.started_at) for s in sessions] == [
        ("1", ["5", "5", "22"], 0, None),
        ("3", ["7", "8"], 0, None),
    ]
    assert quarantine.results() == {"quarantined_lines": 0, "lines_read": 3}


def test_equal_events_share_one_object(write, read):
    (first, second), _ = read(write("a", "alpha beta\nbeta alpha\n"), format="sequences")
    assert first.events[0] is second.events[1]


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)])
def test_plain_gz_and_xz_hold_the_same_sessions(write, read, suffix, pack):
    sessions, _ = read(write("a" + suffix, pack(b"1 2\n3 4")), format="sequences")
    assert [s.events for s in sessions] == [["1", "2"], ["3", "4"]]


def test_limits_and_separator(write, read):
    path = write("a", "a b,c,d\ne,f\ng\n")
    sessions, _ = read(path, format="sequences", event_separator=",", max_events=2, max_sessions=2)
    assert [s.events for s in sessions] == [["a b", "c"], ["e", "f"]]


def test_csv_sequences_with_key_label_and_time(write, read):
    text = "block,Label,at,events\nb1,Normal,2015-03-29 17:01:38,1 2\nb2,Anomaly,1427648499,3\n"
    text += "b3,-,5, \nb4,-,x,1\n"
    sessions, quarantine = read(
        write("a.csv", text),
        format="csv-sequences",
        key_column="block",
        label_column="Label",
        time_column="at",
    )
    assert [(s.key, s.events, s.label, s.started_at) for s in sessions] == [
        ("b1", ["1", "2"], 0, 1427648498.0),
        ("b2", ["3"], 1, 1427648499.0),
    ]
    assert quarantine.count == 2
    assert "line 4: has no events" in quarantine.first


def test_a_fixed_label_goes_before_the_label_column(write, read):
    path = write("a.csv", "label,events\n1,a b\n")
    (session,), _ = read(path, format="csv-sequences", label_column="label", label=0)
    assert (session.label, session.key) == (0, "2")


def test_a_missing_column_names_what_is_there(write, read):
    with pytest.raises(BadInput, match=r"a.csv: line 1: has no column 'events'; it has: block_id, Sequence"):
        read(write("a.csv", "block_id,Sequence\nb,1 2\n"), format="csv-sequences")


def test_where_an_attack_begins_can_be_a_column(write, read):
    """One beyond the session can never be found, and is a mistake; right behind it, the session was cut."""
    text = "key,attack,events\na,2,1 2 3\nb,,1 2\nc,x,1\nd,9,1 2\ne,-1,1\nf,4,1 2 3 4 5\ng,1,1\n"
    settings = {"format": "csv-sequences", "key_column": "key", "attack_column": "attack"}
    path = write("a.csv", text)
    sessions, quarantine = read(path, **settings)
    assert [(s.key, s.attack_starts_at) for s in sessions] == [("a", 2), ("b", None), ("f", 4), ("g", 1)]
    assert quarantine.count == 3
    said = "line 4: attack: 'x' is no index of an event (the session has 1, counted from 0)"
    assert quarantine.first.endswith(said)
    cut, quarantine = read(path, max_events=2, **settings)
    assert [(s.key, s.attack_starts_at) for s in cut] == [("a", 2), ("b", None), ("f", 2), ("g", 1)]
    assert quarantine.count == 3
