"""The values a scenario file becomes, and how two of them differ. No reading, no expansion. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stackyard.machine.hardware_spec import HardwareSpec
from stackyard_task.commands import Command
from stackyard_task.criteria import Criteria
from stackyard_task.workloads import Workload

#: Axes every cell has, in this order, and what they are when the file does not name them.
MAIN_AXES = ("deployment", "stack", "hardware", "workload")
#: Axes with a meaning of their own that a file may add.
BUILT_IN_AXES = (*MAIN_AXES, "threads", "tunables", "workers")
#: Parameters a workload must have to be split over workers: which part, of how many.
SHARD_PARAMETERS = ("shard", "shards")

#: Hardware that needs no table: the machine as it is, without limits.
WHOLE_MACHINE = HardwareSpec(name="machine")
#: The value of the stack axis that is no stack: programs as the machine has them.
NO_STACK = "none"
#: Values of the tunables axis that need no table.
STACK_TUNABLES = "stack"  # what the stack sets by itself
NO_TUNABLES = "none"
#: The value of the threads axis that leaves the number to the limits.
AUTO_THREADS = "auto"


class RunsWorkload:
    """What a table of a file that runs a workload says of it, where that is a command."""

    #: Of a command, whether this file declares it or ``workloads.toml``: its declaration as this file runs it.
    declared: Workload | None

    @property
    def command(self) -> Command | None:
        """What is executed; ``None``: a function is called."""
        return None if self.declared is None else self.declared.command

    @property
    def inputs(self) -> Mapping[str, str]:
        """What a command reads, by name: paths and references."""
        return {} if self.command is None else self.command.inputs


@dataclass(frozen=True)
class WorkloadSpec(RunsWorkload):
    """A workload with its parameters, under the name a scenario file gave it."""

    name: str
    workload: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    #: Of a command, whether this file declares it or ``workloads.toml``: its declaration as this file runs it.
    declared: Workload | None = None

    @property
    def key(self) -> str:
        """By what its declaration and its folder are known: a command's may differ from one table to the next."""
        return self.workload if self.command is None else self.name


@dataclass(frozen=True)
class DerivedStack:
    """A stack that a scenario file adds: packages on top of another."""

    #: Name of the stack below.
    base: str
    #: The file of packages, seen from the scenario file.
    requirements: str


@dataclass(frozen=True)
class Choice:
    """What one value of an axis of the file's own changes."""

    environment: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Preparation(RunsWorkload):
    """A run made once before the matrix; its outputs are referenced as ``prepared:NAME/FILE``."""

    name: str
    workload: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    stack: str = ""
    threads: int | None = None
    time_limit_seconds: float | None = None
    #: Preparations whose outputs this one reads.
    needs: tuple[str, ...] = ()
    #: As of a WorkloadSpec.
    declared: Workload | None = None

    @property
    def key(self) -> str:
        """As of a WorkloadSpec."""
        return self.workload if self.command is None else self.name


@dataclass(frozen=True)
class Scenario:
    """A scenario file, read and checked."""

    name: str
    title: str
    repeats: int
    warm_up_runs: int
    seed: int
    #: Longest wall time of one run; ``None``: no limit.
    time_limit_seconds: float | None
    #: Axis -> its values, main axes first.
    axes: Mapping[str, tuple[str, ...]]
    hardware: Mapping[str, HardwareSpec]
    workloads: Mapping[str, WorkloadSpec]
    #: Name -> sources, as the readers take them.
    data: Mapping[str, tuple[Mapping[str, Any], ...]]
    #: In the order they must run.
    preparations: tuple[Preparation, ...]
    #: Name -> environment variables that take the place of the stack's tunables.
    tunables: Mapping[str, Mapping[str, str]]
    #: Axis of the file's own -> value -> what it changes.
    choices: Mapping[str, Mapping[str, Choice]]
    #: Stacks that the file adds, by name: its own tables, and "STACK+WORKLOAD" for a command with requirements.
    stacks: Mapping[str, DerivedStack]
    #: Partial matches: axis -> values; a cell that matches all axes of one of them is left out.
    excludes: tuple[Mapping[str, tuple[str, ...]], ...]
    #: Where each run of the matrix is stopped.
    stop: Criteria = field(default_factory=Criteria)


def plain(scenario: Scenario) -> dict[str, Any]:
    """The JSON form of a scenario: what a plan keeps, and what two runs of one scenario are compared by."""
    value = _plain(scenario)
    assert isinstance(value, dict)
    return value


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """One line per key in which two JSON values differ: ``key: OLD then, NEW now``."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines: list[str] = []
        for key in [*old, *(key for key in new if key not in old)]:
            inner = f"{where}.{key}" if where else str(key)
            if key not in new:
                lines.append(f"{inner}: {_short(old[key])} then, absent now")
            elif key not in old:
                lines.append(f"{inner}: absent then, {_short(new[key])} now")
            else:
                lines.extend(differences(old[key], new[key], inner))
        return lines
    return [] if old == new else [f"{where}: {_short(old)} then, {_short(new)} now"]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        held = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        for name, empty in (
            ("declared", None),
            ("stacks", {}),
            ("stop", Criteria()),
        ):  # as plans have it that are older than these
            if held.get(name, held) == empty:
                del held[name]
        return {name: _plain(inner) for name, inner in held.items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
