"""A comparison as its page shows it: groups, metrics, bars, verdicts, each number in words, all of it bounded. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from stackyard.counting import count
from stackyard.reports import charts, quantities, wording
from stackyard.reports.charts import Bar
from stackyard.reports.report import (
    CellReport,
    Comparison,
    Headline,
    MetricNote,
    Report,
    WorkloadReport,
)
from stackyard.reports.report import Warning as Said
from stackyard.reports.statistics import FEWEST_RUNS, TOO_FEW, UNDECIDED, UNPAIRED, WITHIN_BLOCK

#: Metrics, groups, and rows over all metrics that one page shows; verdicts, failed tasks; runs that are dots of a bar.
MOST_METRICS, MOST_GROUPS, MOST_ROWS = 20, 100, 1_500
MOST_VERDICTS, MOST_FAILED, MOST_DOTS = 60, 100, 24
#: How ``statistics`` paired runs -> how tasks were paired: they have no blocks.
_PAIRING = {WITHIN_BLOCK: "within pairs", UNPAIRED: UNPAIRED}
Badge = tuple[str, str, str]


@dataclass(frozen=True)
class Row:
    """One group's figures of one metric."""

    group: str
    n: int
    median: str
    median_span: str
    mean: str
    mean_span: str
    #: Against the baseline: verdict, ratio, its interval, what is open; ``None``: it is the baseline, or not compared.
    badge: Badge | None = None
    ratio: str = ""
    ratio_span: str = ""
    words: str = ""
    #: How tasks of the two groups were paired.
    pairing: str = ""
    is_baseline: bool = False


@dataclass(frozen=True)
class Drawn:
    """Bars of one setting."""

    name: str
    bars: list[Bar]


@dataclass(frozen=True)
class Metric:
    """One metric over all groups."""

    id: str
    label: str
    meaning: str
    direction: str
    bars: list[Drawn]
    rows: list[Row]


@dataclass(frozen=True)
class Verdict:
    """One sentence of the top of a page."""

    badge: Badge
    text: str
    setting: str


@dataclass(frozen=True)
class Failed:
    """A task that is in no figure."""

    name: str
    group: str
    kind: str
    message: str
    #: Its page on the server.
    url: str


@dataclass(frozen=True)
class Result:
    """All that the page shows."""

    title: str
    counts: list[tuple[str, str]]
    best: list[str]
    verdicts: list[Verdict]
    metrics: list[Metric]
    warnings: list[Said]
    failed: list[Failed]
    footnote: str
    #: What the page does not show, in sentences.
    left_out: list[str]
    #: Percent of the intervals.
    confidence: str


def result(report: Report, tasks: Mapping[str, tuple[str, int]], web: str) -> Result:
    """What to show of a report.

    Args:
        report: on tasks, all of one workload.
        tasks: what the report calls a task -> its id, and the place of its server.
        web: the address of the server's pages.
    """
    left_out: list[str] = []
    workload = next(iter(report.workloads), None)
    metrics: list[Metric] = []
    verdicts: list[Verdict] = []
    best: list[str] = []
    if workload is not None:
        measured = [m for m in _ordered(report) if any(m.key in cell.metrics for cell in workload.cells)]
        shown = measured[:MOST_METRICS]
        if len(measured) > len(shown):
            names = ", ".join(m.label for m in measured[len(shown) : len(shown) + 6])
            left_out.append(
                f"{count(len(measured) - len(shown), 'metric')} beyond {MOST_METRICS} left out of this page: {names}"
                f"{', ...' if len(measured) - len(shown) > 6 else ''}. Choose metrics by name, or take the files."
            )
        most = max(1, min(MOST_GROUPS, MOST_ROWS // max(1, len(shown))))
        if len(workload.cells) > most:
            left_out.append(
                f"{most} of {len(workload.cells):,} groups are shown; the files have all of them. "
                "Group by fewer keys, or narrow the tasks."
            )
        kept = dataclasses.replace(workload, cells=_kept(workload, most))
        colouring = charts.Colouring(report)
        metrics = [
            _metric(place, note, kept, colouring, len(workload.cells)) for place, note in enumerate(shown)
        ]
        if any(
            cell.metrics[m.key].n > MOST_DOTS for cell in kept.cells for m in shown if m.key in cell.metrics
        ):
            left_out.append(f"A bar shows up to {MOST_DOTS} of its tasks as dots.")
        found, few = _folded([h for h in workload.headlines if h.verdict != "fact"])
        if len(found) > MOST_VERDICTS:
            left_out.append(
                f"{MOST_VERDICTS} of {len(found):,} verdicts are shown; the tables have the others."
            )
        verdicts = [
            Verdict(wording.BADGES[h.verdict], h.text, h.setting) for h in found[:MOST_VERDICTS]
        ] + few
        best = [b.sentence for b in (*workload.best, workload.fastest, workload.leanest) if b]
        left_out += workload.left_out
    if len(report.failed) > MOST_FAILED:
        left_out.append(f"{MOST_FAILED} of {len(report.failed):,} failed tasks are named.")
    if len(report.stopped) > MOST_FAILED:
        left_out.append(f"{MOST_FAILED} of {len(report.stopped):,} stopped tasks are named.")
    return Result(
        title=report.title,
        counts=_counts(report),
        best=best,
        verdicts=verdicts,
        metrics=metrics,
        warnings=sorted(report.warnings, key=lambda w: w.severity != "warning"),
        failed=[
            *(
                Failed(
                    s.folder, s.cell, f"stopped: {s.criterion}", s.message, _page_of(tasks.get(s.folder), web)
                )
                for s in report.stopped[:MOST_FAILED]
            ),
            *(
                Failed(f.folder, f.cell, f.kind, f.message, _page_of(tasks.get(f.folder), web))
                for f in report.failed[:MOST_FAILED]
            ),
        ],
        footnote=report.footnote,
        left_out=left_out,
        confidence=f"{report.options.confidence * 100:g}",
    )


def _folded(headlines: list[Headline]) -> tuple[list[Headline], list[Verdict]]:
    """The headlines that say something, and one line for all those that have too few runs."""
    few = [h for h in headlines if h.verdict == TOO_FEW]
    if len(few) < 2:
        return headlines, []
    metrics = count(len({h.metric for h in few}), "metric")
    words = (
        f"{len(few):,} comparisons of {metrics}: a verdict needs {FEWEST_RUNS} tasks, or pairs, in each group. "
        "The tables have their figures."
    )
    return [h for h in headlines if h.verdict != TOO_FEW], [Verdict(wording.BADGES[TOO_FEW], words, "")]


def _ordered(report: Report) -> list[MetricNote]:
    """The metrics, those that somebody named or that tasks say themselves first."""
    first = [
        report.metric(key) for key in report.options.only or () if any(m.key == key for m in report.metrics)
    ]
    first += [m for m in report.metrics if m.group == "own" and m not in first]
    return first + [m for m in report.metrics if m not in first]


def _kept(workload: WorkloadReport, most: int) -> list[CellReport]:
    """The first groups, with the one that the others are compared with."""
    kept = workload.cells[:most]
    base = next((cell for cell in workload.cells if cell.slug == workload.baseline), None)
    return kept if base is None or base in kept else [base, *kept[: most - 1]]


def _metric(
    place: int, note: MetricNote, workload: WorkloadReport, colouring: charts.Colouring, groups: int
) -> Metric:
    chart = charts.bar_chart(workload, note, colouring)
    against: dict[str, Comparison] = {}
    for found in workload.comparisons:
        if found.metric == note.key and found.reference == workload.baseline:
            against.setdefault(found.other, found)
    rows = [
        _row(cell, note, workload.baseline, against.get(cell.slug))
        for cell in workload.cells
        if note.key in cell.metrics
    ]
    return Metric(
        f"m{place}",
        note.label,
        note.meaning,
        {True: "less is better", False: "more is better", None: ""}[note.less_is_better],
        [Drawn(group.name, [_thinned(bar) for bar in group.bars]) for group in chart.groups] if chart else [],
        rows,
    )


def _thinned(bar: Bar) -> Bar:
    """A bar with fewer dots, spread over the sorted values, the least and the greatest among them."""
    if len(bar.dots) <= MOST_DOTS:
        return bar
    values = sorted(bar.dots)
    step = (len(values) - 1) / (MOST_DOTS - 1)
    return dataclasses.replace(bar, dots=[values[round(i * step)] for i in range(MOST_DOTS)])


def _row(cell: CellReport, note: MetricNote, baseline: str | None, found: Comparison | None) -> Row:
    summary = cell.metrics[note.key]
    ranged = summary.low is None or summary.high is None
    low = summary.minimum if summary.low is None else summary.low
    high = summary.maximum if summary.high is None else summary.high
    median, span = quantities.spread(summary.median, low, high, note.unit)
    if summary.mean_low is None or summary.mean_high is None:
        mean, mean_span = quantities.quantity(summary.mean, note.unit), ""
    else:
        mean, inner = quantities.spread(summary.mean, summary.mean_low, summary.mean_high, note.unit)
        mean_span = f"[{inner}]"
    ratio, ratio_span = wording.amount(found, note.unit) if found else ("", "")
    return Row(
        cell.label,
        summary.n,
        median,
        (f"{span.replace(', ', ' to ')}" if ranged else f"[{span}]") if summary.n > 1 else "",
        mean,
        mean_span,
        wording.BADGES[found.verdict] if found else None,
        ratio,
        ratio_span,
        wording.open_words(found) if found and found.verdict in (UNDECIDED, TOO_FEW) else "",
        _PAIRING[found.pairing] if found else "",
        cell.slug == baseline,
    )


def _counts(report: Report) -> list[tuple[str, str]]:
    counts = report.counts
    found = [
        (f"{counts['completed'] or 0:,}", "task completed" if counts["completed"] == 1 else "tasks completed")
    ]
    if counts["stopped"]:
        found.append((f"{counts['stopped']:,}", "stopped at a limit"))
    if counts["failed"]:
        found.append((f"{counts['failed']:,}", "failed or aborted"))
    found.append((f"{counts['cells'] or 0:,}", "group" if counts["cells"] == 1 else "groups"))
    if report.hosts:
        found.append((f"{len(report.hosts):,}", "machine" if len(report.hosts) == 1 else "machines"))
    return found


def _page_of(task: tuple[str, int] | None, web: str) -> str:
    """The address of a task's page, as both the embedded and the official server have it."""
    return "" if task is None else f"{web}/projects/*/experiments/{quote(task[0], safe='')}/output/execution"
