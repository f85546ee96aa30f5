"""From a Study to a Report: arranges the cells, compares them, adds factors, Amdahl and warnings. Pure."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Sequence
from typing import Any

from stackyard.counting import count
from stackyard.reports import amdahl, deployments, factors, facts
from stackyard.reports.catalogue import Metric
from stackyard.reports.cells import CellRuns, Matrix, arrange
from stackyard.reports.comparison import choose_baseline, compare, headlines, least, pairs, pareto_front
from stackyard.reports.loading import Run, Study
from stackyard.reports.metrics import metrics_of, spoken_of
from stackyard.reports.report import (
    CellReport,
    CellResult,
    CellSummary,
    FailedRun,
    Headline,
    MetricNote,
    MissingCell,
    Report,
    ReportOptions,
    StoppedRun,
    TimelineOf,
    WorkloadReport,
)
from stackyard.reports.results import flat_results, is_speed, is_throughput
from stackyard.reports.statistics import summarise
from stackyard.reports.warnings import warnings_of
from stackyard.reports.wording import footnote
from stackyard_task.criteria import Stopped
from stackyard_task.records import RunRecord

#: Metrics a cores axis is expected to shorten.
SCALING = ("wall_seconds", "steady_seconds", "turnaround_seconds")
#: Relative difference of a numeric result between cells that is worth a warning.
RESULT_TOLERANCE = 0.01
#: Average use from which a device counts as kept busy.
BUSY_PERCENT = 80.0
#: More timelines than this are not kept: one per cell then, the run nearest the median wall time.
MOST_TIMELINES = 96


def analyse(study: Study, options: ReportOptions | None = None, *, rows: bool = True) -> Report:
    """Everything a report says about ``study``; the same study and options give the same report.

    Args:
        study: the records.
        options: what the reader chose.
        rows: whether the report has a row for each run, as its JSON and CSV have.

    Raises:
        BadInputError: the baseline names an axis or value that no cell has.
    """
    options = options or ReportOptions()
    matrix = arrange(study)
    completed = [run.record for cell in matrix.cells for run in cell.completed]
    metrics = metrics_of(completed, options)
    workloads = [_workload(matrix, name, metrics, options, study.unsaid) for name in matrix.workloads]
    for plan in study.plans:
        for workload in workloads:
            change = plan.changes.get(workload.name)
            if change is not None:
                said = "; ".join(change.differs) or "not recorded"
                workload.since = f"{workload.name} is {change.of} since this changed: {said}."
    name = next((p.name for p in study.plans if p.name), None) or (
        study.title or (study.sources[0] if study.sources else "runs")
    )
    starts = sorted(run.record.started_at for run in study.runs)
    ends = sorted(run.record.finished_at for run in study.runs)
    return Report(
        title=next((plan.title for plan in study.plans if plan.title), None) or name,
        name=name,
        sources=list(study.sources),
        hosts=list(matrix.hosts),
        started_at=starts[0] if starts else None,
        finished_at=ends[-1] if ends else None,
        options=options,
        axes={axis: list(levels) for axis, levels in matrix.axes.items()},
        constant=matrix.constant,
        counts=_counts(study, matrix),
        metrics=[MetricNote(m.key, m.label, m.unit, m.group, m.meaning, m.less_is_better) for m in metrics],
        workloads=workloads,
        warnings=warnings_of(study, matrix, workloads),
        failed=_failed(matrix),
        stopped=_stopped(matrix),
        unreadable=[dataclasses.asdict(item) for item in study.unreadable],
        not_runnable=[
            MissingCell(dict(item.axes), item.reason) for plan in study.plans for item in plan.not_runnable
        ],
        environment=facts.environment(matrix),
        methods=facts.methods(matrix),
        rows=[flatten(run) for run in study.runs] if rows else [],
        timelines=_timelines(matrix),
        footnote=footnote(
            options,
            compares=any(workload.comparisons for workload in workloads),
            paired=study.blocks,
            intervals=any(
                summary.low is not None
                for workload in workloads
                for cell in workload.cells
                for summary in cell.metrics.values()
            ),
        ),
        headline=[metric.key for metric in spoken_of(metrics, options)],
        failures=deployments.failures(matrix),
        retries=deployments.retries(matrix),
    )


def _workload(
    matrix: Matrix, name: str, metrics: Sequence[Metric], options: ReportOptions, unsaid: Sequence[str] = ()
) -> WorkloadReport:
    cells = matrix.of(name)
    by_key = {metric.key: metric for metric in metrics}
    spoken = spoken_of(metrics, options)
    baseline = choose_baseline(matrix, cells, options, next(iter(spoken), None), unsaid)
    compared = pairs(matrix, cells, baseline)
    comparisons = compare(compared.chosen, metrics, options)
    wall, memory = by_key.get("wall_seconds"), by_key.get("peak_rss_bytes")
    front = [by_key[k] for k in ("wall_seconds", "peak_rss_bytes", "gpu_peak_memory_bytes") if k in by_key]
    front = [metric for metric in front if all(c.values(metric) for c in cells if c.completed)]
    analysed = [report for m in spoken if (report := factors.explain(cells, matrix.varying, m, options))]
    scaling = amdahl.fits(matrix, cells, [by_key[k] for k in SCALING if k in by_key], options)
    fastest = least(cells, wall, "Fastest", options) if wall else None
    leanest = least(cells, memory, "Leanest", options) if memory else None
    own = [metric for metric in metrics if metric.group == "own" and metric.less_is_better is not None]
    best = [found for metric in own if (found := least(cells, metric, f"Best {metric.label}", options))]
    lines = headlines(comparisons, matrix, spoken, options)
    parities = deployments.parities(matrix, cells, metrics, options)
    shares = deployments.shares_of(analysed, metrics)
    if parities:  # one sentence over all settings says it instead of one for each
        lines = [h for h in lines if h.axis != deployments.DEPLOYMENT or h.metric not in deployments.JUDGED]
        first = matrix.axes[deployments.DEPLOYMENT][0]  # the other pairs are in their table
        said = [
            Headline(p.verdict, p.sentence, p.metric, deployments.DEPLOYMENT)
            for p in parities
            if p.reference == first
        ]
        order = [metric.key for metric in spoken]
        lines = sorted(said + lines, key=lambda h: order.index(h.metric) if h.metric in order else len(order))
    lines += [Headline("fact", f.finding, f.metric) for f in analysed if f.finding]
    lines += [Headline("fact", s.sentence, s.metric) for s in shares]
    lines += [Headline("fact", a.sentence, a.metric, a.axis) for a in scaling]
    reports = [_cell(cell, metrics, options) for cell in cells]
    return WorkloadReport(
        name=name,
        program=", ".join(dict.fromkeys(run.record.workload for c in cells for run in c.ended)),
        baseline=baseline.slug if baseline else None,
        headlines=lines,
        cells=reports,
        comparisons=comparisons,
        fastest=fastest,
        leanest=leanest,
        pareto=[cell.slug for cell in pareto_front(cells, front)] if len(front) > 1 else [],
        pareto_metrics=[metric.key for metric in front],
        factors=analysed,
        amdahl=scaling,
        results_differing=_differing(reports),
        left_out=[
            *(
                (
                    f"all {compared.too_many:,} pairs would be too many, so each of {axis} is compared with "
                    if compared.too_many
                    else f"{axis} has {len(matrix.axes[axis])} levels, so each is compared with "
                )
                + f"{level} only, and {count(missed, 'pair')} {'is' if missed == 1 else 'are'} left out"
                for axis, (level, missed) in compared.left_out.items()
            ),
            *([why] if (why := factors.too_many(cells)) else []),
        ],
        parities=parities,
        shares=shares,
        best=best,
    )


def _cell(cell: CellRuns, metrics: Sequence[Metric], options: ReportOptions) -> CellReport:
    found: dict[str, CellSummary] = {}
    for metric in metrics:
        values = cell.values(metric)
        summary = summarise(values, options.confidence, options.draws, options.seed)
        if summary:
            found[metric.key] = CellSummary(**vars(summary), values=values)
    return CellReport(
        cell.slug,
        cell.label,
        dict(cell.axes),
        len(cell.completed),
        len(cell.failed),
        len(cell.warm_up),
        found,
        _results([run.record for run in cell.completed], {each.name for each in options.own}),
        _bound({key: summary.median for key, summary in found.items()}),
        len(cell.stopped),
    )


def _bound(medians: dict[str, float]) -> str | None:
    """What a cell keeps busy, from medians over whole runs (start-up included)."""
    allowed, core = medians.get("cpu_percent_of_allowed"), medians.get("cpu_percent_of_core")
    gpu = medians.get("gpu_utilisation_percent")
    if allowed is None or core is None:
        return None
    if gpu is not None and gpu >= BUSY_PERCENT:
        return "GPU-bound"
    if allowed >= BUSY_PERCENT:
        return "CPU-bound"
    if core >= BUSY_PERCENT and core <= 200 - BUSY_PERCENT:
        return "about one core busy, more allowed"
    return "neither CPU nor GPU kept busy" if gpu is not None else "CPU not kept busy"


def _results(records: Sequence[RunRecord], compared: Collection[str] = ()) -> dict[str, CellResult]:
    flat = [flat_results(record) for record in records]
    found = {}
    for name in dict.fromkeys(name for results in flat for name in results):
        if is_throughput(name) or name in compared:
            continue
        values = [results[name] for results in flat if name in results]
        numbers = sorted(float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool))
        texts = list(dict.fromkeys(str(v)[:80] for v in values if isinstance(v, (str, bool))))
        middle = len(numbers) // 2
        median = None
        if numbers:
            median = numbers[middle] if len(numbers) % 2 else numbers[middle - 1] / 2 + numbers[middle] / 2
        found[name] = CellResult(
            len(values), median, numbers[0] if numbers else None, numbers[-1] if numbers else None, texts[:4]
        )
    return found


def _differing(cells: Sequence[CellReport]) -> list[str]:
    """Results whose medians differ by more than RESULT_TOLERANCE between cells, or whose texts differ.

    Of times and rates no median is looked at: that they differ is what is compared.
    """
    names = dict.fromkeys(name for cell in cells for name in cell.results)
    found = []
    for name in names:
        seen = [cell.results[name] for cell in cells if name in cell.results]
        medians = [result.median for result in seen if result.median is not None]
        spread = max(medians) - min(medians) if medians else 0.0
        texts = {tuple(sorted(result.texts)) for result in seen}
        scale = max(map(abs, medians), default=0.0)
        if (spread > RESULT_TOLERANCE * scale and not is_speed(name)) or len(texts) > 1:
            found.append(name)
    return found


def _counts(study: Study, matrix: Matrix) -> dict[str, int | None]:
    planned = [len(p.cells) * p.repeats for p in study.plans if p.repeats and p.cells]
    return {
        "read": len(study.runs),
        "completed": sum(len(cell.completed) for cell in matrix.cells),
        "stopped": sum(len(cell.stopped) for cell in matrix.cells),
        "failed": sum(len(cell.failed) for cell in matrix.cells),
        "warm_up": sum(len(cell.warm_up) for cell in matrix.cells),
        "planned": sum(planned) if planned else None,
        "unreadable": len(study.unreadable),
        "duplicates": study.duplicates,
        "cells": len(matrix.cells),
        "not_runnable": sum(len(plan.not_runnable) for plan in study.plans),
    }


def _failed(matrix: Matrix) -> list[FailedRun]:
    found = []
    for cell in matrix.cells:
        for run in cell.failed:
            failure = run.record.failure
            kind, message = (
                (failure.kind, failure.message) if failure else ("unknown", "no reason was recorded")
            )
            found.append(FailedRun(run.folder, cell.workload, cell.label, run.record.block, kind, message))
    return found


def _stopped(matrix: Matrix) -> list[StoppedRun]:
    found = []
    for cell in matrix.cells:
        for run in cell.stopped:
            said = run.record.stopped or Stopped("unknown", 0.0, 0.0, "", 0.0, "no reason was recorded")
            block = run.record.block
            found.append(
                StoppedRun(
                    run.folder,
                    cell.workload,
                    cell.label,
                    block,
                    said.criterion,
                    said.message,
                    said.at_seconds,
                )
            )
    return found


def flatten(run: Run) -> dict[str, Any]:
    """One flat row for a run: every field of the record, nested names joined by dots."""
    row: dict[str, Any] = {"folder": run.folder, "source": run.source}

    def descend(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                descend(f"{prefix}.{key}" if prefix else str(key), inner)
        elif dataclasses.is_dataclass(value):
            for name in _names(value.__class__):
                descend(f"{prefix}.{name}" if prefix else name, getattr(value, name))
        elif isinstance(value, list) and prefix == "measurement.gpus":
            for gpu in value:
                descend(f"gpu{gpu.index}", gpu)
        elif isinstance(value, list):
            row[prefix] = "; ".join(_compact(item) for item in value)
        else:
            row[prefix] = value

    descend("", run.record)
    return row


@functools.cache
def _names(shape: Any) -> tuple[str, ...]:
    return tuple(each.name for each in dataclasses.fields(shape))


def _compact(item: Any) -> str:
    if dataclasses.is_dataclass(item):
        item = vars(item)
    return " ".join(f"{k}={v}" for k, v in item.items()) if isinstance(item, dict) else str(item)


def _timelines(matrix: Matrix) -> list[TimelineOf]:
    chosen: list[tuple[CellRuns, Run]] = [
        (cell, run) for cell in matrix.cells for run in cell.ended if run.timeline
    ]
    if len(chosen) > MOST_TIMELINES:
        chosen = []
        for cell in matrix.cells:
            runs = sorted(
                (r for r in cell.completed if r.timeline),
                key=lambda r: r.record.measurement.wall_seconds or 0.0,
            )
            if runs:
                chosen.append((cell, runs[len(runs) // 2]))
    return [
        TimelineOf(run.folder, cell.workload, cell.label, run.record.block, dict(run.timeline or {}))
        for cell, run in chosen
    ]
