"""What a study's watcher writes down for the task that shows it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from stackyard.cli.lines import Lines
from stackyard.cli.study_told import TellingWatcher
from stackyard.cli.study_watcher import TrialWatcher
from stackyard.tuning.folder import StudyFolder
from stackyard.tuning.trial import Reason, Trial
from stackyard_task import records
from stackyard_task.records import Dispatch, RunRecord
from tests.stackyard.tuning.study_text import study


def test_each_trial_is_a_line_with_its_task_and_what_it_changed(tmp_path: Path) -> None:
    folder, said = StudyFolder(tmp_path / "study"), io.StringIO()
    watcher = TellingWatcher(
        TrialWatcher(Lines(Console(file=said)), study()), study(), folder, tmp_path / "told"
    )
    first = Trial(
        0, {"lr": 0.1}, "completed", {"accuracy": 0.5}, used={"cpu_seconds": 2.0}, folder="runs/t0001"
    )
    run = folder.run_of(first)
    run.mkdir(parents=True)
    record = RunRecord("r", "w", "completed", "2026-01-01", "2026-01-01", dispatch=Dispatch(task_id="abc"))
    records.write_json(record, run / records.RECORD_FILE)
    trials = [first]
    watcher.begun(first)
    watcher.look(trials, trials, 1.0)
    watcher.over(first, trials)
    trials.append(Trial(1, {"lr": 0.2}, "stopped", reason=Reason("limit", "too much")))
    watcher.over(trials[-1], trials)
    lines: list[dict[str, Any]] = [json.loads(text) for text in (tmp_path / "told").read_text().splitlines()]
    opened, looked, one, two = lines
    assert (opened["study"], opened["trial"]) == ("small", None)
    assert looked["percent"] == 11  # of nine trials
    assert one["trial"]["task"] == "abc"
    assert one["best"] == ["t0001"]
    assert {"title": "Best so far", "series": "accuracy", "iteration": 1, "value": 0.5} in one["scalars"]
    assert (two["best"], two["percent"]) == (None, 22)
    assert (two["trial"]["state"], two["trial"]["reason"], two["trial"]["task"]) == (
        "stopped",
        "too much",
        None,
    )
    assert "t0001" in said.getvalue()
