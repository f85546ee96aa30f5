"""The room of studies, asked without a browser: what is listed, what a page says, how it is asked for again."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.tuning import report
from stackyard.tuning.report import settings
from stackyard.tuning.trial import Trial
from stackyard.web.studies import shown
from stackyard.web.study_folders import StudyNow
from tests.stackyard.tuning.report.synthetic import SPACE, completed, many, mixed, put, study
from tests.stackyard.web.conftest import WebApp

EVIL = "<script>alert(1)</script>"


def now(trials: list[Trial], silent: float = 1.0, **objectives: str) -> StudyNow:
    file = study(state="running", **objectives)
    return StudyNow(file, settings.read(file), trials, 0, 0, silent)


def test_a_study_is_listed_by_its_title_and_shown_with_its_best_and_its_trials(
    app: WebApp, folder: Path
) -> None:
    trials = [*mixed(), Trial(6, {"lr": 0.01, "batch": 8, "optimiser": EVIL}, "running")]
    file = study([*SPACE[:2], {**SPACE[2], "values": ["sgd", "adam", EVIL]}], state="running")
    file.title = f"Which? {EVIL}"
    place = put(folder / "my studies" / "first", trials, file)
    with app.signed_in() as visitor:
        page = visitor.get("/studies")
        assert '<a href="/studies/show/0/my%20studies/first">Which? &lt;script&gt;' in page.text
        answer = visitor.get("/studies/show/0/my%20studies/first")
        assert answer.headers["refresh"] == "5"
        assert EVIL not in answer.text
        for words in ("Best so far", "t0002", "lr=0.02 batch=32", "5 of 9 trials", "512 MB, 500 MB allowed"):
            assert words in answer.text, words
        assert "Report</a>" not in answer.text
        assert "/my%20studies/first" not in visitor.get("/reports").text
        file.state = "finished"
        place.write_study(file)
        report.write(place.path)
        answer = visitor.get("/studies/show/0/my%20studies/first")
        assert "refresh" not in answer.headers
        assert '<a href="/reports/show/0/my%20studies/first">Report</a>' in answer.text
        assert "<small>study</small>" in visitor.get("/reports").text
        html = visitor.get("/reports/files/0/my%20studies/first/report.html")
        assert "Stackyard study" in html.text
        assert visitor.get("/studies/show/0/nothing").status_code == 404
        assert visitor.get("/studies/show/0/%2e%2e/outside").status_code == 404


def test_a_page_needs_a_sign_in(app: WebApp) -> None:
    with app.visitor() as visitor:
        assert visitor.get("/studies").status_code == 401


def test_how_far_a_study_is_counts_by_the_nearest_bound() -> None:
    said = shown(now([completed(i, 0.5, 900.0) for i in range(3)]))
    assert (said["percent"], said["progress"]) == (38, "3 of 9 trials, 45.0\u00a0min of 2.00\u00a0h of CPU")


def test_a_tuner_that_is_silent_is_not_said_to_run() -> None:
    assert shown(now([], 1.0))["state"] == "running"
    assert shown(now([], 3_600.0))["state"] == "silent"


def test_several_objectives_have_a_front() -> None:
    trials = [
        completed(i, accuracy, cpu) for i, (accuracy, cpu) in enumerate([(0.9, 9.0), (0.8, 3.0), (0.7, 5.0)])
    ]
    for trial in trials:
        trial.values["cpu_seconds"] = trial.used["cpu_seconds"]
    said = shown(now(trials, accuracy="maximise", cpu_seconds="minimise"))
    assert [row["name"] for row in said["best"]] == ["t0001", "t0002"]
    assert said["several"]


@pytest.mark.parametrize("number", [0, 1, 3_000])
def test_a_page_is_bounded(number: int) -> None:
    said = shown(now(many(number)))
    assert len(said["rows"]) == min(number, 200)
    assert ("3,000 trials" in said["left"]) == (number == 3_000)
