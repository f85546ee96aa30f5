"""The cells of a study: which runs belong together, in which order, under which name. Pure.

A run belongs to the cell of its workload that has its axes. Warm-up and failed runs are kept out of the
values. Runs of different machines are never mixed: with several hosts, the host is part of the hardware.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from stackyard.reports.catalogue import Metric
from stackyard.reports.loading import Run, Study
from stackyard.reports.metrics import read

#: A block of one source; runs pair only within one.
Block = tuple[int, int]
WORKLOAD = "workload"
HARDWARE = "hardware"
DEPLOYMENT = "deployment"
STACK = "stack"
#: The label of a cell where no axis varies.
ONLY_CELL = "the only cell"


@dataclass(eq=False)
class CellRuns:
    """One cell of the matrix with its runs; itself alone is equal to it."""

    workload: str
    axes: dict[str, str]
    label: str = ""
    completed: list[Run] = field(default_factory=list)
    failed: list[Run] = field(default_factory=list)
    #: At a criterion, before they were done: what they used is that of no whole run.
    stopped: list[Run] = field(default_factory=list)
    warm_up: list[Run] = field(default_factory=list)
    #: What was read before: a cell is compared with many others. Nobody adds runs once it is arranged.
    _values: dict[str, list[float]] = field(default_factory=dict, repr=False)
    _blocks: dict[str, dict[Block, float]] = field(default_factory=dict, repr=False)

    _places: list[set[Block]] = field(default_factory=list, repr=False)
    #: What tells it from another cell of that name.
    _mark: str = ""

    @property
    def slug(self) -> str:
        """Stable name: all axis values, joined."""
        return (
            "-".join(value.replace("/", "_").replace(" ", "_") for value in self.axes.values()) + self._mark
        )

    @property
    def ended(self) -> list[Run]:
        """All its runs but warm-up runs, however they ended."""
        return [*self.completed, *self.stopped, *self.failed]

    def values(self, metric: Metric) -> list[float]:
        """Measured values of the completed runs."""
        if metric.key not in self._values:
            found = [value for run in self.completed if (value := read(metric, run.record)) is not None]
            self._values[metric.key] = found
        return self._values[metric.key]

    @property
    def blocks(self) -> set[Block]:
        """The blocks that its completed runs are of."""
        if not self._places:
            self._places.append(
                {(run.source, run.record.block) for run in self.completed if run.record.block is not None}
            )
        return self._places[0]

    def by_block(self, metric: Metric) -> dict[Block, float]:
        """Measured value per block; of several runs in a block the last one started counts."""
        if metric.key in self._blocks:
            return self._blocks[metric.key]
        found = self._blocks[metric.key] = {}
        for run in sorted(self.completed, key=lambda run: run.record.started_at):
            value = read(metric, run.record)
            if run.record.block is not None and value is not None:
                found[run.source, run.record.block] = value
        return found


@dataclass(frozen=True)
class Matrix:
    """The cells of a study in a fixed order."""

    cells: tuple[CellRuns, ...]
    #: Axis -> its levels in order, over all cells; the workload axis included.
    axes: Mapping[str, tuple[str, ...]]
    hosts: tuple[str, ...]

    @property
    def workloads(self) -> tuple[str, ...]:
        """Names of the workloads in order."""
        return tuple(dict.fromkeys(cell.workload for cell in self.cells))

    def of(self, workload: str) -> list[CellRuns]:
        """The cells of one workload."""
        return [cell for cell in self.cells if cell.workload == workload]

    @property
    def varying(self) -> tuple[str, ...]:
        """Axes with more than one level, the workload left out."""
        return tuple(axis for axis, levels in self.axes.items() if len(levels) > 1 and axis != WORKLOAD)

    @property
    def constant(self) -> dict[str, str]:
        """Axes with one level, and that level; a stack that had several locks is not the same everywhere."""
        locks = {run.record.environment.stack_digest for cell in self.cells for run in cell.ended} - {None}
        return {
            axis: levels[0]
            for axis, levels in self.axes.items()
            if len(levels) == 1 and (axis != STACK or len(locks) < 2)
        }


def arrange(study: Study) -> Matrix:
    """The study's runs as a matrix of cells, in the order of the plan, else in natural order."""
    hosts = tuple(sorted({run.record.environment.host for run in study.runs if run.record.environment.host}))
    planned = [dict(axes) for plan in study.plans for axes in plan.cells]
    cells: dict[tuple[tuple[str, str], ...], CellRuns] = {}
    for run in study.runs:
        axes = _axes(run, several_hosts=study.hosts_apart and len(hosts) > 1)
        cell = cells.setdefault(tuple(sorted(axes.items())), CellRuns(axes[WORKLOAD], axes))
        if run.record.warm_up:
            cell.warm_up.append(run)
        elif run.record.status == "completed":
            cell.completed.append(run)
        elif run.record.status == "stopped":
            cell.stopped.append(run)
        else:
            cell.failed.append(run)
    names = list(
        dict.fromkeys([*(a for axes in planned for a in axes), *(a for c in cells.values() for a in c.axes)])
    )
    present = {axis: {cell.axes.get(axis, "") for cell in cells.values()} for axis in names}
    levels = {
        axis: _ordered(
            present[axis],
            [level for axes in planned for level in _versions(study, axis, axes.get(axis, ""))],
        )
        for axis in names
        if present[axis]
    }
    ordered = sorted(
        cells.values(),
        key=lambda cell: [
            levels[axis].index(cell.axes.get(axis, ""))
            for axis in sorted(levels, key=lambda a: a != WORKLOAD)
        ],
    )
    matrix = Matrix(tuple(ordered), levels, hosts)
    slugs: dict[str, int] = {}
    for cell in ordered:
        cell.axes = {axis: cell.axes[axis] for axis in levels if axis in cell.axes}
        cell.label = label(cell.axes, matrix.varying)
        number = slugs[cell.slug] = slugs.get(cell.slug, 0) + 1
        if number > 1:  # "a-b" and "c", "a" and "b-c"
            cell._mark = f"--{number}"
    return matrix


def label(axes: Mapping[str, str], varying: Sequence[str]) -> str:
    """The short name of a cell: the values that tell it from the others."""
    return " · ".join(axes[axis] for axis in varying if axes.get(axis)) or ONLY_CELL


def natural(text: str) -> list[tuple[int, float, str]]:
    """A sort key that puts "2c" before "10c", and 1e-3 before 0.1."""
    with contextlib.suppress(ValueError):
        if math.isfinite(number := float(text)):
            return [(0, number, "")]
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return [(0, float(part), "") if i % 2 else (1, 0.0, part.lower()) for i, part in enumerate(parts) if part]


def _axes(run: Run, several_hosts: bool) -> dict[str, str]:
    axes = dict(run.record.cell)
    axes.setdefault(WORKLOAD, run.record.workload)
    if several_hosts:
        host = run.record.environment.host or "unnamed host"
        axes[HARDWARE] = f"{axes[HARDWARE]} @ {host}" if axes.get(HARDWARE) else host
    return axes


def _versions(study: Study, axis: str, level: str) -> list[str]:
    """A level behind those that it is another version of: a matrix that went on plans its latest workloads only."""
    found = [level]
    while axis == WORKLOAD:
        before = next((plan.changes[found[0]].of for plan in study.plans if found[0] in plan.changes), None)
        if before is None or before in found:
            break
        found.insert(0, before)
    return found


def _ordered(present: Iterable[str], planned: Sequence[str]) -> tuple[str, ...]:
    """Levels in the order of the plan, then in natural order; a suffix "@ host" keeps its base's place."""
    place = {value: index for index, value in reversed(list(enumerate(planned)))}
    return tuple(sorted(present, key=lambda v: (place.get(v.split(" @ ")[0], len(planned)), natural(v))))


def matching(cells: Sequence[CellRuns], axes: Mapping[str, str]) -> list[CellRuns]:
    """The cells that have every value of ``axes``; the plain hardware name matches on any host."""
    return [
        cell
        for cell in cells
        if all(
            value in (cell.axes.get(axis), cell.axes.get(axis, "").split(" @ ")[0])
            for axis, value in axes.items()
        )
    ]


def same_but(a: CellRuns, b: CellRuns) -> list[str]:
    """The axes in which two cells differ."""
    return [axis for axis in dict.fromkeys([*a.axes, *b.axes]) if a.axes.get(axis) != b.axes.get(axis)]
