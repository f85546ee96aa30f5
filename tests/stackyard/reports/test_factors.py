"""Factor shares, their p-values and the crossed sub-matrix, on data whose truth is known."""

import itertools
import os
from collections.abc import Callable

import numpy as np
import pytest

from stackyard.reports import ReportOptions
from stackyard.reports.catalogue import CATALOGUE
from stackyard.reports.cells import CellRuns
from stackyard.reports.factors import explain, largest_crossed, permutation_p_values, type_two
from stackyard.reports.loading import Run
from stackyard.reports.report import FactorReport
from tests.stackyard.reports.synthetic import record

WALL = CATALOGUE[0]
LONG = os.environ.get("STACKYARD_LONG") == "1"
Effect = Callable[[str, str], float]


def cells_of(
    effect: Effect, blocks: int = 6, noise: float = 0.03, seed: int = 1, without: tuple[str, ...] = ()
):
    generator = np.random.default_rng(seed)
    drift = generator.normal(0, noise, blocks)
    found = []
    for stack, hardware in itertools.product(("old", "new", "next"), ("1c", "2c")):
        axes = {"stack": stack, "hardware": hardware, "workload": "train"}
        if f"{stack}-{hardware}" in without:
            continue
        cell = CellRuns("train", axes, f"{stack} · {hardware}")
        for block in range(blocks):
            wall = 10 * effect(stack, hardware) * np.exp(drift[block] + generator.normal(0, noise))
            cell.completed.append(Run(record(axes, block, float(wall)), 0, ""))
        found.append(cell)
    return found


def analysed(cells, permutations: int = 999) -> FactorReport:
    report = explain(cells, ["stack", "hardware"], WALL, ReportOptions(permutations=permutations))
    assert report is not None
    return report


def share(report: FactorReport, term: str) -> float:
    return next(e.omega_squared for e in report.effects if e.term == term)


def test_a_stack_that_decides_is_called_version_dominance() -> None:
    report = analysed(cells_of(lambda stack, _: {"old": 1.0, "new": 2.0, "next": 2.2}[stack]))
    assert share(report, "stack") > 0.9
    assert report.finding_name == "version dominance"
    assert report.finding is not None
    assert report.finding.startswith("Version dominance: the stack explains 9")
    assert next(e for e in report.effects if e.term == "stack").p_holm < 0.01


def test_an_interaction_is_seen_as_one() -> None:
    report = analysed(cells_of(lambda stack, hardware: 2.0 if (stack, hardware) == ("new", "2c") else 1.0))
    interaction = next(e for e in report.effects if e.term == "stack × hardware")
    assert interaction.p_holm < 0.01
    assert interaction.omega_squared > 0.2


def test_noise_alone_explains_nothing() -> None:
    report = analysed(cells_of(lambda stack, hardware: 1.0, seed=2))  # how often noise misleads: next test
    assert report.finding == "No factor explains wall time beyond chance."
    assert report.finding_name is None


def test_of_too_few_blocks_nothing_is_said_of_chance() -> None:
    cells = [
        cell
        for cell in cells_of(lambda stack, _: {"old": 1.0, "new": 2.0, "next": 2.2}[stack])
        if cell.axes["hardware"] == "1c" and cell.axes["stack"] != "next"
    ]
    for cell in cells:
        cell.completed = [run for run in cell.completed if (run.record.block or 0) < 4]
        assert len(cell.completed) == 4
    assert analysed(cells).finding == "Too few runs to tell whether a factor explains wall time."


def test_p_values_under_the_null_are_not_too_small() -> None:
    count = 400 if LONG else 60
    print(f"{count} null matrices")
    small = total = 0
    for seed in range(count):
        cells = cells_of(lambda stack, hardware: 1.0, seed=seed)
        small += min(e.p_holm for e in analysed(cells, 199).effects) <= 0.05
        total += 1
    assert small / total <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / count)


def test_shares_and_rest_make_a_whole() -> None:
    report = analysed(cells_of(lambda stack, hardware: {"old": 1.0, "new": 1.3, "next": 1.1}[stack]))
    whole = sum(e.omega_squared for e in report.effects) + report.block_share + report.residual_share
    assert whole == pytest.approx(1.0, abs=0.02)


def test_sums_of_squares_are_type_two_when_runs_are_missing() -> None:
    # By definition: what a term adds to the model of all terms that do not contain it.
    cells = cells_of(lambda stack, hardware: {"old": 1.0, "new": 1.4, "next": 1.2}[stack])
    cells[0].completed = cells[0].completed[:4]
    cells[3].completed = cells[3].completed[1:]
    rows = [(r.record.block, c, r.record.measurement.wall_seconds) for c in cells for r in c.completed]
    y = np.log([value for _, _, value in rows])
    blocks = [str(block) for block, _, _ in rows]
    columns = {axis: [cell.axes[axis] for _, cell, _ in rows] for axis in ("stack", "hardware")}
    terms = [("stack",), ("hardware",), ("stack", "hardware")]
    table, *_ = type_two(y, columns, blocks, terms)

    def residual(*groups: list[str]) -> float:
        design = np.hstack([np.equal.outer(g, sorted(set(g))).astype(float) for g in map(np.array, groups)])
        return float(((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum())

    added = residual(blocks, columns["hardware"]) - residual(blocks, columns["hardware"], columns["stack"])
    assert table[("stack",)][0] == pytest.approx(added, rel=1e-6)


def test_sums_of_squares_are_those_of_another_program() -> None:
    # statsmodels 0.14, anova_lm(ols("y ~ C(block, Sum) + C(stack, Sum) * C(hardware, Sum)"), typ=2)
    runs = [(b, s, h) for b in range(4) for s in ("old", "new", "next") for h in ("1c", "2c")]
    runs = [run for i, run in enumerate(runs) if i not in (3, 10, 17)]
    slower = {"old": 0.0, "new": 0.3, "next": 0.1}
    y = np.array(
        [
            slower[s]
            + (-0.5 if h == "2c" else 0.0)
            + (0.1 if (s, h) == ("new", "2c") else 0.0)
            + 0.02 * b
            + 0.025 * (7 * i % 5 - 2)
            for i, (b, s, h) in enumerate(runs)
        ]
    )
    columns = {"stack": [s for _, s, _ in runs], "hardware": [h for _, _, h in runs]}
    terms = [("stack",), ("hardware",), ("stack", "hardware")]
    table, residual, freedom, of_blocks = type_two(y, columns, [str(b) for b, _, _ in runs], terms)
    assert table[("stack",)] == (pytest.approx(0.5581948874620, rel=1e-9), 2)
    assert table[("hardware",)] == (pytest.approx(1.1414286432895, rel=1e-9), 1)
    assert table[("stack", "hardware")] == (pytest.approx(0.0028621853671, rel=1e-9), 2)
    assert (residual, freedom) == (pytest.approx(0.0050262605042, rel=1e-9), 12)
    assert of_blocks == pytest.approx(0.0092570728291, rel=1e-9)


def test_permutations_never_leave_their_block() -> None:
    # All variation lies between blocks: within a block nothing can move, so no permutation is less extreme.
    blocks = [str(b) for b in range(6) for _ in range(4)]
    y = np.repeat(np.arange(6.0), 4) + np.tile([0.0, 0.0, 1e-3, 1e-3], 6)
    columns = {"stack": ["a", "a", "b", "b"] * 6}
    p = permutation_p_values(y, columns, blocks, [("stack",)], 499, 1)
    assert p == [pytest.approx(1 / 500, abs=0.01)]


def test_the_largest_crossed_sub_matrix_drops_the_incomplete_level_and_names_it() -> None:
    cells = cells_of(lambda stack, hardware: 1.0, without=("next-2c",))
    chosen = largest_crossed([c.axes for c in cells], ["stack", "hardware"])
    assert chosen == {"stack": ("old", "new"), "hardware": ("1c", "2c")}
    assert analysed(cells).left_out == ["next · 1c: not fully crossed"]


def test_many_levels_are_searched_greedily_and_still_crossed() -> None:
    axes = {f"axis{i}": [f"v{j}" for j in range(5)] for i in range(5)}
    cells = [dict(zip(axes, values)) for values in itertools.product(*axes.values())]
    cells.remove(dict.fromkeys(axes, "v4"))
    chosen = largest_crossed(cells, list(axes))
    present = {tuple(cell.values()) for cell in cells}
    assert all(combination in present for combination in itertools.product(*chosen.values()))
    assert np.prod([len(levels) for levels in chosen.values()]) == 4 * 5**4


def test_one_cell_has_no_factors() -> None:
    cells = cells_of(lambda stack, hardware: 1.0)[:1]
    assert explain(cells, ["stack", "hardware"], WALL, ReportOptions()) is None
