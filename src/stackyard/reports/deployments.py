"""What the deployment costs at a fixed stack, how much of the variation it and the stack explain, and what failed why.

Pure. Parity is a pooled ratio: within each block the geometric mean over settings (stack, hardware...) of one
deployment's value over another's, then the median over blocks with its interval, as for single ratios.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from stackyard.reports.catalogue import Metric
from stackyard.reports.cells import DEPLOYMENT, Block, CellRuns, Matrix, label, same_but
from stackyard.reports.comparison import ratio_of
from stackyard.reports.report import (
    FactorReport,
    FailureCount,
    ParityReport,
    ReportOptions,
    SettingRatio,
    VarianceShares,
)
from stackyard.reports.statistics import Ratio, paired_ratio
from stackyard.reports.wording import inside, interval, times, verdict_words

#: What a deployment is judged by: work, not start-up; the whole; and what it takes.
JUDGED = ("steady_seconds", "wall_seconds", "cpu_seconds", "peak_rss_bytes")
STACK = "stack"
#: Failures that say nothing about the workload, and what they mean to a reader.
INFRASTRUCTURE_KINDS = ("infrastructure", "killed", "interrupted")


def parities(
    matrix: Matrix, cells: Sequence[CellRuns], metrics: Sequence[Metric], options: ReportOptions
) -> list[ParityReport]:
    """Per judged metric and pair of deployments: the ratio in each setting, and over all of them."""
    levels = matrix.axes.get(DEPLOYMENT, ())
    others = [axis for axis in matrix.varying if axis != DEPLOYMENT]
    found = []
    by_key = {metric.key: metric for metric in metrics}
    for key in JUDGED:
        metric = by_key.get(key)
        for reference, other in _pairs_of(levels) if metric else ():
            assert metric is not None
            pairs = list(_same_setting(cells, reference, other))
            if not pairs:
                continue
            settings = []
            for first, second in pairs:
                ratio = ratio_of(first, second, metric, options)
                setting = label(first.axes, others) if others else ""
                settings.append(
                    SettingRatio(setting, ratio.n, ratio.ratio, ratio.low, ratio.high, ratio.verdict)
                )
            pooled = _pooled(pairs, metric, options)
            words = _sentence(metric, reference, other, pooled, len(pairs), options)
            found.append(
                ParityReport(
                    metric=key,
                    reference=reference,
                    other=other,
                    settings=settings,
                    n=pooled.n,
                    ratio=pooled.ratio,
                    low=pooled.low,
                    high=pooled.high,
                    verdict=pooled.verdict,
                    sentence=words,
                )
            )
    return found


def shares_of(factors: Sequence[FactorReport], metrics: Sequence[Metric]) -> list[VarianceShares]:
    """Per metric what stack and deployment explain of its variation, where both vary."""
    labels = {metric.key: metric.label for metric in metrics}
    found = []
    for analysed in factors:
        share = {effect.term: effect.omega_squared for effect in analysed.effects}
        if STACK not in share or DEPLOYMENT not in share:
            continue
        both = next(
            (e.omega_squared for e in analysed.effects if set(e.factors) == {STACK, DEPLOYMENT}), None
        )
        words = (
            f"Of the variation of {inside(labels[analysed.metric])} the stack explains {_percent(share[STACK])}, "
            f"the deployment {_percent(share[DEPLOYMENT])}"
        )
        words += "" if both is None else f", the two together beyond that {_percent(both)}"
        found.append(VarianceShares(analysed.metric, share[STACK], share[DEPLOYMENT], both, words + "."))
    return found


def failures(matrix: Matrix) -> list[FailureCount]:
    """How many runs failed for each kind of reason, those of the infrastructure last."""
    counts: dict[str, int] = {}
    for cell in matrix.cells:
        for run in cell.failed:
            kind = run.record.failure.kind if run.record.failure else "unknown"
            counts[kind] = counts.get(kind, 0) + 1
    found = [FailureCount(kind, count, kind in INFRASTRUCTURE_KINDS) for kind, count in counts.items()]
    return sorted(found, key=lambda item: (item.infrastructure, -item.runs, item.kind))


def retries(matrix: Matrix) -> int:
    """Starts that the infrastructure lost and that were made again."""
    runs = [run for cell in matrix.cells for run in cell.ended]
    return sum(run.record.dispatch.retries for run in runs if run.record.dispatch is not None)


def _pairs_of(levels: Sequence[str]) -> Iterator[tuple[str, str]]:
    for i, reference in enumerate(levels):
        for other in levels[i + 1 :]:
            yield reference, other


def _same_setting(
    cells: Sequence[CellRuns], reference: str, other: str
) -> Iterator[tuple[CellRuns, CellRuns]]:
    for first in cells:
        if first.axes.get(DEPLOYMENT) != reference or not first.completed:
            continue
        for second in cells:
            alike = second.axes.get(DEPLOYMENT) == other and same_but(first, second) == [DEPLOYMENT]
            if alike and second.completed:
                yield first, second


def _pooled(pairs: Sequence[tuple[CellRuns, CellRuns]], metric: Metric, options: ReportOptions) -> Ratio:
    """The ratio over all settings, from the blocks that hold every one of the cells."""
    values = [(first.by_block(metric), second.by_block(metric)) for first, second in pairs]
    blocks: set[Block] = set.intersection(*(set(a) & set(b) for a, b in values))
    means = [
        math.exp(math.fsum(math.log(b[block] / a[block]) for a, b in values) / len(values))
        if all(a[block] > 0 and b[block] > 0 for a, b in values)
        else 0.0
        for block in sorted(blocks)
    ]
    return paired_ratio(
        [1.0] * len(means),
        means,
        parity_margin=options.parity_margin,
        confidence=options.confidence,
        draws=options.draws,
        seed=options.seed,
    )


def _sentence(
    metric: Metric, reference: str, other: str, pooled: Ratio, settings: int, options: ReportOptions
) -> str:
    where = f"over {settings} settings" if settings > 1 else "in the one setting"
    if pooled.ratio is None:
        return f"{metric.label} of {other} to {reference} {where}: {pooled.reason}."
    margin = f" within ±{(options.parity_margin - 1) * 100:.3g} %" if pooled.verdict == "parity" else ""
    span = interval(pooled.low, pooled.high)
    verdict = verdict_words(pooled.verdict, pooled.n, pooled.more_runs)
    shown = f"{times(pooled.ratio)}×{' ' + span if span else ''}"
    return f"{metric.label} of {other} to {reference} {where}: {shown}, {verdict}{margin}."


def _percent(share: float) -> str:
    return "under 1 %" if share < 0.01 else f"{share * 100:.0f} %"
