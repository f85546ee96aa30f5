"""Reading run folders: what is tolerated, what is refused, and in which words."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.reports import load
from stackyard.reports.loading import shorten
from stackyard_task.records import Course, PhaseStart
from tests.stackyard.reports.synthetic import record, write_run

CELL = {"stack": "new", "workload": "train"}


def test_a_folder_without_records_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no records found in .*stackyard scenario run"):
        load([tmp_path])


@pytest.mark.parametrize("folders", [[], ["absent"]])
def test_no_folder_is_refused(tmp_path: Path, folders: list[str]) -> None:
    with pytest.raises(BadInputError, match="folder"):
        load([tmp_path / name for name in folders])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "expected a JSON object, found list"),
        ('{"repeats": "6"}', "repeats is '6', expected a whole number"),
        ('{"cells": {"a": 1}}', "cells is an object, expected a list"),
        ('{"not_runnable": [{"axes": {"stack": 2}}]}', r"not_runnable\[0\].axes.stack is 2, expected a text"),
    ],
)
def test_a_plan_that_cannot_be_read_is_named_and_the_records_stand(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "plan.json").write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError, match=rf"no records found in .*plan\.json: {words}"):
        load([tmp_path])
    write_run(tmp_path, record(CELL, 1, 5.0))
    study = load([tmp_path])
    assert (len(study.runs), study.plans) == (1, ())
    assert [item.folder for item in study.damaged] == [f"{tmp_path.name}/plan.json"]


def test_what_is_no_regular_file_is_counted_and_named_and_holds_nobody_up(tmp_path: Path) -> None:
    for block, name in enumerate(["record.json", "timeline.json", "output.log"], 1):
        place = write_run(tmp_path, record(CELL, block, 5.0))
        (place / name).unlink(missing_ok=True)
        os.mkfifo(place / name)
    os.mkfifo(tmp_path / "plan.json")
    study = load([tmp_path])
    assert (len(study.runs), len(study.unreadable), len(study.damaged)) == (2, 1, 2)
    for item in [*study.unreadable, *study.damaged]:
        assert item.reason.endswith(".json: cannot be read (it is no regular file)")


def test_records_are_read_without_a_plan(tmp_path: Path) -> None:
    write_run(tmp_path, record(CELL, 1, 5.0))
    study = load([tmp_path])
    assert len(study.runs) == 1
    assert study.plans == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "did not come to its end"),
        ("", "not JSON"),
        ("[1]", "expected a JSON object"),
        ('{"api_version": 99, "run_id": "x"}', "update stackyard"),
        ('{"run_id": "x"}', "'workload' is missing"),
        ({"measurement": {"wall_seconds": "3.1"}}, "measurement.wall_seconds is '3.1', expected a number"),
        ({"measurement": {"gpus": [{"index": True}]}}, "measurement.gpus[0].index is true, expected a whole"),
        ({"measurement": None}, "measurement is null, expected an object"),
        ({"environment": {"tunables": {"A": 1}}}, "environment.tunables.A is 1, expected a text"),
        ({"results": ["f1"]}, "results is a list, expected an object"),
        ({"cell": {"stack": 2}}, "cell.stack is 2, expected a text"),
        ({"block": 1.5}, "block is 1.5, expected a whole number"),
    ],
)
def test_what_cannot_be_read_is_kept_with_its_reason(
    tmp_path: Path, text: str | dict[str, object] | None, words: str
) -> None:
    place = write_run(tmp_path, record(CELL, 1, 5.0))
    if isinstance(text, dict):  # one value of a whole record
        text = json.dumps(json.loads((place / "record.json").read_text(encoding="utf-8")) | text)
    broken = tmp_path / "runs" / "b02-broken"
    broken.mkdir()
    if text is not None:
        (broken / "record.json").write_text(text, encoding="utf-8")
    study = load([tmp_path])
    assert len(study.runs) == 1
    assert study.unreadable[0].folder == "b02-broken"
    assert words in study.unreadable[0].reason


def test_the_same_run_given_twice_counts_once(two_cells: Callable[..., Path], tmp_path: Path) -> None:
    folder = two_cells()
    again = tmp_path / "copy"
    write_run(again, load([folder]).runs[0].record)
    study = load([folder, folder, again])
    assert len(study.runs) == 12
    assert study.duplicates == 1


@pytest.mark.parametrize(
    "text", ["not json", "[]", '{"t_seconds": ["1"]}', '{"t_seconds": [1], "gpus": [3]}']
)
def test_a_broken_timeline_costs_the_timeline_only_and_is_named(tmp_path: Path, text: str) -> None:
    place = write_run(tmp_path, record(CELL, 1, 5.0))
    (place / "timeline.json").write_text(text, encoding="utf-8")
    study = load([tmp_path])
    assert study.runs[0].timeline is None
    assert [item.folder for item in study.damaged] == [f"{place.name}/timeline.json"]


def test_a_run_without_a_timeline_lacks_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, record(CELL, 1, 5.0))
    assert load([tmp_path]).damaged == ()


def test_preparations_are_not_runs(tmp_path: Path) -> None:
    write_run(tmp_path, record(CELL, 1, 5.0))
    prepared = tmp_path / "prepared" / "model"
    prepared.mkdir(parents=True)
    (prepared / "record.json").write_text((tmp_path / "runs").rglob("record.json").__next__().read_text())
    assert len(load([tmp_path]).runs) == 1


def test_a_shortened_timeline_keeps_its_peaks_and_its_end() -> None:
    count = 10_000
    ram = [100.0] * count
    ram[6_789] = 900
    course = Course(
        interval_seconds=0.1,
        t_seconds=[i / 10 for i in range(count)],
        cpu_percent_of_core=[None] * count,
        rss_bytes=list(ram),
        phases=[PhaseStart("steady", 1.0)],
    )
    short = shorten(course, 200)
    assert len(short["t_seconds"]) == len(short["rss_bytes"]) == 200
    assert max(short["rss_bytes"]) == 900
    assert short["t_seconds"][-1] == course.t_seconds[-1]
    assert set(short["cpu_percent_of_core"]) == {None}
    assert json.dumps(short)


def test_notes_of_preparations_are_told_whole(tmp_path: Path) -> None:
    write_run(tmp_path, record(CELL, 1, 1.0))
    prepared = record(CELL, 1, 1.0)
    prepared.notes = ["the promise holds for " + "x" * 200]
    folder = write_run(tmp_path / "made", prepared)
    (tmp_path / "prepared").mkdir()
    folder.rename(tmp_path / "prepared" / "model")
    (remark,) = load([tmp_path]).remarks
    assert (remark.code, remark.severity) == ("run-notes", "note")
    assert remark.message == f"Preparation model: {prepared.notes[0]}."
