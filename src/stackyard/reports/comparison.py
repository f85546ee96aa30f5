"""Cells against cells: which pairs, their ratios, fastest and leanest, the Pareto front. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from stackyard.errors import BadInputError
from stackyard.reports.catalogue import Metric
from stackyard.reports.cells import WORKLOAD, CellRuns, Matrix, label, matching, same_but
from stackyard.reports.quantities import quantity
from stackyard.reports.report import Best, Comparison, Headline, ReportOptions
from stackyard.reports.statistics import DIFFERENT, PARITY, TOO_FEW, Ratio, paired_ratio, unpaired_ratio
from stackyard.reports.wording import MIXED, counted, inside, open_together, sentence, together

#: More settings than this are counted instead of named.
MOST_TOGETHER = 4
#: Of an axis with more levels each is compared with one of them only: all pairs grow with their square.
MOST_LEVELS = 12
#: Pairs of a workload that differ in one axis; beyond, each level of every axis is compared with one only.
MOST_PAIRS = 3_000


def choose_baseline(
    matrix: Matrix,
    cells: Sequence[CellRuns],
    options: ReportOptions,
    foremost: Metric | None = None,
    avoided: Collection[str] = (),
) -> CellRuns | None:
    """The cell others are compared with: the first that matches the option and has completed runs.

    Args:
        matrix: for its axes.
        cells: of one workload.
        options: with what somebody chose.
        foremost: a cell with values of this metric is preferred: another has no ratio to show.
        avoided: levels of axes; a cell without them is preferred.

    Raises:
        BadInputError: the option names an axis or value that no cell of the study has.
    """
    wanted = dict(options.baseline or {})
    for axis, value in wanted.items():
        levels = matrix.axes.get(axis)
        if levels is None:
            raise BadInputError(f"baseline axis {axis!r} is unknown: the axes are {', '.join(matrix.axes)}")
        if not any(value in (level, level.split(" @ ")[0]) for level in levels):
            raise BadInputError(f"baseline {axis}={value!r} matches no cell: {axis} has {', '.join(levels)}")
    candidates = matching([cell for cell in cells if cell.completed], wanted)
    return min(
        candidates,
        key=lambda cell: (
            foremost is not None and not cell.values(foremost),
            any(level in avoided for axis, level in cell.axes.items() if axis != WORKLOAD),
        ),
        default=None,
    )


def ratio_of(
    reference: CellRuns, other: CellRuns, metric: Metric, options: ReportOptions, difference: bool = False
) -> Ratio:
    """The ratio of one metric: within blocks where the cells share blocks, else of the medians.

    Args:
        reference: the cell that is 1.
        other: the cell compared with it.
        metric: what of them.
        options: margin, confidence, draws, seed.
        difference: of medians their difference instead, for other cells have values of 0 or less.
    """
    a, b = reference.by_block(metric), other.by_block(metric)
    settings = {
        "parity_margin": options.parity_margin,
        "confidence": options.confidence,
        "draws": options.draws,
        "seed": options.seed,
    }
    shared = sorted(a.keys() & b.keys())
    if shared or not _apart(reference, other):
        pairs = [a[k] for k in shared], [b[k] for k in shared]
        return paired_ratio(*pairs, difference=difference and metric.group == "own", **settings)  # type: ignore[arg-type]
    a_values, b_values = reference.values(metric), other.values(metric)
    return unpaired_ratio(a_values, b_values, difference=difference, **settings)  # type: ignore[arg-type]


def _apart(a: CellRuns, b: CellRuns) -> bool:
    """Whether no source of records holds both cells, or runs carry no block: nothing could pair them."""
    return not a.blocks or not b.blocks or not {s for s, _ in a.blocks} & {s for s, _ in b.blocks}


Pair = tuple[CellRuns, CellRuns, str | None, str]


@dataclass(frozen=True)
class Pairs:
    """Which cells are compared, in order."""

    #: (reference, other, axis, setting); no axis: the cells differ in several, and the reference is the baseline.
    chosen: list[Pair]
    #: Axis -> (level others were compared with, pairs that were left out for it).
    left_out: dict[str, tuple[str, int]]
    #: How many all pairs would be, where that was why some were left out; 0 where it was an axis with many levels.
    too_many: int = 0


def pairs(matrix: Matrix, cells: Sequence[CellRuns], baseline: CellRuns | None) -> Pairs:
    """Cells that differ in one axis, then the rest against the baseline.

    The reference is the one with the baseline's value on that axis, else the earlier one. Of an axis with more than
    MOST_LEVELS levels in a setting, or where all pairs together would be more than MOST_PAIRS, each level is compared
    with the reference only.
    """
    cells = [cell for cell in cells if cell.completed]
    places = {id(cell): place for place, cell in enumerate(cells)}
    groups = {axis: _settings(matrix, cells, axis) for axis in matrix.axes}
    count = sum(len(group) * (len(group) - 1) // 2 for found in groups.values() for group in found)
    most = MOST_LEVELS if count <= MOST_PAIRS else 2
    chosen: list[Pair] = []
    left_out: dict[str, tuple[str, int]] = {}
    for axis, found in groups.items():
        others = [name for name in matrix.varying if name != axis]
        wanted = baseline.axes.get(axis) if baseline is not None else None
        made = []
        for group in found:
            first = next((cell for cell in group if cell.axes.get(axis) == wanted), group[0])
            rest = [cell for cell in group if cell is not first]
            made += [(first, cell) for cell in rest]
            if len(group) <= most:
                made += itertools.combinations(rest, 2)
            elif missed := len(rest) * (len(rest) - 1) // 2:
                _, before = left_out.get(axis, ("", 0))
                left_out[axis] = (wanted or "the first of each setting", before + missed)
        made.sort(key=lambda pair: sorted((places[id(pair[0])], places[id(pair[1])])))
        for a, b in made:
            setting = label(a.axes, others) if any(a.axes.get(other) for other in others) else ""
            chosen.append((a, b, axis, setting))
    if baseline is not None:
        chosen += [
            (baseline, cell, None, "")
            for cell in cells
            if cell is not baseline and len(same_but(baseline, cell)) != 1
        ]
    return Pairs(chosen, left_out, count if count > MOST_PAIRS else 0)


def _settings(matrix: Matrix, cells: Sequence[CellRuns], axis: str) -> list[list[CellRuns]]:
    """Groups of cells that differ in that axis alone, each in the cells' order."""
    others = [name for name in matrix.axes if name != axis]
    groups: dict[tuple[str | None, ...], list[CellRuns]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell.axes.get(name) for name in others), []).append(cell)
    return [group for group in groups.values() if len(group) > 1]


def compare(chosen: Sequence[Pair], metrics: Sequence[Metric], options: ReportOptions) -> list[Comparison]:
    """Every chosen pair on every metric that both cells measured."""
    found = []
    cells = {id(cell): cell for pair in chosen for cell in pair[:2]}.values()
    # one metric is compared in one way: not by a ratio here and a difference there
    signed = {m.key for m in metrics if any(min(c.values(m), default=1) <= 0 for c in cells)}
    for reference, other, axis, setting in chosen:
        for metric in metrics:
            if not reference.values(metric) or not other.values(metric):
                continue
            ratio = ratio_of(reference, other, metric, options, metric.key in signed)
            a = reference.axes.get(axis, reference.label) if axis else reference.label
            b = other.axes.get(axis, other.label) if axis else other.label
            words = sentence(metric.key, metric.label, a, b, ratio, options, metric.unit)
            found.append(
                Comparison(
                    metric.key,
                    reference.slug,
                    other.slug,
                    axis,
                    setting,
                    ratio.n,
                    ratio.ratio,
                    ratio.low,
                    ratio.high,
                    ratio.verdict,
                    ratio.more_runs,
                    ratio.pairing,
                    ratio.reason,
                    words,
                    ratio.difference,
                    ratio.difference_low,
                    ratio.difference_high,
                )
            )
    return found


def least(cells: Sequence[CellRuns], metric: Metric, what: str, options: ReportOptions) -> Best | None:
    """The cell with the best median of ``metric`` (the least, where more is not better), and which equal it."""
    measured = [(_median(values), cell) for cell in cells if (values := cell.values(metric))]
    if len(measured) < 2:
        return None
    choose = max if metric.less_is_better is False else min
    value, best = choose(measured, key=lambda pair: pair[0])
    verdicts = [
        (ratio_of(best, cell, metric, options).verdict, cell) for _, cell in measured if cell is not best
    ]
    close = [cell for verdict, cell in verdicts if verdict != DIFFERENT]
    same = [cell.label for verdict, cell in verdicts if verdict == PARITY]
    open_yet = [cell.label for verdict, cell in verdicts if verdict not in (DIFFERENT, PARITY)]

    def named(labels: list[str], all_of_them: str) -> str:
        return all_of_them if len(labels) == len(verdicts) > 1 else ", ".join(labels)

    margin = (options.parity_margin - 1) * 100
    doubt = f"; within ±{margin:.0f} % of {named(same, 'every other')}" if same else ""
    doubt += f"; not yet told apart from {named(open_yet, 'any other')}" if open_yet else ""
    amount = "median" if metric.group == "own" else f"median {inside(metric.label)}"
    words = f"{what}: {best.label}, {amount} {quantity(value, metric.unit)}{doubt}"
    return Best(metric.key, best.slug, [cell.slug for cell in close], words)


def pareto_front(cells: Sequence[CellRuns], metrics: Sequence[Metric]) -> list[CellRuns]:
    """Cells that no other cell beats or equals in every metric while beating it in one; by medians."""
    points = [
        (cell, [_median(cell.values(metric)) for metric in metrics])
        for cell in cells
        if all(cell.values(metric) for metric in metrics)
    ]
    return [
        cell
        for cell, point in points
        if not any(
            all(o <= p for o, p in zip(other, point)) and any(o < p for o, p in zip(other, point))
            for _, other in points
        )
    ]


def headlines(
    comparisons: Sequence[Comparison], matrix: Matrix, metrics: Sequence[Metric], options: ReportOptions
) -> list[Headline]:
    """Sentences per pair of levels of an axis and metric, in the metrics' order.

    Where all settings agree (same verdict, same direction) one sentence names them together; more than
    MOST_TOGETHER are counted.
    """
    axes = {cell.slug: cell.axes for cell in matrix.cells}
    known = {metric.key: place for place, metric in enumerate(metrics)}
    groups: dict[tuple[int, str, str, str], list[Comparison]] = {}
    for comparison in comparisons:
        if comparison.axis not in (None, WORKLOAD) and comparison.metric in known:
            axis = comparison.axis or ""
            ends = axes[comparison.reference].get(axis, ""), axes[comparison.other].get(axis, "")
            groups.setdefault((known[comparison.metric], axis, *ends), []).append(comparison)
    found = []
    for (place, axis, reference, other), group in sorted(groups.items(), key=lambda item: item[0][0]):
        metric = metrics[place]
        ratios = all(c.difference is None for c in group)
        if 1 < len(group) <= MOST_TOGETHER and ratios and _agree(group):
            parts = [(c.setting, c.ratio, c.low, c.high) for c in group if c.ratio is not None]
            if group[0].verdict == TOO_FEW:
                words = open_together(metric.label, reference, other, parts, min(c.n for c in group))
            else:
                words = together(metric.key, metric.label, reference, other, parts, group[0].verdict, options)
            found.append(Headline(group[0].verdict, words, metric.key, axis))
        elif len(group) > MOST_TOGETHER:
            verdicts = [c.verdict for c in group]
            numbers = [c.ratio for c in group if c.ratio is not None] if ratios else []
            words = counted(metric.key, metric.label, reference, other, verdicts, numbers, options)
            found.append(Headline(verdicts[0] if _agree(group) else MIXED, words, metric.key, axis))
        else:
            found += [Headline(c.verdict, c.sentence, metric.key, axis, c.setting) for c in group]
    return found


def _agree(group: Sequence[Comparison]) -> bool:
    verdicts = {comparison.verdict for comparison in group}
    return verdicts in ({PARITY}, {TOO_FEW}) or (
        verdicts == {DIFFERENT} and len({(comparison.ratio or 1) > 1 for comparison in group}) == 1
    )


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
