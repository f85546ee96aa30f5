"""What a reader should know before believing a number: enumerated warnings, each with advice. Pure.

Every rule is one small function from the study to findings; its code and advice stand in ADVICE. A warning
may make a reader doubt a figure; a note is context.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from stackyard.counting import count
from stackyard.reports import short_runs
from stackyard.reports.catalogue import CATALOGUE, Metric
from stackyard.reports.cells import WORKLOAD, CellRuns, Matrix, label
from stackyard.reports.deployments import failures, retries
from stackyard.reports.loading import MOST_RESULTS, PlanSummary, Run, Study
from stackyard.reports.report import Warning, WorkloadReport
from stackyard.reports.statistics import FEWEST_RUNS, looks_bimodal

#: The stack that is none: programs as the machine has them.
NO_STACK = "none"

#: Code -> (severity, what to do).
ADVICE: dict[str, tuple[str, str]] = {
    "failed-runs": ("warning", "Read their output.log; verdicts use only the blocks that completed."),
    "unreadable-runs": ("warning", "Run again with --resume: runs without a readable record are made again."),
    "unreadable-files": (
        "warning",
        "The report goes without them: restore them, or make their runs again.",
    ),
    "missing-runs": ("warning", "The matrix is not finished: continue it with --resume."),
    "not-runnable": ("note", "These cells are left out, never estimated; the reason says what they need."),
    "too-few-runs": ("warning", f"Raise --repeats: a verdict needs at least {FEWEST_RUNS} blocks."),
    "bimodal": (
        "warning",
        "The runs fall into two groups: look for a cause (cache, placement) before averaging.",
    ),
    "busy-machine": ("warning", "Other processes used the machine: stop them and repeat, or add blocks."),
    "throttled": (
        "note",
        "The CPU quota held the run back as asked; fewer threads than the quota avoid waiting.",
    ),
    "clock-jump": (
        "warning",
        "The clock was set during a run; durations here use a monotonic clock and stand.",
    ),
    "drift": (
        "warning",
        "The machine changed over the matrix; compare within blocks only, as the ratios do.",
    ),
    "slow-first-block": ("note", "Caches were cold in the first block; add a warm-up run to the scenario."),
    "slow-after-warm-up": (
        "note",
        "A warm-up run was made and did not suffice: make more of them, or look for what settled meanwhile.",
    ),
    "method-differs": (
        "warning",
        "Compare these figures with care: they were not measured the same way. One matrix with a container "
        "in it measures all its runs alike.",
    ),
    "infrastructure-failures": (
        "warning",
        "These say nothing about the workload: --resume makes them again once the cause is mended.",
    ),
    "retried-starts": (
        "note",
        "The infrastructure lost these starts and made them again; figures are of the last.",
    ),
    "summed-over-workers": (
        "note",
        "Their peaks need not fall together: the true peak of the whole is at most this sum.",
    ),
    "no-stack": (
        "note",
        "What they loaded is not pinned: to repeat it elsewhere, run on a stack.",
    ),
    "stack-pin-missing": (
        "warning",
        "Build the stack from its lock: without a digest the run cannot be repeated.",
    ),
    "stack-differs": ("warning", "One stack name had several locks: rebuild it and run all cells again."),
    "dirty-code": ("warning", "Commit before measuring: these runs used code that no commit holds."),
    "code-differs": ("warning", "The code changed between runs: run all cells again with one version."),
    "environment-differs": (
        "warning",
        "What was loaded changed between runs of one cell: run the cell again.",
    ),
    "parameters-differ": ("warning", "Runs of one cell had different parameters: they are not repetitions."),
    "several-machines": (
        "note",
        "Ratios between machines are unpaired and include the machines' difference.",
    ),
    "results-differ": ("warning", "The cells did not do quite the same: check quality before speed."),
    "values-left-out": (
        "warning",
        "Look at the calls of the channel: a step takes a finite number of seconds from 0 up; "
        "docs/workloads.md has the rest.",
    ),
    "run-notes": ("note", "The records say so themselves; look at the runs' output."),
    "undivided-work": (
        "warning",
        "Let the function use its parameters shard and shards, or leave the axis workers away: "
        "each worker does the whole work.",
    ),
    "wide-memory-bounds": (
        "warning",
        "The true peak lies between the recorded bounds; see docs/measuring.md.",
    ),
    "costly-measuring": ("note", "Measuring used more than 2 % of the run's CPU; lengthen the run."),
    "short-runs": (
        "note",
        "Compare the steady phase, or lengthen the run: docs/short-runs.md says when a short one predicts a long one.",
    ),
    "comparisons-left-out": (
        "note",
        "Give the folders of fewer cells, or plan fewer: time and memory would grow with the square of their number.",
    ),
    "results-left-out": ("note", "Write what is long into a file of the run; a record is for figures."),
    "duplicate-records": ("note", "The same run was given twice; the copy was left out."),
}

BUSY_PERCENT = 10.0
THROTTLED_SHARE = 0.05
CLOCK_JUMP_SECONDS = 0.5
DRIFT_P = 0.01
DRIFT_RATIO = 1.05
FIRST_BLOCK_RATIO = 1.10
WIDE_BOUNDS_SHARE = 0.05
COSTLY_SHARE = 0.02
MOST_NOTES = 5
_CHOSEN = re.compile(
    r"stack \S+: (?:named by [^;]*|the default [^;]*|the task asks for [^;]*"
    r"|the first that is here; the task asks for no torch)"
)
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")

_WALL = next(metric for metric in CATALOGUE if metric.key == "wall_seconds")
_BIMODAL: tuple[Metric, ...] = tuple(
    metric for metric in CATALOGUE if metric.key in ("wall_seconds", "steady_seconds", "peak_rss_bytes")
)
Finding = tuple[str, str, list[str]]


def warnings_of(study: Study, matrix: Matrix, workloads: Sequence[WorkloadReport]) -> list[Warning]:
    """All warnings, the graver first, in the order of ADVICE."""
    found = [
        Warning(code, ADVICE[code][0], message, ADVICE[code][1], cells)
        for rule in _RULES
        for code, message, cells in rule(study, matrix)
    ]
    for code, message, cells in short_runs.findings(matrix, workloads):
        found.append(Warning(code, *_split(code, message), cells))
    for workload in workloads:
        if workload.results_differing:
            message = f"{workload.name}: {_disagreement(workload)}."
            found.append(Warning("results-differ", *_split("results-differ", message)))
        if workload.left_out:
            message = f"{workload.name}: {'; '.join(workload.left_out)}."
            found.append(Warning("comparisons-left-out", *_split("comparisons-left-out", message)))
    kept = [Warning(r.code, r.severity, r.message, r.advice) for r in study.remarks]
    for warning in sorted(found, key=lambda w: list(ADVICE).index(w.code)):
        advice = study.advice.get(warning.code, warning.advice)
        if advice is not None:
            kept.append(dataclasses.replace(warning, advice=advice))
    return sorted(kept, key=lambda warning: warning.severity != "warning")


def _disagreement(workload: WorkloadReport) -> str:
    """On which results the cells disagree: numbers by more than is tolerated, texts at all."""
    texts = {name for cell in workload.cells for name, result in cell.results.items() if result.texts}
    numbers = ", ".join(name for name in workload.results_differing if name not in texts)
    words = ", ".join(name for name in workload.results_differing if name in texts)
    parts = [f"by more than 1 % on {numbers}" if numbers else "", f"on the text of {words}" if words else ""]
    return "cells disagree " + " and ".join(part for part in parts if part)


def _split(code: str, message: str) -> tuple[str, str, str]:
    return ADVICE[code][0], message, ADVICE[code][1]


def _name(cell: CellRuns) -> str:
    return f"{cell.workload}: {cell.label}"


def _some(names: Iterable[str], most: int = 6) -> str:
    names = list(dict.fromkeys(names))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _where(cells: Iterable[CellRuns], matrix: Matrix) -> str:
    """The cells by name, or "every cell"."""
    cells = list({id(cell): cell for cell in cells}.values())
    return "every cell" if len(cells) == len(matrix.cells) > 1 else _some(map(_name, cells))


def _runs(matrix: Matrix) -> Iterator[tuple[CellRuns, Run]]:
    for cell in matrix.cells:
        for run in cell.completed:
            yield cell, run


def _failed(study: Study, matrix: Matrix) -> Iterator[Finding]:
    cells = [cell for cell in matrix.cells if cell.failed]
    if cells:
        failed = sum(len(cell.failed) for cell in cells)
        total = sum(len(cell.failed) + len(cell.completed) for cell in cells)
        yield (
            "failed-runs",
            f"{failed} of {count(total, 'run')} failed in {_where(cells, matrix)}.",
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
        names = _some(item.folder for item in study.unreadable)
        yield (
            "unreadable-runs",
            f"{count(len(study.unreadable), 'run folder')} without a readable record: {names}.",
            [],
        )
    if study.damaged:
        names, reason = _some(item.folder for item in study.damaged), study.damaged[0].reason
        files = count(len(study.damaged), "file")
        yield "unreadable-files", f"{files} beside the records cannot be read: {names} ({reason}).", []
    if study.duplicates:
        yield "duplicate-records", f"Given twice: {count(study.duplicates, 'record')}.", []


def _planned(study: Study, matrix: Matrix) -> Iterator[Finding]:
    reasons = [item for plan in study.plans for item in plan.not_runnable]
    if reasons:
        words = _some(sorted({item.reason for item in reasons}), 3)
        yield "not-runnable", f"{count(len(reasons), 'planned cell')} could not run: {words}.", []
    if len(study.plans) != 1 or len(matrix.hosts) > 1 or not study.plans[0].repeats:
        return
    plan = study.plans[0]
    short = []
    for axes in plan.cells:
        cell = next((c for c in matrix.cells if all(c.axes.get(a) == v for a, v in axes.items())), None)
        have = len(cell.completed) + len(cell.failed) if cell else 0
        if have < (plan.repeats or 0):
            short.append((_planned_name(plan, axes), have))
    if short:
        words = _some(f"{name} ({have} of {plan.repeats})" for name, have in short)
        yield "missing-runs", f"Fewer runs than planned in {count(len(short), 'cell')}: {words}.", []


def _planned_name(plan: PlanSummary, axes: Mapping[str, str]) -> str:
    """A planned cell as ``_name`` has it, whether it has runs or not: by the axes in which the plan's cells differ."""
    varying = [
        axis for axis in axes if axis != WORKLOAD and len({other.get(axis) for other in plan.cells}) > 1
    ]
    return f"{axes.get(WORKLOAD, '')}: {label(axes, varying)}"


def _few(study: Study, matrix: Matrix) -> Iterator[Finding]:
    cells = [cell for cell in matrix.cells if 0 < len(cell.completed) < FEWEST_RUNS]
    if cells and len(matrix.cells) > 1:  # one alone is compared with nothing, and asks for no verdict
        counts = {len(cell.completed) for cell in cells}
        words = _some(f"{_name(cell)} (n = {len(cell.completed)})" for cell in cells)
        if len(counts) == 1:
            words = f"{_where(cells, matrix)} (n = {counts.pop()})"
        yield "too-few-runs", f"Fewer than {FEWEST_RUNS} completed runs: {words}.", [c.slug for c in cells]


def _bimodal(study: Study, matrix: Matrix) -> Iterator[Finding]:
    for metric in _BIMODAL:
        cells = [cell for cell in matrix.cells if looks_bimodal(cell.values(metric))]
        if cells:
            words = f"{metric.label} falls into two groups in {_where(cells, matrix)}."
            yield "bimodal", words, [c.slug for c in cells]


def _machine(study: Study, matrix: Matrix) -> Iterator[Finding]:
    busy, throttled, jumps = [], [], []
    for cell, run in _runs(matrix):
        environment, wall = run.record.environment, run.record.measurement.wall_seconds
        if (environment.other_cpu_percent_of_machine or 0) > BUSY_PERCENT:
            busy.append((environment.other_cpu_percent_of_machine or 0.0, cell))
        if wall and (environment.throttled_seconds or 0) > THROTTLED_SHARE * wall:
            throttled.append(cell)
        if abs(environment.clock_jump_seconds or 0) > CLOCK_JUMP_SECONDS:
            jumps.append(cell)
    if busy:
        worst = _above(max(value for value, _ in busy), BUSY_PERCENT)
        share = f"more than {BUSY_PERCENT:.0f} % of the machine"
        message = f"Other work used {share} in {count(len(busy), 'run')} (most: {worst} %)."
        yield "busy-machine", message, _slugs(cell for _, cell in busy)
    if throttled:
        names = _where(throttled, matrix)
        message = f"The CPU quota held back {count(len(throttled), 'run')} for over 5 % of their wall time: {names}."
        yield "throttled", message, _slugs(throttled)
    if jumps:
        message = f"The clock jumped by more than {CLOCK_JUMP_SECONDS} s in {count(len(jumps), 'run')}."
        yield "clock-jump", message, _slugs(jumps)


def _above(value: float, bound: float) -> str:
    """A value above a bound, with as many decimals as show that it is: 5.2 beside 5."""
    decimals = next((n for n in range(6) if round(value, n) > bound), 6)
    return f"{value:.{decimals}f}"


def _slugs(cells: Iterable[CellRuns]) -> list[str]:
    return list(dict.fromkeys(cell.slug for cell in cells))


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


def _methods(study: Study, matrix: Matrix) -> Iterator[Finding]:
    readers: tuple[tuple[str, Callable[[Run], str | None]], ...] = (
        ("peak RAM", lambda run: run.record.measurement.peak_rss_method),
        ("CPU", lambda run: run.record.measurement.cpu_method),
        ("energy", lambda run: run.record.measurement.energy_method),
        ("limits", _limits),
        ("GPU memory", lambda run: next((g.peak_memory_method for g in run.record.measurement.gpus), None)),
    )
    for what, read in readers:
        seen = sorted({method for _, run in _runs(matrix) if (method := read(run))})
        if len(seen) > 1:
            yield "method-differs", f"Not all runs had the same method for {what}: {'; '.join(seen)}.", []


def _limits(run: Run) -> str | None:
    """What holds the limits; a container's engine does it by a cgroup too, outside the supervisor's sight."""
    environment = run.record.environment
    if environment.limit_mechanism == "already held" and environment.cgroup_version is not None:
        return f"cgroup v{environment.cgroup_version}"
    return environment.limit_mechanism


def _workers(study: Study, matrix: Matrix) -> Iterator[Finding]:
    shared = [cell for cell, run in _runs(matrix) if run.record.parameters.get("shards", 1) not in (1, None)]
    shared = [cell for cell in shared if cell.axes.get("workers", "1") != "1"]
    if shared:
        names = _where(shared, matrix)
        message = f"CPU time and peak RAM are sums over the workers in {names}."
        yield "summed-over-workers", message, _slugs(shared)

    undivided = {name for plan in study.plans for name in plan.undivided}
    whole = [
        cell for cell in matrix.cells if cell.workload in undivided and cell.axes.get("workers", "1") != "1"
    ]
    if whole:
        message = (
            f"The function's code nowhere says shard, so no worker does a part in {_where(whole, matrix)}."
        )
        yield "undivided-work", message, _slugs(whole)


def _pins(study: Study, matrix: Matrix) -> Iterator[Finding]:
    records = [run.record for _, run in _runs(matrix)]
    digests: dict[str, set[str]] = {}
    for record in records:
        name = record.environment.stack or record.cell.get("stack")
        if name and record.environment.stack_digest:
            digests.setdefault(name, set()).add(record.environment.stack_digest)
    bare = [cell for cell, run in _runs(matrix) if not run.record.environment.stack_digest]
    own = [cell for cell in bare if cell.axes.get("stack") == NO_STACK]
    if own:
        yield "no-stack", f"Programs of the machine's own ran in {_where(own, matrix)}.", _slugs(own)
    bare = [cell for cell in bare if cell not in own]
    if bare:
        yield "stack-pin-missing", f"No lock digest was recorded in {_where(bare, matrix)}.", _slugs(bare)
    several = sorted(name for name, found in digests.items() if len(found) > 1)
    if several:
        yield "stack-differs", f"Several lock digests under one name: {_some(several)}.", []
    dirty = sum(record.environment.code_dirty is True for record in records)
    if dirty:
        yield "dirty-code", f"{dirty} of {count(len(records), 'run')} used uncommitted code.", []
    codes = {r.environment.code_digest or r.environment.code_version for r in records} - {None}
    if len(codes) > 1:
        yield "code-differs", f"Runs used {len(codes)} versions of the code.", []


def _uniform(study: Study, matrix: Matrix) -> Iterator[Finding]:
    for name in ("cpu_model", "kernel", "python", "torch", "cuda", "allowed_cores", "threads"):
        mixed = [
            c
            for c in matrix.cells
            # what a run did not tell is no other version
            if len({getattr(r.record.environment, name) for r in c.completed} - {None}) > 1
        ]
        if mixed:
            words = f"{name.replace('_', ' ')} differs between runs of {_where(mixed, matrix)}."
            yield "environment-differs", words[0].upper() + words[1:], _slugs(mixed)
    mixed = [
        c for c in matrix.cells if len({repr(sorted(r.record.parameters.items())) for r in c.completed}) > 1
    ]
    if mixed:
        yield (
            "parameters-differ",
            f"Parameters differ between runs of {_where(mixed, matrix)}.",
            _slugs(mixed),
        )
    if len(matrix.hosts) > 1:
        yield "several-machines", f"Records of {len(matrix.hosts)} machines: {_some(matrix.hosts)}.", []


def _measuring(study: Study, matrix: Matrix) -> Iterator[Finding]:
    wide, costly, unheard = [], [], []
    for cell, run in _runs(matrix):
        m = run.record.measurement
        if run.record.not_understood:
            unheard.append((run.record.not_understood, cell))
        if m.peak_rss_bytes and m.peak_rss_low_bytes is not None and m.peak_rss_high_bytes is not None:
            share = (m.peak_rss_high_bytes - m.peak_rss_low_bytes) / m.peak_rss_bytes
            if share > WIDE_BOUNDS_SHARE:
                wide.append((share, cell))
        if m.cpu_seconds and (m.overhead_cpu_seconds or 0) > COSTLY_SHARE * m.cpu_seconds:
            costly.append(cell)
    if unheard:
        told = count(sum(number for number, _ in unheard), "value")
        names = _where((cell for _, cell in unheard), matrix)
        message = f"Of what the workload said through its channel {told} could not be used in {names}."
        yield "values-left-out", message, _slugs(cell for _, cell in unheard)
    if wide:
        worst = _above(max(share for share, _ in wide) * 100, 100 * WIDE_BOUNDS_SHARE)
        message = (
            f"Bounds of the peak RAM are more than 5 % apart in {count(len(wide), 'run')} (most: {worst} %)."
        )
        yield "wide-memory-bounds", message, _slugs(cell for _, cell in wide)
    if costly:
        names = _where(costly, matrix)
        yield "costly-measuring", f"Measuring cost over 2 % of the CPU time in {names}.", _slugs(costly)


def _noted(study: Study, matrix: Matrix) -> Iterator[Finding]:
    """What records say of themselves, each kind of sentence once: they differ in their numbers."""
    kinds: dict[str, list[tuple[str, CellRuns]]] = {}
    for cell, run in _runs(matrix):
        for note in run.record.notes:
            if _CHOSEN.fullmatch(note):  # which stack a task was given, and why: nothing is amiss
                continue
            kinds.setdefault(_NUMBERS.sub("0", note), []).append((note, cell))
    for found in list(kinds.values())[:MOST_NOTES]:
        message = f"In {count(len(found), 'run')}: {found[0][0].rstrip('.')}."
        yield "run-notes", message, _slugs(cell for _, cell in found)


def _lengthy(study: Study, matrix: Matrix) -> Iterator[Finding]:
    if study.shortened:
        names = _some(f"{folder} ({missed:,} left out)" for folder, missed in study.shortened)
        message = (
            f"Of {count(len(study.shortened), 'record')} the first {MOST_RESULTS} results are read: {names}."
        )
        yield "results-left-out", message, []


_RULES: tuple[Callable[[Study, Matrix], Iterator[Finding]], ...] = (
    _failed,
    _planned,
    _few,
    _bimodal,
    _machine,
    _order,
    _methods,
    _workers,
    _pins,
    _uniform,
    _measuring,
    _noted,
    _lengthy,
)
