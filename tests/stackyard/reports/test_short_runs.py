"""What a report says of short runs: how much of them is start-up, and where the ratio of a long run tends to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stackyard.reports import ReportOptions, analyse, load
from stackyard_task.records import RunRecord

#: Seconds that more steps do not lengthen.
START = 2.0
FAST = ReportOptions(permutations=49, draws=500)


def said(folder: Path) -> list[str]:
    return [w.message for w in analyse(load([folder]), FAST).warnings if w.code == "short-runs"]


def with_steady(seconds: Callable[[RunRecord], float | None]) -> Callable[[RunRecord], None]:
    """Records of two seconds of start-up, and as many of the steady phase as ``seconds`` says."""

    def change(run: RunRecord) -> None:
        steady = seconds(run)
        run.measurement.startup_seconds = START
        run.measurement.data_seconds = run.measurement.warmup_seconds = None
        run.measurement.steady_seconds = steady
        run.measurement.wall_seconds = START + (steady or 0.5)

    return change


def test_the_ratio_of_a_long_run_is_said_where_it_is_another(two_cells: Callable[..., Path]) -> None:
    (words,) = said(two_cells(with_steady(lambda run: 4.0 if run.cell["stack"] == "old" else 1.0)))
    assert "up to" not in words
    assert "67 % of the wall time in new" in words
    assert "new to old 0.25×, instead of 0.50× here" in words


def test_where_all_parts_grow_alike_a_longer_run_is_said_to_change_nothing(
    two_cells: Callable[..., Path],
) -> None:
    (words,) = said(two_cells(with_steady(lambda run: 1.0)))
    assert "up to 67 % of the wall time in every cell" in words
    assert "more steps change no ratio" in words


def test_long_runs_are_not_spoken_of(two_cells: Callable[..., Path]) -> None:
    assert said(two_cells(with_steady(lambda run: 80.0 if run.cell["stack"] == "old" else 81.0))) == []


def test_a_tenth_of_start_up_counts_where_it_hides_a_difference(two_cells: Callable[..., Path]) -> None:
    (words,) = said(two_cells(with_steady(lambda run: 16.0 if run.cell["stack"] == "old" else 4.0)))
    assert "0.25×, instead of 0.33× here" in words


def test_nothing_is_said_of_a_ratio_where_no_steady_phase_was_measured(
    two_cells: Callable[..., Path],
) -> None:
    def phaseless(run: RunRecord) -> None:
        with_steady(lambda _: None)(run)
        run.measurement.startup_seconds = None

    assert said(two_cells(phaseless)) == []
