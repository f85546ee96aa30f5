from __future__ import annotations

import json

import pytest

from stackyard_detector.readers import Quarantine, QuarantineLimit
from stackyard_task.channel import BadInput


def test_corrupt_lines_are_kept_with_number_and_reason(tmp_path):
    quarantine = Quarantine(tmp_path / "quarantine.jsonl")
    quarantine.lines = 10
    quarantine.add(tmp_path / "a.log", 3, "has no key", "x" * 1000 + "\n")
    quarantine.add(tmp_path / "a.log", 9, "not UTF-8 at byte 0", b"\xff\xfe abc\n")
    quarantine.finish()

    entries = [json.loads(line) for line in (tmp_path / "quarantine.jsonl").read_text().splitlines()]
    assert [(e["line"], e["reason"]) for e in entries] == [(3, "has no key"), (9, "not UTF-8 at byte 0")]
    assert entries[0]["text"] == "x" * 200
    assert entries[1]["text"] == "\\xff\\xfe abc"
    assert quarantine.results() == {"quarantined_lines": 2, "lines_read": 10}


def test_without_corrupt_lines_there_is_no_file(tmp_path):
    Quarantine(tmp_path / "quarantine.jsonl", limit=0).finish()
    assert list(tmp_path.iterdir()) == []


def test_a_count_as_limit_stops_at_the_first_line_past_it(tmp_path):
    quarantine = Quarantine(tmp_path / "q", limit=2)
    quarantine.lines = 50
    quarantine.add(tmp_path / "a", 1, "r")
    quarantine.add(tmp_path / "a", 2, "r")
    with pytest.raises(
        QuarantineLimit, match=r"3 of 50 lines read are corrupt, 2 allowed \(first: .*a: line 1: r\)"
    ):
        quarantine.add(tmp_path / "a", 3, "r")
    assert len((tmp_path / "q").read_text().splitlines()) == 3


def test_a_share_is_judged_at_the_end_for_short_files_and_on_the_way_for_long_ones(tmp_path):
    short = Quarantine(limit=0.1)
    short.lines = 2
    short.add(tmp_path, 1, "r")  # half of all so far, but it is early
    short.lines = 100
    short.finish()
    assert short.count == 1

    many = Quarantine(limit=0.1)
    many.lines = 5
    many.add(tmp_path, 1, "r")
    with pytest.raises(QuarantineLimit, match="10 % of the lines"):
        many.finish()

    long = Quarantine(limit=0.001)
    long.lines = 1000
    long.add(tmp_path, 1, "r")
    with pytest.raises(QuarantineLimit):
        long.add(tmp_path, 2, "r")


@pytest.mark.parametrize("limit", [-1, -0.1, 1.5, float("nan"), True])
def test_a_limit_that_makes_no_sense_is_refused(limit):
    with pytest.raises(BadInput, match="quarantine limit"):
        Quarantine(limit=limit)


def test_a_quarantine_that_cannot_be_written_is_one_sentence(tmp_path):
    quarantine = Quarantine(tmp_path / "no" / "folder" / "q")
    with pytest.raises(BadInput, match="quarantine file cannot be written"):
        quarantine.add(tmp_path, 1, "r")
