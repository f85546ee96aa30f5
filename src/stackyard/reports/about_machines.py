"""Rules about where runs were made and how: the machine, its limits, stacks, code, methods of measuring. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stackyard.counting import count
from stackyard.reports.cells import Matrix
from stackyard.reports.findings import Finding, above, runs, slugs, some, where
from stackyard.reports.loading import Run, Study

#: The stack that is none: programs as the machine has them.
NO_STACK = "none"
BUSY_PERCENT = 10.0
THROTTLED_SHARE = 0.05
CLOCK_JUMP_SECONDS = 0.5
WIDE_BOUNDS_SHARE = 0.05
COSTLY_SHARE = 0.02


def _machine(study: Study, matrix: Matrix) -> Iterator[Finding]:
    busy, throttled, jumps = [], [], []
    for cell, run in runs(matrix):
        environment, wall = run.record.environment, run.record.measurement.wall_seconds
        if (environment.other_cpu_percent_of_machine or 0) > BUSY_PERCENT:
            busy.append((environment.other_cpu_percent_of_machine or 0.0, cell))
        if wall and (environment.throttled_seconds or 0) > THROTTLED_SHARE * wall:
            throttled.append(cell)
        if abs(environment.clock_jump_seconds or 0) > CLOCK_JUMP_SECONDS:
            jumps.append(cell)
    if busy:
        worst = above(max(value for value, _ in busy), BUSY_PERCENT)
        share = f"more than {BUSY_PERCENT:.0f} % of the machine"
        message = f"Other work used {share} in {count(len(busy), 'run')} (most: {worst} %)."
        yield "busy-machine", message, slugs(cell for _, cell in busy)
    if throttled:
        names = where(throttled, matrix)
        message = f"The CPU quota held back {count(len(throttled), 'run')} for over 5 % of their wall time: {names}."
        yield "throttled", message, slugs(throttled)
    if jumps:
        message = f"The clock jumped by more than {CLOCK_JUMP_SECONDS} s in {count(len(jumps), 'run')}."
        yield "clock-jump", message, slugs(jumps)


def _methods(study: Study, matrix: Matrix) -> Iterator[Finding]:
    readers: tuple[tuple[str, Callable[[Run], str | None]], ...] = (
        ("peak RAM", lambda run: run.record.measurement.peak_rss_method),
        ("CPU", lambda run: run.record.measurement.cpu_method),
        ("energy", lambda run: run.record.measurement.energy_method),
        ("limits", _limits),
        ("GPU memory", lambda run: next((g.peak_memory_method for g in run.record.measurement.gpus), None)),
    )
    for what, read in readers:
        seen = sorted({method for _, run in runs(matrix) if (method := read(run))})
        if len(seen) > 1:
            yield "method-differs", f"Not all runs had the same method for {what}: {'; '.join(seen)}.", []


def _limits(run: Run) -> str | None:
    """What holds the limits; a container's engine does it by a cgroup too, outside the supervisor's sight."""
    environment = run.record.environment
    if environment.limit_mechanism == "already held" and environment.cgroup_version is not None:
        return f"cgroup v{environment.cgroup_version}"
    return environment.limit_mechanism


def _workers(study: Study, matrix: Matrix) -> Iterator[Finding]:
    shared = [cell for cell, run in runs(matrix) if run.record.parameters.get("shards", 1) not in (1, None)]
    shared = [cell for cell in shared if cell.axes.get("workers", "1") != "1"]
    if shared:
        names = where(shared, matrix)
        message = f"CPU time and peak RAM are sums over the workers in {names}."
        yield "summed-over-workers", message, slugs(shared)

    undivided = {name for plan in study.plans for name in plan.undivided}
    whole = [
        cell for cell in matrix.cells if cell.workload in undivided and cell.axes.get("workers", "1") != "1"
    ]
    if whole:
        message = (
            f"The function's code nowhere says shard, so no worker does a part in {where(whole, matrix)}."
        )
        yield "undivided-work", message, slugs(whole)


def _pins(study: Study, matrix: Matrix) -> Iterator[Finding]:
    records = [run.record for _, run in runs(matrix)]
    digests: dict[str, set[str]] = {}
    for record in records:
        name = record.environment.stack or record.cell.get("stack")
        if name and record.environment.stack_digest:
            digests.setdefault(name, set()).add(record.environment.stack_digest)
    bare = [cell for cell, run in runs(matrix) if not run.record.environment.stack_digest]
    own = [cell for cell in bare if cell.axes.get("stack") == NO_STACK]
    if own:
        yield "no-stack", f"Programs of the machine's own ran in {where(own, matrix)}.", slugs(own)
    bare = [cell for cell in bare if cell not in own]
    if bare:
        yield "stack-pin-missing", f"No lock digest was recorded in {where(bare, matrix)}.", slugs(bare)
    several = sorted(name for name, found in digests.items() if len(found) > 1)
    if several:
        yield "stack-differs", f"Several lock digests under one name: {some(several)}.", []
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
            words = f"{name.replace('_', ' ')} differs between runs of {where(mixed, matrix)}."
            yield "environment-differs", words[0].upper() + words[1:], slugs(mixed)
    mixed = [
        c for c in matrix.cells if len({repr(sorted(r.record.parameters.items())) for r in c.completed}) > 1
    ]
    if mixed:
        yield (
            "parameters-differ",
            f"Parameters differ between runs of {where(mixed, matrix)}.",
            slugs(mixed),
        )
    if len(matrix.hosts) > 1:
        yield "several-machines", f"Records of {len(matrix.hosts)} machines: {some(matrix.hosts)}.", []


def _measuring(study: Study, matrix: Matrix) -> Iterator[Finding]:
    wide, costly, unheard = [], [], []
    for cell, run in runs(matrix):
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
        names = where((cell for _, cell in unheard), matrix)
        message = f"Of what the workload said through its channel {told} could not be used in {names}."
        yield "values-left-out", message, slugs(cell for _, cell in unheard)
    if wide:
        worst = above(max(share for share, _ in wide) * 100, 100 * WIDE_BOUNDS_SHARE)
        message = (
            f"Bounds of the peak RAM are more than 5 % apart in {count(len(wide), 'run')} (most: {worst} %)."
        )
        yield "wide-memory-bounds", message, slugs(cell for _, cell in wide)
    if costly:
        names = where(costly, matrix)
        yield "costly-measuring", f"Measuring cost over 2 % of the CPU time in {names}.", slugs(costly)


RULES: tuple[Callable[[Study, Matrix], Iterator[Finding]], ...] = (
    _machine,
    _methods,
    _workers,
    _pins,
    _uniform,
    _measuring,
)
