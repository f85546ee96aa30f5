"""What a terminal is told of runs as they end."""

from __future__ import annotations

from stackyard.cli import progress
from stackyard_task.records import Measurement, RunRecord


def told(**measured: float | None) -> str:
    return progress.outcome(
        RunRecord("r", "w", "completed", "", "", measurement=Measurement(**measured))  # type: ignore[arg-type]
    )


def test_small_figures_are_no_zeros_and_what_was_not_measured_is_left_out() -> None:
    assert (
        told(wall_seconds=0.0035, cpu_seconds=0.002, peak_rss_bytes=197_000)
        == "3.50 ms  cpu 2.00 ms  peak 197 kB"
    )
    assert told(wall_seconds=2.54, peak_rss_bytes=252_000_000) == "2.54 s  peak 252 MB"
    assert told() == "done"
