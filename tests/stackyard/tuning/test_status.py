"""Where a study stands, as JSON."""

from __future__ import annotations

from pathlib import Path

from stackyard.tuning import status
from stackyard.tuning.trial import Trial
from tests.stackyard.tuning.report import synthetic


def test_what_is_left_and_what_is_under_way_is_told(tmp_path: Path) -> None:
    place = synthetic.put(tmp_path / "study", synthetic.under_way(), synthetic.study(state="running"))
    synthetic.tell_progress(place)
    said = status.of(place.needed(), place.trials(), place)
    assert said["left"] == {"trials": 6, "cpu_seconds": 7188.0}
    assert said["cpu_seconds"] == 12.0
    first, second = said["under_way"]
    assert (first["name"], first["share"], first["value"], first["cpu_seconds"]) == ("t0002", 0.25, 0.75, 2.0)
    assert (second["name"], second["share"], second["value"]) == ("t0003", None, None)
    assert (said["running"], said["completed"], said["best"][0]["name"]) == (2, 1, "t0001")


def test_what_a_grid_skipped_is_not_left(tmp_path: Path) -> None:
    file = synthetic.study([{"kind": "range", "name": "lr", "low": 1, "high": 3, "whole": True}])
    file.study["search"]["sampler"], file.study["budget"] = "grid", {}
    trials = [Trial(0, {"lr": 1}, "completed"), Trial(1, {"lr": 2}, "skipped")]
    place = synthetic.put(tmp_path / "study", trials, file)
    assert status.of(place.needed(), trials, place)["left"] == {"trials": 1}
