"""Rules about the runs of a study: which failed or are missing, how they scatter and drift, what they say. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from stackyard.counting import count
from stackyard.reports.catalogue import CATALOGUE, Metric
from stackyard.reports.cells import WORKLOAD, CellRuns, Matrix, label
from stackyard.reports.deployments import failures, retries
from stackyard.reports.findings import Finding, name, runs, slugs, some, where
from stackyard.reports.loading import MOST_RESULTS, PlanSummary, Study
from stackyard.reports.statistics import FEWEST_RUNS, looks_bimodal

DRIFT_P = 0.01
DRIFT_RATIO = 1.05
FIRST_BLOCK_RATIO = 1.10
MOST_NOTES = 10
_CHOSEN = re.compile(
    r"stack \S+: (?:named by [^;]*|the default [^;]*|the task asks for [^;]*"
    r"|the first that is here; the task asks for no torch)"
)
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")

_WALL = next(metric for metric in CATALOGUE if metric.key == "wall_seconds")
_BIMODAL: tuple[Metric, ...] = tuple(
    metric for metric in CATALOGUE if metric.key in ("wall_seconds", "steady_seconds", "peak_rss_bytes")
)


def _failed(study: Study, matrix: Matrix) -> Iterator[Finding]:
    cells = [cell for cell in matrix.cells if cell.failed]
    if cells:
        failed = sum(len(cell.failed) for cell in cells)
        total = sum(len(cell.ended) for cell in cells)
        yield (
            "failed-runs",
            f"{failed} of {count(total, 'run')} failed in {where(cells, matrix)}.",
            [c.slug for c in cells],
        )
    cells = [cell for cell in matrix.cells if cell.stopped]
    if cells:
        stopped = sum(len(cell.stopped) for cell in cells)
        total = sum(len(cell.ended) for cell in cells)
        yield (
            "stopped-runs",
            f"{stopped} of {count(total, 'run')} stopped at a limit in {where(cells, matrix)}.",
            [c.slug for c in cells],
        )
    broken = [item for item in failures(matrix) if item.infrastructure]
    if broken:
        words = ", ".join(f"{item.runs} {item.kind}" for item in broken)
        yield (
            "infrastructure-failures",
            f"Of the failed runs these are no fault of the workload: {words}.",
            [],
        )
    again = retries(matrix)
    if again:
        yield "retried-starts", f"{count(again, 'start')} of runs had to be repeated.", []
    if study.unreadable:
        names = some(item.folder for item in study.unreadable)
        yield (
            "unreadable-runs",
            f"{count(len(study.unreadable), 'run folder')} without a readable record: {names}.",
            [],
        )
    if study.damaged:
        names, reason = some(item.folder for item in study.damaged), study.damaged[0].reason
        files = count(len(study.damaged), "file")
        yield "unreadable-files", f"{files} beside the records cannot be read: {names} ({reason}).", []
    if study.duplicates:
        yield "duplicate-records", f"Given twice: {count(study.duplicates, 'record')}.", []


def _planned(study: Study, matrix: Matrix) -> Iterator[Finding]:
    reasons = [item for plan in study.plans for item in plan.not_runnable]
    if reasons:
        words = some(sorted({item.reason for item in reasons}), 3)
        yield "not-runnable", f"{count(len(reasons), 'planned cell')} could not run: {words}.", []
    if len(study.plans) != 1 or len(matrix.hosts) > 1 or not study.plans[0].repeats:
        return
    plan = study.plans[0]
    short = []
    for axes in plan.cells:
        cell = next((c for c in matrix.cells if all(c.axes.get(a) == v for a, v in axes.items())), None)
        have = len(cell.ended) if cell else 0
        if have < (plan.repeats or 0):
            short.append((_planned_name(plan, axes), have))
    if short:
        words = some(f"{name} ({have} of {plan.repeats})" for name, have in short)
        yield "missing-runs", f"Fewer runs than planned in {count(len(short), 'cell')}: {words}.", []


def _planned_name(plan: PlanSummary, axes: Mapping[str, str]) -> str:
    """A planned cell as ``name`` has it, whether it has runs or not: by the axes in which the plan's cells differ."""
    varying = [
        axis for axis in axes if axis != WORKLOAD and len({other.get(axis) for other in plan.cells}) > 1
    ]
    return f"{axes.get(WORKLOAD, '')}: {label(axes, varying)}"


def _few(study: Study, matrix: Matrix) -> Iterator[Finding]:
    cells = [cell for cell in matrix.cells if 0 < len(cell.completed) < FEWEST_RUNS]
    if cells and len(matrix.cells) > 1:  # one alone is compared with nothing, and asks for no verdict
        counts = {len(cell.completed) for cell in cells}
        words = some(f"{name(cell)} (n = {len(cell.completed)})" for cell in cells)
        if len(counts) == 1:
            words = f"{where(cells, matrix)} (n = {counts.pop()})"
        yield "too-few-runs", f"Fewer than {FEWEST_RUNS} completed runs: {words}.", [c.slug for c in cells]


def _bimodal(study: Study, matrix: Matrix) -> Iterator[Finding]:
    for metric in _BIMODAL:
        cells = [cell for cell in matrix.cells if looks_bimodal(cell.values(metric))]
        if cells:
            words = f"{metric.label} falls into two groups in {where(cells, matrix)}."
            yield "bimodal", words, [c.slug for c in cells]


def _order(study: Study, matrix: Matrix) -> Iterator[Finding]:
    """Drift over the whole matrix, and a first block slower than the later ones."""
    points: list[tuple[str, float]] = []
    first = []
    for cell in matrix.cells:
        blocks = cell.by_block(_WALL)
        if len(blocks) < FEWEST_RUNS or len(matrix.hosts) > 1:
            continue
        logs = {block: np.log(value) for block, value in blocks.items() if value > 0}
        centre = float(np.median(list(logs.values())))
        starts = {(r.source, r.record.block): r.record.started_at for r in cell.completed}
        points += [(starts[block], float(value) - centre) for block, value in logs.items()]
        later = [value for block, value in logs.items() if block != min(logs)]
        first.append(float(logs[min(logs)] - np.median(later)))
    if len(points) >= 2 * FEWEST_RUNS:
        from scipy import stats  # half a second, where there are enough runs to see a drift

        shifts = [shift for _, shift in sorted(points)]
        test = stats.spearmanr(range(len(shifts)), shifts)
        third = len(shifts) // 3
        change = float(np.exp(np.median(shifts[-third:]) - np.median(shifts[:third])))
        if test.pvalue < DRIFT_P and max(change, 1 / change) > DRIFT_RATIO:
            percent = f"{(change - 1) * 100:+.0f} %"
            message = f"Wall times changed by {percent} from the first to the last third of the runs."
            yield "drift", message, []
    if len(first) >= 2 and float(np.exp(np.median(first))) > FIRST_BLOCK_RATIO:
        slower = (float(np.exp(np.median(first))) - 1) * 100
        yield (
            "slow-after-warm-up" if any(cell.warm_up for cell in matrix.cells) else "slow-first-block",
            f"The first block was {slower:.0f} % slower than the later ones (median).",
            [],
        )


def _in_runs(cells: Sequence[CellRuns], matrix: Matrix) -> str:
    """In how many runs, one for each of ``cells``, and of which cells where there are several to choose from."""
    named = f" ({where(cells, matrix)})" if len(matrix.cells) > 1 else ""
    return f"In {count(len(cells), 'run')}{named}"


def _noted(study: Study, matrix: Matrix) -> Iterator[Finding]:
    """What records say of themselves, each kind of sentence once: they differ in their numbers."""
    kinds: dict[str, dict[int, tuple[str, CellRuns]]] = {}
    for cell, run in runs(matrix):
        alarms = {alarm.message for alarm in run.record.alarms}
        for note in run.record.notes:
            # which stack a task was given, and why: nothing is amiss; alarms have a warning of their own
            if _CHOSEN.fullmatch(note) or note in alarms:
                continue
            kinds.setdefault(_NUMBERS.sub("0", note), {}).setdefault(id(run), (note, cell))
    for by_run in list(kinds.values())[:MOST_NOTES]:
        found = list(by_run.values())
        cells = [cell for _, cell in found]
        yield "run-notes", f"{_in_runs(cells, matrix)}: {found[0][0].rstrip('.')}.", slugs(cells)


def _alarmed(study: Study, matrix: Matrix) -> Iterator[Finding]:
    """What left its level within runs, each metric once."""
    kinds: dict[str, list[tuple[str, CellRuns]]] = {}
    for cell, run in runs(matrix):
        for alarm in run.record.alarms:
            kinds.setdefault(alarm.metric, []).append((alarm.message, cell))
    for found in kinds.values():
        cells = [cell for _, cell in found]
        yield "left-level", f"{_in_runs(cells, matrix)}: {found[0][0].rstrip('.')}.", slugs(cells)


def _lengthy(study: Study, matrix: Matrix) -> Iterator[Finding]:
    if study.shortened:
        names = some(f"{folder} ({missed:,} left out)" for folder, missed in study.shortened)
        message = (
            f"Of {count(len(study.shortened), 'record')} the first {MOST_RESULTS} results are read: {names}."
        )
        yield "results-left-out", message, []


RULES: tuple[Callable[[Study, Matrix], Iterator[Finding]], ...] = (
    _failed,
    _planned,
    _few,
    _bimodal,
    _order,
    _noted,
    _alarmed,
    _lengthy,
)
