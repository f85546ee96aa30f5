"""What a terminal says of studies and trials."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from stackyard.cli import study_shown
from stackyard.cli.lines import Lines
from stackyard.tuning.trial import Interval, Reason, Trial
from stackyard_task import records
from stackyard_task.records import Progress, RunRecord
from tests.stackyard.tuning.report import synthetic
from tests.stackyard.tuning.study_text import TEXT, study

NOTE = "the limit of GPU memory held nothing: there is no GPU"


def test_a_line_says_the_state_once_and_shows_costs_that_are_objectives() -> None:
    trial = Trial(0, {"lr": 0.1}, "stopped", {"accuracy": 0.5, "wall_seconds": 12.0})
    trial.used = {"wall_seconds": 12.0, "cpu_seconds": 3.0}
    trial.reason = Reason("limit", "stopped at its limit of peak RAM: 2 GB seen")
    said = study_shown.line(trial).replace("\u00a0", " ")
    assert (
        "accuracy 0.5  wall time 12.0 s  3.00 s of CPU  STOPPED at its limit of peak RAM: 2 GB seen" in said
    )
    trial.reason = Reason("pruner", "worse than the median")
    assert study_shown.line(trial).endswith("  STOPPED: worse than the median")


def test_both_predictions_and_notes_stand_beside_what_came(tmp_path: Path) -> None:
    trial = synthetic.completed(0, 0.5, predicted={"cpu_seconds": Interval(11.0, 9.0, 12.0)})
    trial.predicted_early, trial.early_share = {"cpu_seconds": Interval(10.5, 10.0, 11.0)}, 0.05
    trial.folder = "runs/t0001"
    place = synthetic.put(tmp_path / "study", [trial])
    place.run_of(trial).mkdir()
    record = RunRecord("r", "w", "completed", "2026-01-01", "2026-01-01", notes=[NOTE])
    records.write_json(record, place.run_of(trial) / records.RECORD_FILE)
    said = study_shown.whole(trial, place).replace("\u00a0", " ")
    assert "predicted before the start: 11.0 s [9.00 s, 12.0 s]" in said
    assert "predicted after the first steps, at 5 %: 10.5 s [10.0 s, 11.0 s]" in said
    assert NOTE in said
    assert f"note: {NOTE} (1 trial)" in study_shown.stated(study_shown.status(place.needed(), [trial], place))
    assert study_shown.as_json(trial)["name"] == "t0001"


def test_what_is_left_and_what_is_under_way_is_told(tmp_path: Path) -> None:
    trials = [synthetic.completed(0, 0.5, 10.0), *(Trial(n, {"lr": 0.2}, "running") for n in (1, 2))]
    place = synthetic.put(tmp_path / "study", trials, synthetic.study(state="running"))
    place.run_of(trials[1]).mkdir()
    point = records.Point(at_seconds=1.0, step=3, value=0.75)
    told = Progress(done=1.0, total=4.0, cpu_seconds=2.0, metrics={"accuracy": point})
    records.write_json(told, place.run_of(trials[1]) / records.PROGRESS_FILE)
    said = study_shown.status(place.needed(), place.trials(), place)
    assert said["left"] == {"trials": 6, "cpu_seconds": 7188.0}
    assert said["cpu_seconds"] == 12.0
    first, second = said["under_way"]
    assert (first["name"], first["share"], first["value"], first["cpu_seconds"]) == ("t0002", 0.25, 0.75, 2.0)
    assert (second["name"], second["share"], second["value"]) == ("t0003", None, None)
    text = study_shown.stated(said).replace("\u00a0", " ")
    assert "left: 6 trials, 120 min of CPU" in text
    assert "under way: t0002  lr=0.2  25 % done, accuracy 0.75, 2.00 s of CPU" in text
    assert "t0003  lr=0.2  nothing told yet" in text


def test_a_trial_on_the_front_gets_a_star() -> None:
    text = TEXT.replace('accuracy = "maximise"', 'accuracy = "maximise"\ncpu_seconds = "minimise"')
    out = io.StringIO()
    watcher = study_shown.TrialWatcher(Lines(Console(file=out, width=200)), study(text))
    trials: list[Trial] = []
    for number, (accuracy, cpu) in enumerate([(0.9, 9.0), (0.8, 3.0), (0.7, 5.0)]):
        values = {"accuracy": accuracy, "cpu_seconds": cpu}
        trials.append(Trial(number, {"lr": 0.1}, "completed", values))
        watcher.over(trials[-1], trials)
    assert [line.endswith("*") for line in out.getvalue().splitlines()] == [True, True, False]


def test_what_would_be_searched_names_ranges_objectives_budget_pruner_and_packing() -> None:
    text = TEXT.replace('max_ram = "400 MB"', 'max_ram = "400 MB"\nslowing = 1.5')
    wanted = study(text + 'pruner = "cost-aware"\n[packing]\nat_once = 2\n')
    said = study_shown.laid_out(wanted, Path("runs/small")).replace("\u00a0", " ")
    assert "slowing 1.5×" in said.splitlines()[0]
    words = " ".join(said.split())
    for part in (
        "parameter lr 0.001 to 1 (log scale)",
        "parameter batch 30, 300, 3000",
        "objective accuracy as great as possible",
        "budget 9 trials",
        "pruner cost-aware (",
        "side by side 2 trials at most",
    ):
        assert part in words, part
