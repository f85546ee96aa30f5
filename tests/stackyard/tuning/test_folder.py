"""The folder of a study: what is kept, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.tuning import study as studies
from stackyard.tuning.folder import StudyFile, StudyFolder, name_of, numbered
from stackyard.tuning.trial import Interval, Point, Reason, Trial
from tests.stackyard.tuning.study_text import TEXT, study


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    (tmp_path / "runs").mkdir()
    return StudyFolder(tmp_path)


def test_trials_are_read_as_they_were_kept(folder: StudyFolder) -> None:
    full = Trial(
        0,
        {"lr": 0.1, "kind": "a", "on": True},
        state="stopped",
        values={"accuracy": 0.5},
        course=[Point(1.0, 2.0, 10, 0.4)],
        used={"ram_bytes": 5.0},
        predicted={"cpu_seconds": Interval(2.0, 1.0, 3.0)},
        reason=Reason("limit", "why", "ram_bytes", 4, 5),
    )
    folder.write(full)
    folder.write(Trial(1, {"lr": 0.2}))
    assert folder.trials() == [full, Trial(1, {"lr": 0.2})]


def test_a_damaged_trial_is_refused_by_its_name(folder: StudyFolder) -> None:
    folder.write(Trial(0, {}))
    (folder.path / "runs" / "t0001.json").write_text('{"number": "x"}')
    with pytest.raises(BadInputError, match=r"t0001\.json"):
        folder.trials()


def test_a_trial_that_is_missing_between_others_is_named(folder: StudyFolder) -> None:
    for number in (0, 2):
        folder.write(Trial(number, {}))
    with pytest.raises(BadInputError, match=r"t0002\.json: is missing"):
        folder.trials()


def test_a_study_goes_on_with_a_greater_budget_and_not_with_another_space(folder: StudyFolder) -> None:
    old = StudyFile("small", "small", "s.toml", "2026-01-01", studies.plain(study()))
    folder.write_study(old)
    kept = folder.needed()
    folder.refuse_other(kept, studies.plain(study(TEXT.replace("trials = 9", "trials = 90"))))
    with pytest.raises(BadInputError, match=r"space"):
        folder.refuse_other(kept, studies.plain(study(TEXT.replace("3000", "4000"))))


def test_a_folder_without_a_study_says_how_to_start_one(folder: StudyFolder) -> None:
    with pytest.raises(BadInputError, match="holds no study; start one with"):
        folder.needed()


def test_trials_are_found_by_name_and_by_number() -> None:
    trials = [Trial(0, {}), Trial(1, {})]
    assert numbered("t0002", trials) is numbered("2", trials) is trials[1]
    with pytest.raises(BadInputError, match="the trials are t0001 to t0002"):
        numbered("7", trials)
    assert name_of(0) == "t0001"


@pytest.mark.parametrize(
    "damage",
    [
        {"used": {"zzz": 1.0}},
        {"used": {"cpu_seconds": -1.0}},
        {"used": {"cpu_seconds": 1e308}},
        {"predicted": {"ram_bytes": {"value": 1.0, "low": 2.0, "high": 3.0}}},
        {"state": "lost"},
        {"parameters": None},
        {"lost_cpu_seconds": -100},
        {"retries": -5},
        {"early_share": -5},
        {"overhead_seconds": -1e308},
        {"course": [{"cpu_seconds": -1.0, "wall_seconds": 1.0, "step": 1, "value": 1.0}]},
        {"course": [{"cpu_seconds": 1.0, "wall_seconds": 1.0, "step": 1, "value": 10**400}]},
        {"readings": [{"share": 7.0, "steps": 1, "used": {}}]},
    ],
    ids=lambda damage: str(damage)[:60],
)
def test_what_no_tuner_writes_is_one_sentence(folder: StudyFolder, damage: dict[str, object]) -> None:
    folder.write(Trial(0, {}))
    file = folder.path / "runs" / "t0001.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **damage}))
    with pytest.raises(BadInputError, match=r"t0001\.json: .*a trial's file was damaged") as error:
        folder.trials()
    assert str(error.value).count("t0001.json") == 1


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"lr": 0.1},
        {"lr": 1e9, "batch": 30},
        {"lr": "foo", "batch": 30},
        {"lr": [0.1], "batch": 30},
        {"lr": True, "batch": 30},
        {"lr": 0.1, "batch": 30, "more": 1},
    ],
    ids=str,
)
def test_parameters_that_the_space_does_not_have_are_one_sentence(
    folder: StudyFolder, parameters: dict[str, object]
) -> None:
    folder.write_study(StudyFile("small", "small", "s.toml", "2026-01-01", studies.plain(study())))
    folder.write(Trial(0, parameters))
    with pytest.raises(BadInputError, match=r"t0001\.json: parameters.*a trial's file was damaged"):
        folder.trials()


def test_digits_of_other_scripts_are_no_number_of_a_trial() -> None:
    with pytest.raises(BadInputError, match="there is none"):
        numbered("t²", [Trial(0, {})])


def test_what_a_killed_tuner_left_half_written_is_swept_and_nothing_else(folder: StudyFolder) -> None:
    folder.write(Trial(0, {}))
    (folder.path / "runs" / ".t0001.json.ab12cd").write_text('{"numb')
    (folder.path / "runs" / "t0000").mkdir()
    folder.sweep()
    assert sorted(file.name for file in (folder.path / "runs").iterdir()) == ["t0000", "t0001.json"]
