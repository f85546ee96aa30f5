"""verdicts.csv: one line a session, with and without what baselines say."""

from __future__ import annotations

import csv

import numpy as np

from stackyard_detector.detector.calibrated import Judged
from stackyard_detector.detector.dataset import collect
from stackyard_detector.detector.verdicts import write_verdicts
from stackyard_detector.sessions import Session

SESSIONS = [Session("198.51.100.7", ["a", "b"], 1, 1704685029.25), Session('one, "two"', ["a"])]


def judged(threshold, scores, first):
    return Judged(np.array(scores), threshold, np.array(first), np.array(first))


def written(path, found):
    write_verdicts(path, collect(SESSIONS), found)
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_part_has_its_column(tmp_path):
    found = {
        "network": judged(3, [4.5, 1], [1, -1]),
        "rules": judged(1, [0, 2], [-1, 0]),
        "combined": judged(2, [7, 3], [1, 0]),
    }
    first, second = written(tmp_path / "verdicts.csv", found)
    assert first == {
        "key": "198.51.100.7",
        "label": "1",
        "verdict": "1",
        "first_miss_index": "1",
        "length": "2",
        "started_at": "2024-01-08T03:37:09.250Z",
        "score": "4.5",
        "rules_verdict": "0",
        "combined_verdict": "1",
        "combined_score": "7",
        "combined_first_alarm_index": "1",
        "combined_first_alarm_event": "b",
    }
    assert (second["key"], second["label"], second["started_at"]) == ('one, "two"', "", "")
    assert (second["verdict"], second["rules_verdict"]) == ("0", "1")


def test_what_no_part_said_is_empty(tmp_path):
    rows = written(tmp_path / "verdicts.csv", {"network": judged(3, [4.5, 1], [1, -1])})
    assert [row["combined_score"] for row in rows] == ["", ""]


def test_whatever_a_log_holds_can_be_written(tmp_path):
    odd = [Session("\ud800", ["=x\n"], None, 1e30), Session("k", ["a"], None, -1.5)]
    write_verdicts(tmp_path / "odd.csv", collect(odd), {"network": judged(3, [4.5, 1], [0, -1])})
    with (tmp_path / "odd.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["key"], row["started_at"]) for row in rows] == [("?", ""), ("k", "1969-12-31T23:59:58.500Z")]
