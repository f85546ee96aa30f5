"""From a scenario to its cells, and from cells to randomised blocks. Pure and deterministic.

Order: each block is one run of every cell, shuffled. The shuffle sorts by a SHA-256 of seed, block and cell,
so a block's order does not change when blocks or cells are added, nor from one Python to the next.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stackyard.errors import BadInputError
from stackyard.machine.hardware_spec import HardwareSpec
from stackyard.scenarios.shape import (
    AUTO_THREADS,
    NO_TUNABLES,
    STACK_TUNABLES,
    WHOLE_MACHINE,
    Scenario,
    WorkloadSpec,
)
from stackyard_task.commands import Command
from stackyard_task.workloads import Workload


@dataclass(frozen=True)
class Cell:
    """One cell of a matrix: a value for every axis."""

    #: Axis name -> value name, in axis order: deployment, stack, hardware, workload, then further axes.
    axes: Mapping[str, str]

    @property
    def slug(self) -> str:
        """A name for folders and logs, stable across runs."""
        return "-".join(value.replace("/", "_").replace(" ", "_") for value in self.axes.values())


@dataclass(frozen=True)
class Block:
    """One run of every cell, in the order they run."""

    #: 1, 2, ...; counted apart for warm-up blocks.
    number: int
    warm_up: bool
    order: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """A short name for folders: "b01", or "w01" for a warm-up block."""
        return f"{'w' if self.warm_up else 'b'}{self.number:02d}"


@dataclass(frozen=True)
class CellSettings:
    """What the axis values of one cell mean together."""

    deployment: str
    #: What its runs happen on: the axis' value, or what a command's requirements make of it.
    stack: str
    hardware: HardwareSpec
    workload: WorkloadSpec
    #: The workload's parameters with those of further axes laid over them; references not yet replaced.
    parameters: Mapping[str, Any]
    threads: int | None
    #: Environment variables set by further axes of the file's own.
    environment: Mapping[str, str]
    #: Variables in place of the stack's tunables; ``None``: the stack's own.
    tunables: Mapping[str, str] | None
    #: As many tasks as this share the work and run at once; ``None``: the file has no workers axis.
    workers: int | None = None


def cells(scenario: Scenario) -> list[Cell]:
    """Every cell of the scenario that is not excluded, in the order of the axes."""
    product = itertools.product(*scenario.axes.values())
    every = [Cell(axes=dict(zip(scenario.axes, values, strict=True))) for values in product]
    return [cell for cell in every if not any(_matches(cell, rule) for rule in scenario.excludes)]


def narrowed(
    found: Sequence[Cell], only: Sequence[tuple[str, str]], axes: Mapping[str, Sequence[str]]
) -> list[Cell]:
    """The cells that have, for every axis named in ``only``, one of the values given for it.

    Raises:
        BadInputError: an unknown axis or value, or no cell left.
    """
    wanted: dict[str, tuple[str, ...]] = {}
    for axis, value in only:
        if axis not in axes:
            raise BadInputError(
                f"--only {axis}={value}: there is no axis {axis!r}; the axes are: {', '.join(axes)}"
            )
        if value not in axes[axis]:
            raise BadInputError(f"--only {axis}={value}: axis {axis} has the values: {', '.join(axes[axis])}")
        wanted[axis] = (*wanted.get(axis, ()), value)
    left = [cell for cell in found if _matches(cell, wanted)]
    if not left:
        asked = " ".join(f"{axis}={value}" for axis, value in only)
        raise BadInputError(f"--only {asked}: no cell of the scenario has these values together")
    return left


def arranged(found: Sequence[Cell], repeats: int, warm_up_runs: int, seed: int) -> list[Block]:
    """Warm-up blocks, then ``repeats`` blocks, each one run of every cell in an order of its own."""
    blocks = [Block(n, True, _shuffled(found, seed, f"w{n}")) for n in range(1, warm_up_runs + 1)]
    return blocks + [Block(n, False, _shuffled(found, seed, f"b{n}")) for n in range(1, repeats + 1)]


def settings_of(scenario: Scenario, cell: Cell) -> CellSettings:
    """What the axis values of ``cell`` mean."""
    axes = cell.axes
    workload = scenario.workloads[axes["workload"]]
    parameters = dict(workload.parameters)
    environment: dict[str, str] = {}
    for axis, values in scenario.choices.items():
        choice = values[axes[axis]]
        parameters.update(choice.parameters)
        environment.update(choice.environment)
    threads = axes.get("threads", AUTO_THREADS)
    named = axes.get("tunables", STACK_TUNABLES)
    if named in scenario.tunables:
        tunables: Mapping[str, str] | None = scenario.tunables[named]
    else:
        tunables = {} if named == NO_TUNABLES else None
    return CellSettings(
        deployment=axes["deployment"],
        stack=stack_name(axes["stack"], workload.name, workload.command),
        hardware=scenario.hardware.get(axes["hardware"], WHOLE_MACHINE),
        workload=workload,
        parameters=parameters,
        threads=None if threads == AUTO_THREADS else int(threads),
        environment=environment,
        tunables=tunables,
        workers=int(axes["workers"]) if "workers" in axes else None,
    )


def declared_of(settings: CellSettings) -> Workload | None:
    """The declaration of a cell's command as the cell runs it; ``None``: a function is called.

    What an axis chooses comes before the command's own variables.
    """
    declared = settings.workload.declared
    if declared is None or declared.command is None:
        return declared
    chosen = {**(settings.tunables or {}), **settings.environment}
    kept = {name: text for name, text in declared.command.environment.items() if name not in chosen}
    return replace(declared, command=replace(declared.command, environment=kept))


def stack_name(stack: str, workload: str, command: Command | None) -> str:
    """What a workload runs on where ``stack`` is asked for: a command's requirements make a stack of their own."""
    return stack if command is None or command.requirements is None else f"{stack}+{workload}"


def _matches(cell: Cell, rule: Mapping[str, Sequence[str]]) -> bool:
    return all(cell.axes.get(axis) in values for axis, values in rule.items())


def _shuffled(found: Sequence[Cell], seed: int, block: str) -> tuple[Cell, ...]:
    def key(cell: Cell) -> bytes:
        named = "\n".join(f"{axis}={value}" for axis, value in cell.axes.items())
        return hashlib.sha256(f"{seed}\n{block}\n{named}".encode()).digest()

    return tuple(sorted(found, key=key))
