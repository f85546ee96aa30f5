"""Which cells are compared: every pair that differs in one axis, as long as that is not too much."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.reports import ReportOptions, Study, analyse, comparison, factors, load
from stackyard.reports.cells import CellRuns, Matrix, arrange, same_but
from stackyard.reports.loading import MOST_RESULTS, Run
from stackyard_task.records import RunRecord
from tests.stackyard.reports.synthetic import record

AXES = ("stack", "hardware", "deployment")


def study(*counts: int, blocks: int = 1) -> Study:
    """A matrix with so many levels of each axis."""
    levels = [
        [f"{axis}{number}" for number in range(count)] for axis, count in zip(AXES, counts, strict=False)
    ]
    cells = [dict(zip(AXES, values, strict=False), workload="train") for values in itertools.product(*levels)]
    return Study(
        tuple(
            Run(record(cell, block, 10.0 + place % 7 + 0.1 * block, at=place), 0, f"{block}-{place}")
            for block in range(1, blocks + 1)
            for place, cell in enumerate(cells)
        )
    )


def plain(matrix: Matrix, baseline: CellRuns) -> list[tuple[str, str, str | None]]:
    """Every pair, looked at one by one."""
    found: dict[str | None, list[tuple[str, str, str | None]]] = {axis: [] for axis in (*matrix.axes, None)}
    for first, second in itertools.combinations(matrix.cells, 2):
        differing = same_but(first, second)
        if len(differing) == 1:
            swap = second.axes[differing[0]] == baseline.axes[differing[0]]
            a, b = (second, first) if swap else (first, second)
            found[differing[0]].append((a.slug, b.slug, differing[0]))
        elif baseline in (first, second):
            found[None].append((baseline.slug, (second if first is baseline else first).slug, None))
    return [pair for pairs in found.values() for pair in pairs]


@pytest.mark.parametrize("counts", [(2,), (3, 2), (12,), (4, 3, 2)])
@pytest.mark.parametrize("base", [0, -1])
def test_all_pairs_that_differ_in_one_axis_and_the_rest_against_the_baseline(
    counts: tuple[int, ...], base: int
) -> None:
    matrix = arrange(study(*counts))
    found = comparison.pairs(matrix, matrix.cells, matrix.cells[base])
    assert [(a.slug, b.slug, axis) for a, b, axis, _ in found.chosen] == plain(matrix, matrix.cells[base])
    assert found.left_out == {}


def test_of_many_levels_each_is_compared_with_the_baselines() -> None:
    matrix = arrange(study(40, 2))
    baseline = matrix.cells[7]
    found = comparison.pairs(matrix, matrix.cells, baseline)
    stacks = [(a, b) for a, b, axis, _ in found.chosen if axis == "stack"]
    assert len(stacks) == 2 * 39
    assert {a.axes["stack"] for a, _ in stacks} == {baseline.axes["stack"]}
    assert found.left_out == {"stack": (baseline.axes["stack"], 2 * 39 * 38 // 2)}
    assert sum(axis == "hardware" for _, _, axis, _ in found.chosen) == 40, "the other axis keeps its pairs"


def test_the_pairs_of_a_large_matrix_grow_with_its_cells_not_with_their_square() -> None:
    matrix = arrange(study(10, 10, 10))
    found = comparison.pairs(matrix, matrix.cells, matrix.cells[0])
    assert len(found.chosen) < (len(AXES) + 1) * len(matrix.cells)
    assert {b.slug for _, b, _, _ in found.chosen} == {cell.slug for cell in matrix.cells[1:]}, (
        "all are compared"
    )
    assert {missed for _, missed in found.left_out.values()} == {100 * 9 * 8 // 2}


def test_the_report_says_what_it_does_not_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = ReportOptions(permutations=49, draws=200)
    monkeypatch.setattr(factors, "MOST_CELLS", 20)
    report = analyse(study(21, blocks=2), quick)
    (found,) = [warning for warning in report.warnings if warning.code == "comparisons-left-out"]
    assert (
        "stack has 21 levels, so each is compared with stack0 only, and 190 pairs are left out"
        in found.message
    )
    assert (
        "factors are analysed for up to 20 cells and 1,000 runs, these are 21 cells and 42 runs"
        in found.message
    )
    assert report.workloads[0].factors == []
    assert not any(w.code == "comparisons-left-out" for w in analyse(study(6, blocks=2), quick).warnings)


def many_results(run: RunRecord) -> None:
    figures = {f"figure_{number}_per_second": 1.0 for number in range(MOST_RESULTS)}
    run.results = {"f1": 0.5, "nested": figures, "list": list(range(19_000)), "late": {"f2": 1.0}}


def test_of_a_record_with_very_many_results_the_first_are_read_and_the_report_says_so(
    two_cells: Callable[..., Path],
) -> None:
    read = load([two_cells(many_results)])
    results = read.runs[0].record.results
    assert (results["f1"], len(results["nested"]), results["list"]) == (0.5, MOST_RESULTS - 1, [])
    assert results["late"] == {}
    for run in read.runs:  # speeds are metrics, each compared: not what this test is about
        run.record.results.clear()
    (found,) = [w for w in analyse(read, ReportOptions(draws=50)).warnings if w.code == "results-left-out"]
    assert found.message.startswith("Of 12 records the first 500 results are read: ")
    assert "(19,002 left out)" in found.message
