"""Which factor explains how much of a metric: omega-squared, type II, on the log scale. Pure.

The model has every factor (stack, deployment, hardware, tunables...), their two-way interactions and the
block, fitted to the largest fully crossed sub-matrix. p-values come from permutations within blocks (Freedman
& Lane 1983: residuals of the model without the tested term), adjusted by Holm's method over the terms.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stackyard.reports.catalogue import Metric
from stackyard.reports.cells import Block, CellRuns, label
from stackyard.reports.report import FactorEffect, FactorReport, ReportOptions
from stackyard.reports.statistics import FEWEST_RUNS, holm
from stackyard.reports.wording import inside

#: Beyond this many combinations of levels the search for the sub-matrix is greedy, no longer exhaustive.
MOST_COMBINATIONS = 200_000
#: Cells and runs of an analysis: its time grows with the cube of the first, its memory with the second.
MOST_CELLS, MOST_RUNS = 144, 1_000
#: A factor that explains at least this share, and more than any other, dominates.
DOMINANT_SHARE = 0.5
STACK = "stack"


def largest_crossed(cells: Sequence[Mapping[str, str]], factors: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Levels per factor whose full product is present among ``cells``, with the most cells.

    Exhaustive over the levels of all factors but the one with most levels (whose best levels follow); greedy
    (dropping the level that costs the fewest cells) where that would be more than MOST_COMBINATIONS.
    Ties go to the choice with more factors that vary, then to the earlier levels.
    """
    present = {tuple(cell[factor] for factor in factors) for cell in cells}
    levels = [tuple(dict.fromkeys(cell[factor] for cell in cells)) for factor in factors]
    if math.prod(map(len, levels)) == len(present):
        return dict(zip(factors, levels))
    widest = max(range(len(factors)), key=lambda i: len(levels[i]))
    rest = [i for i in range(len(factors)) if i != widest]
    if math.prod(2 ** len(levels[i]) - 1 for i in rest) > MOST_COMBINATIONS:
        return dict(zip(factors, _greedy(present, levels)))
    best: tuple[tuple[int, int], list[tuple[str, ...]]] | None = None
    for choice in itertools.product(*(_subsets(levels[i]) for i in rest)):
        chosen = dict(zip(rest, choice))
        combinations = list(itertools.product(*(chosen[i] for i in rest)))
        fitting = tuple(
            value
            for value in levels[widest]
            if all(_insert(combination, widest, value) in present for combination in combinations)
        )
        if not fitting:
            continue
        chosen[widest] = fitting
        ordered = [chosen[i] for i in range(len(factors))]
        score = (math.prod(map(len, ordered)), sum(len(c) > 1 for c in ordered))
        if best is None or score > best[0]:
            best = (score, ordered)
    assert best is not None  # any single present cell is a crossed sub-matrix
    return dict(zip(factors, best[1]))


def _subsets(levels: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [s for size in range(len(levels), 0, -1) for s in itertools.combinations(levels, size)]


def _insert(combination: tuple[str, ...], at: int, value: str) -> tuple[str, ...]:
    return (*combination[:at], value, *combination[at:])


def _greedy(present: set[tuple[str, ...]], levels: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    kept = [list(values) for values in levels]

    def inside() -> int:
        return sum(all(value in kept[i] for i, value in enumerate(cell)) for cell in present)

    while inside() < math.prod(map(len, kept)):
        losses = []
        for i, values in enumerate(kept):
            for value in values if len(values) > 1 else []:
                cost = sum(c[i] == value and all(v in kept[j] for j, v in enumerate(c)) for c in present)
                losses.append((cost / math.prod(len(k) for j, k in enumerate(kept) if j != i), i, value))
        _, i, value = min(losses)
        kept[i].remove(value)
    return [tuple(values) for values in kept]


def too_many(cells: Sequence[CellRuns]) -> str | None:
    """Why the factors of so many cells are not analysed, in words; ``None``: they are."""
    completed = [cell for cell in cells if cell.completed]
    runs = sum(len(cell.completed) for cell in completed)
    if len(completed) <= MOST_CELLS and runs <= MOST_RUNS:
        return None
    return (
        f"factors are analysed for up to {MOST_CELLS} cells and {MOST_RUNS:,} runs, "
        f"these are {len(completed):,} cells and {runs:,} runs"
    )


def explain(
    cells: Sequence[CellRuns], factors: Sequence[str], metric: Metric, options: ReportOptions
) -> FactorReport | None:
    """The factor analysis of one metric; ``None`` where no factor varies, or there are too few runs or too many.

    Every cell of the sub-matrix is used in the blocks that hold at least two of its cells.
    """
    if too_many(cells) is not None:
        return None
    values = {id(cell): {b: v for b, v in cell.by_block(metric).items() if v > 0} for cell in cells}
    usable = [cell for cell in cells if len(values[id(cell)]) >= 2 and all(f in cell.axes for f in factors)]
    if len(usable) < 2:
        return None
    chosen = largest_crossed([cell.axes for cell in usable], factors)
    used = [cell for cell in usable if all(cell.axes[f] in chosen[f] for f in factors)]
    active = [factor for factor in factors if len(chosen[factor]) > 1]
    observations = [(block, cell, value) for cell in used for block, value in values[id(cell)].items()]
    counts: dict[Block, int] = {}
    for block, _, _ in observations:
        counts[block] = counts.get(block, 0) + 1
    observations = [o for o in observations if counts[o[0]] > 1]
    if not active or len(observations) <= len(used) + len(counts):
        return None
    left_out = [
        f"{label(cell.axes, factors)}: {'not fully crossed' if cell in usable else 'too few runs'}"
        for cell in cells
        if cell not in used
    ]
    y = np.log([value for _, _, value in observations])
    columns = {factor: [cell.axes[factor] for _, cell, _ in observations] for factor in active}
    blocks = [str(block) for block, _, _ in observations]
    if float(np.ptp(y)) == 0.0:
        return None
    return _analyse(metric, y, columns, blocks, len(used), left_out, options)


def _analyse(
    metric: Metric,
    y: NDArray[np.float64],
    columns: Mapping[str, list[str]],
    blocks: list[str],
    cells: int,
    left_out: list[str],
    options: ReportOptions,
) -> FactorReport:
    terms: list[tuple[str, ...]] = [
        *((factor,) for factor in columns),
        *itertools.combinations(columns, 2),
    ]
    table, residual_ss, residual_df, block_ss = type_two(y, columns, blocks, terms)
    total = float(((y - y.mean()) ** 2).sum())
    error = residual_ss / residual_df
    p_values = permutation_p_values(y, columns, blocks, terms, options.permutations, options.seed)
    effects = []
    for term, p, adjusted in zip(terms, p_values, holm(p_values)):
        squares, freedom = table[term]
        omega = max(0.0, (squares - freedom * error) / (total + error))
        effects.append(FactorEffect(" × ".join(term), list(term), squares, freedom, omega, p, adjusted))
    effects.sort(key=lambda effect: -effect.omega_squared)
    block_df = len(set(blocks)) - 1
    block_share = max(0.0, (block_ss - block_df * error) / (total + error))
    rest = max(0.0, 1 - block_share - sum(effect.omega_squared for effect in effects))
    finding, name = _finding(metric, effects, options, len(set(blocks)))
    return FactorReport(metric.key, cells, len(y), effects, block_share, rest, left_out, finding, name)


def type_two(
    y: NDArray[np.float64],
    columns: Mapping[str, list[str]],
    blocks: list[str],
    terms: Sequence[tuple[str, ...]],
) -> tuple[dict[tuple[str, ...], tuple[float, float]], float, float, float]:
    """Type II sums of squares and degrees of freedom per term; residual SS and df; SS of the blocks."""
    designs = {term: _interaction([columns[f] for f in term]) for term in terms}
    block = _interaction([blocks])
    full = _basis([block, *designs.values()])

    y = y - y.mean()

    def fit(*parts: NDArray[np.float64]) -> tuple[float, int]:
        basis = _basis(parts)
        return float(((y @ basis) ** 2).sum()), basis.shape[1]

    found = {}
    for term in terms:
        # what a term adds to everything that does not contain it
        others = [design for other, design in designs.items() if not set(term) <= set(other)]
        (squares, freedom), (less, fewer) = fit(block, *others, designs[term]), fit(block, *others)
        found[term] = (squares - less, float(freedom - fewer))
    residuals = y - full @ (full.T @ y)
    of_blocks = fit(block, *designs.values())[0] - fit(*designs.values())[0]
    return found, float((residuals**2).sum()), float(len(y) - full.shape[1]), of_blocks


def permutation_p_values(
    y: NDArray[np.float64],
    columns: Mapping[str, list[str]],
    blocks: list[str],
    terms: Sequence[tuple[str, ...]],
    permutations: int,
    seed: int,
) -> list[float]:
    """p per term: residuals of the model without it (and what contains it), permuted within blocks."""
    generator = np.random.default_rng([seed, len(y)])
    codes = np.unique(np.asarray(blocks), return_inverse=True)[1]
    # Sorting random keys within each block permutes inside blocks only.
    keys = np.sort(codes)[None, :] + generator.random((permutations, len(y)))
    order = np.argsort(codes, kind="stable")
    shuffled = np.empty((permutations, len(y)), dtype=np.intp)
    shuffled[:, order] = order[np.argsort(keys, axis=1)]
    designs = {term: _interaction([columns[f] for f in term]) for term in terms}
    block = np.eye(codes.max() + 1)[codes]
    full = _basis([block, *designs.values()])
    found = []
    for term in terms:
        others = [design for other, design in designs.items() if not set(term) <= set(other)]
        reduced, extended = _basis([block, *others]), _basis([block, *others, designs[term]])
        fitted = reduced @ (reduced.T @ y)
        residuals = y - fitted
        drawn = np.vstack([y[None, :], fitted[None, :] + residuals[shuffled]])
        effect = _explained(extended, drawn) - _explained(reduced, drawn)
        error = (drawn**2).sum(axis=1) - _explained(full, drawn)
        statistic = effect / np.maximum(error, 1e-300)
        found.append(float((1 + (statistic[1:] >= statistic[0] * (1 - 1e-9)).sum()) / (permutations + 1)))
    return found


def _interaction(columns: Sequence[list[str]]) -> NDArray[np.float64]:
    codes = np.unique(np.asarray(["\x1f".join(row) for row in zip(*columns)]), return_inverse=True)[1]
    return np.asarray(np.eye(codes.max() + 1)[codes], dtype=float)


def _basis(designs: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Orthonormal columns that span the designs together."""
    u, s, _ = np.linalg.svd(np.hstack(designs), full_matrices=False)
    return np.asarray(u[:, s > s[0] * 1e-10])


def _explained(basis: NDArray[np.float64], drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(((drawn @ basis) ** 2).sum(axis=1))


def _finding(
    metric: Metric, effects: Sequence[FactorEffect], options: ReportOptions, blocks: int
) -> tuple[str | None, str | None]:
    first = effects[0]
    if first.p_holm > 1 - options.confidence and blocks < FEWEST_RUNS:
        # so few blocks can be permuted in so few ways that even levels wholly apart would look like chance
        return f"Too few runs to tell whether a factor explains {inside(metric.label)}.", None
    if first.p_holm > 1 - options.confidence:
        return f"No factor explains {inside(metric.label)} beyond chance.", None
    share = f"{first.omega_squared * 100:.0f} %"
    if first.omega_squared < DOMINANT_SHARE:
        return (
            f"No single factor dominates {inside(metric.label)}; most comes from {first.term} ({share}).",
            None,
        )
    name = "version dominance" if first.term == STACK else None
    lead = "Version dominance: the stack explains" if name else f"{first.term.capitalize()} explains"
    return f"{lead} {share} of the variation of {inside(metric.label)}.", name
