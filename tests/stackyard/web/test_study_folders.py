"""Studies read as they stand: what changed is read again, what is no study is none, nothing outside is opened."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stackyard.tuning.folder import StudyFolder
from stackyard.web import study_folders
from stackyard.web.run_folders import RunFolders
from stackyard.web.study_folders import StudyFolders
from tests.stackyard.tuning.report.synthetic import completed, mixed, put, study


def folders(*paths: Path) -> StudyFolders:
    return StudyFolders(RunFolders(paths))


def test_a_study_is_found_before_it_has_a_report(tmp_path: Path) -> None:
    put(tmp_path / "deep" / "mine", mixed())
    found = RunFolders([tmp_path]).found()
    assert [(each.name, each.files) for each in found.studies] == [("deep/mine", ())]
    assert found.reports == []
    (tmp_path / "deep" / "mine" / "report.html").write_text("x")
    found = RunFolders([tmp_path]).found()
    assert [each.name for each in found.reports] == [each.name for each in found.studies] == ["deep/mine"]
    assert found.reports[0].study


def test_what_changed_is_read_again_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = put(tmp_path / "mine", mixed())
    studies = folders(tmp_path)
    now = studies.now("0", "mine")
    assert now is not None
    assert [trial.state for trial in now.trials] == [trial.state for trial in mixed()]
    read: list[str] = []
    usual = study_folders._trial
    monkeypatch.setattr(
        study_folders, "_trial", lambda runs, name, space: read.append(name) or usual(runs, name, space)
    )
    place.write(completed(6, 0.95))
    place.write(completed(0, 0.123))
    now = studies.now("0", "mine")
    assert now is not None
    assert read == ["t0001.json", "t0007.json"]
    assert now.trials[0].values == {"accuracy": 0.123}
    assert len(now.trials) == 7


def test_a_look_has_an_end_and_the_next_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "mine", mixed())
    studies = folders(tmp_path)
    monkeypatch.setattr(study_folders, "MOST_SECONDS", -1.0)
    now = studies.now("0", "mine")
    assert now is not None
    assert (len(now.trials), now.unread) == (0, 6)
    monkeypatch.undo()
    now = studies.now("0", "mine")
    assert now is not None
    assert (len(now.trials), now.unread) == (6, 0)


def test_a_study_that_says_nothing_more_is_not_under_way(tmp_path: Path) -> None:
    place = put(tmp_path / "mine", mixed(), study(state="running"))
    now = folders(tmp_path).now("0", "mine")
    assert now is not None
    assert now.under_way
    os.utime(place.study_path, (1_000, 1_000))
    now = folders(tmp_path).now("0", "mine")
    assert now is not None
    assert not now.under_way


@pytest.mark.parametrize("text", ["", "[]", "{}", "NaN", '{"kind": "other"}', "[" * 100_000])
def test_what_is_no_study_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "study.json").write_text(text)
    assert folders(tmp_path).now("0", "mine") is None


@pytest.mark.parametrize("key", ["space", "objectives", "budget", "limits", "search", "packing"])
def test_a_study_that_somebody_damaged_is_none(tmp_path: Path, key: str) -> None:
    place = put(tmp_path / "mine", mixed())
    whole = json.loads(place.study_path.read_text())
    whole["study"][key] = "what?"
    place.study_path.write_text(json.dumps(whole))
    assert folders(tmp_path).now("0", "mine") is None


def test_links_and_damaged_files_of_trials_are_not_followed(tmp_path: Path) -> None:
    place = put(tmp_path / "mine", mixed()[:2])
    runs = place.path / "runs"
    (tmp_path / "secret").write_text((runs / "t0001.json").read_text())
    (runs / "t0003.json").symlink_to(tmp_path / "secret")
    (runs / "t0004.json").write_text("{")
    os.mkfifo(runs / "t0005.json")
    wrong = {**json.loads((runs / "t0001.json").read_text()), "used": {"cpu_seconds": -1.0}}
    (runs / "t0006.json").write_text(json.dumps(wrong))
    now = folders(tmp_path).now("0", "mine")
    assert now is not None
    assert (len(now.trials), now.damaged) == (2, 4)
    outside = put(tmp_path / "outside", mixed())
    runs.rename(place.path / "gone")
    runs.symlink_to(outside.path / "runs")
    now = folders(tmp_path).now("0", "mine")
    assert now is not None
    assert now.trials == []


def test_nothing_outside_is_a_study(tmp_path: Path) -> None:
    put(tmp_path / "outside", mixed())
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "outside")
    studies = folders(tmp_path / "runs")
    for place, name in (("0", "../outside"), ("0", "linked"), ("1", "."), ("0", ""), ("0", "/etc")):
        assert studies.now(place, name) is None


def test_few_studies_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_folders, "MOST_KEPT", 2)
    studies = folders(tmp_path)
    for name in "abc":
        assert isinstance(put(tmp_path / name, mixed()[:1]), StudyFolder)
        assert studies.now("0", name) is not None
    assert list(studies._kept) == [("0", "b"), ("0", "c")]
