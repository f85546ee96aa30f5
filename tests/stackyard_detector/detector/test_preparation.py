"""Raw sources to a data set: what is written is read again as it was, corrupt lines are put away and counted."""

from __future__ import annotations

import csv
import json

import pytest

from stackyard_detector import readers
from stackyard_task.channel import BadInput, Channel
from stackyard_task.workloads import checked
from tests.stackyard_detector.declared import WORKLOADS

pytest.importorskip("numpy")
from stackyard_detector.detector import preparation


class Listener(Channel):
    def __init__(self):
        super().__init__()
        self.said = {}

    def results(self, **values):
        self.said.update(values)


def prepare(folder, sources, **parameters):
    listener = Listener()
    folder.mkdir(exist_ok=True)
    given = {"data": {"sources": sources}, **parameters}
    preparation.prepare(checked(WORKLOADS["detector-prepare"], given), listener, folder)
    return folder / "dataset", listener.said


def read_again(path, **settings):
    source = {"path": str(path), **preparation.SETTINGS, **settings}
    return list(readers.read_sessions({"sources": [source]}, readers.Quarantine()))


def table(path, rows):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("ip", "time", "what", "attack"), *rows])
    return {
        "path": str(path),
        "format": "csv",
        "key_column": "ip",
        "time_column": "time",
        "event_column": "what",
        "label_column": "attack",
    }


def rows_of(sessions, attack, first=0):
    return [
        (f"10.0.{attack}.{number}", 1_700_000_000 + first + 100 * number + step, f'say, "{step}" it', attack)
        for number in range(sessions)
        for step in range(4)
    ]


def test_sessions_are_read_again_as_they_were(tmp_path):
    raw = table(tmp_path / "raw.csv", [*rows_of(10, 0), *rows_of(3, 1, 5000)])
    folder, said = prepare(tmp_path / "out", [raw])
    training = read_again(folder / "training.csv")
    columns = {"label_column": "label", "time_column": "started_at", "attack_column": "attack_starts_at"}
    test = read_again(folder / "test.csv", **columns)
    assert (len(training), len(test)) == (7, 6)
    assert sorted(s.key for s in test if s.label == 1) == ["10.0.1.0", "10.0.1.1", "10.0.1.2"]
    assert not {s.key for s in training} & {s.key for s in test}
    original = {s.key: s for s in readers.read_sessions({"sources": [raw]}, readers.Quarantine())}
    assert all(s.events == original[s.key].events for s in [*training, *test])
    assert all((s.started_at, s.label) == (original[s.key].started_at, original[s.key].label) for s in test)
    assert {(s.label, s.attack_starts_at) for s in test} == {(0, None), (1, 0)}
    assert (said["training_sessions"], said["test_sessions"], said["malicious_test_sessions"]) == (7, 6, 3)
    assert (said["events"], said["event_names"], said["quarantined_lines"]) == (52, 4, 0)


def test_the_same_sources_give_the_same_bytes(tmp_path):
    raw = table(tmp_path / "raw.csv", rows_of(10, 0))
    first, _ = prepare(tmp_path / "one", [raw])
    second, _ = prepare(tmp_path / "two", [raw])
    assert (first / "dataset.json").read_bytes() == (second / "dataset.json").read_bytes()
    other, _ = prepare(tmp_path / "three", [raw], seed=2)
    assert (first / "training.csv").read_bytes() != (other / "training.csv").read_bytes()


def test_by_time_the_last_to_start_are_the_test(tmp_path):
    folder, _ = prepare(tmp_path / "out", [table(tmp_path / "raw.csv", rows_of(10, 0))], split_by="time")
    assert [s.key for s in read_again(folder / "test.csv")] == ["10.0.0.7", "10.0.0.8", "10.0.0.9"]


def test_corrupt_lines_are_put_away_and_counted(tmp_path):
    rows = rows_of(10, 0)
    rows[5] = ("10.0.0.1", "yesterday", "x", 0)
    rows[9] = ("10.0.0.2", "7")
    folder, said = prepare(tmp_path / "out", [table(tmp_path / "raw.csv", rows)])
    assert said["quarantined_lines"] == 2
    kept = [json.loads(line) for line in (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()]
    assert [entry["line"] for entry in kept] == [7, 11]
    assert json.loads((folder / "dataset.json").read_text())["quarantined_lines"] == 2
    with pytest.raises(BadInput, match=r"2 of .* corrupt, 1 allowed"):
        prepare(tmp_path / "again", [table(tmp_path / "raw.csv", rows)], quarantine_limit=1)
    assert not (tmp_path / "again" / "dataset").exists()


def test_test_data_of_its_own_is_the_test_and_unlabelled_sessions_stand_apart(tmp_path):
    (tmp_path / "normal").write_text("a b c\nb c a\n")
    (tmp_path / "odd").write_text("a x c\n")
    normal = {"path": str(tmp_path / "normal"), "format": "sequences"}
    odd = {"path": str(tmp_path / "odd"), "format": "sequences", "label": 1}
    folder, said = prepare(tmp_path / "out", [{**normal, "label": 0}], test_data={"sources": [odd, normal]})
    assert [s.events for s in read_again(folder / "training.csv")] == [["a", "b", "c"], ["b", "c", "a"]]
    assert [s.label for s in read_again(folder / "test.csv", label_column="label")] == [1]
    assert len(read_again(folder / "unlabelled.csv")) == 2
    assert said["unlabelled_test_sessions"] == 2


def test_raw_lines_leave_their_templates(tmp_path):
    lines = [f"{n} blk_{n % 9} served in {n} ms\n{n} blk_{n % 9} closed by peer\n" for n in range(90)]
    (tmp_path / "log").write_text("".join(lines))
    source = {"path": str(tmp_path / "log"), "format": "lines", "key_pattern": "(blk_-?[0-9]+)", "label": 0}
    folder, said = prepare(tmp_path / "out", [source])
    assert said["training_sessions"] + said["test_sessions"] == 9
    again = readers.EventTemplates.load(folder / "templates.json")
    assert set(read_again(folder / "training.csv")[0].events) <= set(again.events)


def test_a_session_longer_than_csvs_own_limit_is_read_again(tmp_path):
    (tmp_path / "raw").write_text("event-of-some-length " * 10_000 + "\n" + "a b c\n")
    folder, _ = prepare(
        tmp_path / "out", [{"path": str(tmp_path / "raw"), "format": "sequences"}], test_share=0.1
    )
    lengths = {len(s.events) for file in folder.glob("*.csv") for s in read_again(file)}
    assert lengths == {10_000, 3}


def test_events_that_cannot_be_written_are_refused_in_one_sentence(tmp_path):
    (tmp_path / "raw").write_text("a\tb|c\n" * 3)
    source = {"path": str(tmp_path / "raw"), "format": "sequences", "event_separator": "|"}
    with pytest.raises(BadInput, match="holds a tab"):
        prepare(tmp_path / "out", [source])
