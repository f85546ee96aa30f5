"""The Amdahl fit on times that follow the law, and on times that do not."""

import numpy as np
import pytest

from stackyard.reports import ReportOptions
from stackyard.reports.amdahl import fit, fits
from stackyard.reports.catalogue import CATALOGUE
from stackyard.reports.cells import arrange
from stackyard.reports.loading import Run, Study
from stackyard.reports.report import AmdahlReport
from tests.stackyard.reports.synthetic import record

WALL = CATALOGUE[0]


def study_of(times: dict[str, float], axis: str = "hardware", blocks: int = 6) -> Study:
    runs = []
    for name, seconds in times.items():
        for block in range(blocks):
            cell = {"stack": "new", axis: name, "workload": "train"}
            run = record(cell, block, seconds * (1 + 0.002 * ((block * 7) % 5)), at=100 * block)
            run.environment.allowed_cores = float(name.rstrip("c"))
            runs.append(Run(run, 0, ""))
    return Study(tuple(runs))


def fitted(times: dict[str, float], axis: str = "hardware", blocks: int = 6) -> AmdahlReport:
    matrix = arrange(study_of(times, axis, blocks))
    (found,) = fits(matrix, list(matrix.cells), [WALL], ReportOptions(draws=2000))
    return found


def test_the_serial_fraction_of_exact_times_is_recovered() -> None:
    found = fitted({f"{p}c": 100 * (0.2 + 0.8 / p) for p in (1, 2, 4, 8)})
    assert found.serial_fraction == pytest.approx(0.2, abs=0.01)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.serial_fraction <= found.high
    assert found.greatest_speedup == pytest.approx(5.0, rel=0.05)


def test_known_figures_of_the_law() -> None:
    # A parallel share of 0.8 gives 3.00x on 6 cores and 3.57x on 10.
    cores = np.array([1.0, 6.0, 10.0])
    t1, serial = fit(cores, np.array([[1.0, 1 / 3.0, 1 / 3.5714]]))
    assert serial[0] == pytest.approx(0.2, abs=0.001)
    assert t1[0] == pytest.approx(1.0, abs=0.001)


def test_no_gain_is_all_serial_and_a_slowdown_is_not_extrapolated() -> None:
    found = fitted({"1c": 10.0, "2c": 11.0})
    assert found.serial_fraction == 1.0
    assert "no gain from more cores" in found.sentence


def test_two_points_say_that_the_law_is_not_checked() -> None:
    assert "the law itself is not checked" in fitted({"1c": 10.0, "2c": 6.0}).sentence


def test_less_than_a_core_is_left_out_by_name() -> None:
    found = fitted({"0.5c": 20.0, "1c": 10.0, "2c": 6.0})
    assert found.cores == [1.0, 2.0]
    assert found.left_out == ["0.5c: less than one core (the law starts at one)"]


def test_a_threads_axis_counts_by_its_levels() -> None:
    assert fitted({"1": 10.0, "2": 6.0, "4": 4.0}, axis="threads").cores == [1.0, 2.0, 4.0]


def test_too_few_blocks_give_no_interval() -> None:
    found = fitted({"1c": 10.0, "2c": 6.0}, blocks=3)
    assert found.low is None
    assert found.serial_fraction == pytest.approx(0.2, abs=0.05)
