"""What a terminal says of studies and trials."""

from __future__ import annotations

from pathlib import Path

from stackyard.cli import study_shown
from stackyard.tuning import status
from stackyard.tuning.trial import Interval, Reason, Trial
from stackyard_task import records
from stackyard_task.records import RunRecord
from tests.stackyard.tuning.report import synthetic
from tests.stackyard.tuning.study_text import TEXT, study

NOTE = "the limit of GPU memory held nothing: there is no GPU"


def test_a_line_says_the_state_once_and_shows_costs_that_are_objectives() -> None:
    trial = Trial(0, {"lr": 0.1}, "stopped", {"accuracy": 0.5, "wall_seconds": 12.0})
    trial.used = {"wall_seconds": 12.0, "cpu_seconds": 3.0}
    trial.reason = Reason("limit", "stopped at its limit of peak RAM: 2 GB seen")
    said = study_shown.line(trial).replace("\u00a0", " ")
    assert (
        "accuracy 0.5  wall time 12.0 s  3.00 s of CPU  STOPPED: at its limit of peak RAM: 2 GB seen" in said
    )
    trial.reason = Reason("pruner", "worse than the median")
    assert study_shown.line(trial).endswith("  STOPPED: worse than the median")


def test_a_parameter_is_written_as_in_the_report() -> None:
    trial = Trial(0, {"deep": True, "lr": 0.30000000000000004}, "running")
    assert "t0001  deep=true lr=0.3" in study_shown.line(trial)


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
    assert f"note: {NOTE} (1 trial)" in study_shown.stated(status.of(place.needed(), [trial], place))


def test_what_is_left_and_what_is_under_way_is_printed(tmp_path: Path) -> None:
    place = synthetic.put(tmp_path / "study", synthetic.under_way(), synthetic.study(state="running"))
    synthetic.tell_progress(place)
    text = study_shown.stated(status.of(place.needed(), place.trials(), place)).replace("\u00a0", " ")
    assert "left: 6 trials, 120 min of CPU" in text
    assert (
        "under way: t0002  lr=0.02 batch=32 optimiser=adam  25 % done, accuracy 0.75, 2.00 s of CPU" in text
    )
    assert "t0003  lr=0.03 batch=32 optimiser=adam  nothing told yet" in text


def test_limits_of_the_hardware_and_the_time_limit_are_told_with_those_of_the_file() -> None:
    text = TEXT.replace("[space]", '[hardware.small]\nmemory = "300 MB"\n[space]')
    wanted = study("time_limit_seconds = 90\n" + text)
    said = study_shown.laid_out(wanted, Path("runs/small")).replace("\u00a0", " ")
    assert "limits peak RAM 300 MB, wall time 90.0 s" in said.splitlines()[0]
    assert "limit of a trial: wall time      90.0 s" in said
    assert study_shown.intention(wanted)["bounds"] == {"ram_bytes": 300e6, "wall_seconds": 90.0}


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
