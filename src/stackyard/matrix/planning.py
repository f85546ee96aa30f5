"""From a scenario and a machine to a plan: which cells run, in which blocks, and which cannot, with reasons.

Starts nothing and writes nothing. May import scenarios, runs and site; never launch, runner, reports or cli.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from stackyard import scenarios
from stackyard.errors import BadInputError
from stackyard.matrix.plan import Plan, PlannedBlock, PlannedCell, PlannedFolder
from stackyard.matrix.site import Site
from stackyard.scenarios import Cell, Preparation, Scenario
from stackyard.scenarios.matrix import CellSettings
from stackyard.scenarios.shape import NO_STACK, WorkloadSpec
from stackyard.workloads import code_folders
from stackyard_task.records import Code
from stackyard_task.workloads import Workload

#: A plan lists its runs, and is read again as one file.
MOST_RUNS = 100_000


def planned(
    scenario: Scenario,
    site: Site,
    code: Code,
    *,
    repeats: int | None = None,
    only: Sequence[tuple[str, str]] = (),
    measure: str | None = None,
    folders: Mapping[str, PlannedFolder] | None = None,
    read: Mapping[str, str] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> Plan:
    """What running ``scenario`` on this machine means: cells, blocks, and what cannot run, with reasons.

    Args:
        scenario: what to compare.
        site: what this machine offers.
        code: what is measured.
        repeats: blocks, instead of the scenario's number.
        only: pairs of axis and value to narrow the cells to.
        measure: how to measure every run; ``None``: "alike" where a deployment has no cgroup to measure its runs by,
            so that all are measured as those are; else as the supervisor chooses.
        folders: the folders that travel with commands, by the workload's name.
        read: what commands read, as ``input_marks`` tells it.
        renamed: what workloads are called whose cells began anew, by the file's name.

    Raises:
        BadInputError: an axis or value in ``only`` is unknown, a data set is missing, or there are too many runs.
    """
    every = scenarios.cells(scenario)
    chosen = scenarios.narrowed(every, only, scenario.axes) if only else every
    reasons = {cell.slug: _why_not(scenarios.settings_of(scenario, cell), site) for cell in chosen}
    runnable = [cell for cell in chosen if reasons[cell.slug] is None]
    count = scenario.repeats if repeats is None else repeats
    runs = len(runnable) * (count + scenario.warm_up_runs)
    if runs > MOST_RUNS:
        raise BadInputError(
            f"{scenario.name}: {runs:,} runs of {len(runnable):,} cells, expected at most {MOST_RUNS:,}; "
            "repeat less, or choose cells with --only"
        )
    blocks = scenarios.arranged(runnable, count, scenario.warm_up_runs, scenario.seed)
    needed = _needed(scenario, runnable)
    stacks = sorted(
        {scenarios.settings_of(scenario, cell).stack for cell in chosen} | {p.stack for p in needed}
    )
    pins = {name: site.pin_of(name) for name in stacks}
    inputs = {}
    for reference in _dataset_references(scenario, runnable, needed):
        inputs[reference] = site.dataset(reference).stat().st_size
    asked: dict[str, list[str]] = {}
    for axis, value in only:
        asked.setdefault(axis, []).append(value)
    product = 1
    for values in scenario.axes.values():
        product *= len(values)
    return Plan(
        name=scenario.name,
        title=scenario.title,
        started_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        repeats=count,
        warm_up_runs=scenario.warm_up_runs,
        seed=scenario.seed,
        axes={axis: list(values) for axis, values in scenario.axes.items()},
        cells=[_planned_cell(scenario, cell, None) for cell in runnable],
        not_runnable=[
            _planned_cell(scenario, cell, reasons[cell.slug])
            for cell in chosen
            if reasons[cell.slug] is not None
        ],
        excluded=product - len(every),
        blocks=[PlannedBlock(b.name, b.number, b.warm_up, [c.slug for c in b.order]) for b in blocks],
        preparations=[p.name for p in needed],
        scenario=scenarios.plain(scenario),
        only={axis: sorted(values) for axis, values in asked.items()},
        stacks={name: pin for name, pin in pins.items() if pin is not None},
        code=code,
        inputs=inputs,
        declared=_declared([*(scenario.workloads[cell.axes["workload"]] for cell in chosen), *needed], site),
        folders=dict(folders or {}),
        read=dict(read or {}),
        renamed=dict(renamed or {}),
        measure=measure or _measure({cell.axes["deployment"] for cell in runnable}, site),
    )


def why_nowhere(cell: CellSettings, site: Site) -> str | None:
    """Why a cell can run on no machine, for what its file says; ``None``: somewhere it may."""
    if not site.deployment(cell.deployment).elsewhere:
        return None
    elsewhere = code_folders.why_not_elsewhere(cell.workload.command)
    if elsewhere is None and cell.stack == NO_STACK:
        return "without a stack a run finds the programs of this machine only; name a stack"
    return elsewhere


def _why_not(cell: CellSettings, site: Site) -> str | None:
    lacking = why_nowhere(cell, site)
    deployment = site.deployment(cell.deployment)
    return lacking or deployment.why_not(cell.stack, cell.hardware, cell.workers or 1)


def _measure(deployments: Collection[str], site: Site) -> str | None:
    """The method that all runs of these deployments can be measured by; ``None``: whichever a supervisor has."""
    return None if all(site.deployment(name).measured_by_cgroup for name in deployments) else "alike"


def _needed(scenario: Scenario, cells: Sequence[Cell]) -> list[Preparation]:
    """The preparations that these cells need, directly or through others, in order."""
    wanted: set[str] = set()
    for cell in cells:
        wanted |= scenarios.prepared_names(_read(scenarios.settings_of(scenario, cell)), scenario.data)
    for preparation in reversed(scenario.preparations):
        if preparation.name in wanted:
            wanted.update(preparation.needs)
    return [p for p in scenario.preparations if p.name in wanted]


def _dataset_references(
    scenario: Scenario, cells: Sequence[Cell], needed: Sequence[Preparation]
) -> list[str]:
    every = [_read(scenarios.settings_of(scenario, cell)) for cell in cells]
    every += [[p.parameters, list(p.inputs.values())] for p in needed]
    return sorted({name for given in every for name in scenarios.dataset_references(given, scenario.data)})


def _read(settings: CellSettings) -> list[Any]:
    """What a cell's runs are given: where references may stand."""
    return [settings.parameters, list(settings.workload.inputs.values())]


def _planned_cell(scenario: Scenario, cell: Cell, reason: str | None) -> PlannedCell:
    return PlannedCell(
        name=cell.slug, axes=dict(cell.axes), workload=_workload(scenario, cell), reason=reason
    )


def _workload(scenario: Scenario, cell: Cell) -> str:
    return scenario.workloads[cell.axes["workload"]].workload


def _declared(used: Iterable[WorkloadSpec | Preparation], site: Site) -> dict[str, Workload]:
    """The declarations of these workloads, by the keys of what runs them; functions of the user's own have none."""
    found = {spec.key: spec.declared or site.declared(spec.workload) for spec in used}
    return {name: workload for name, workload in sorted(found.items()) if workload is not None}
