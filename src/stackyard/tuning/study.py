"""The values a study file becomes. Shapes only; ``reading`` reads them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stackyard.machine.hardware_spec import HardwareSpec
from stackyard.scenarios import Choice, Scenario
from stackyard.tuning.space import Space
from stackyard.tuning.trial import QUANTITIES
from stackyard_task.criteria import Criteria

#: The axis by which the trials of a study are told apart, as cells of its scenario.
TRIAL_AXIS = "trial"
#: Which way an objective is to go, in words.
MAXIMISE, MINIMISE = "maximise", "minimise"


@dataclass(frozen=True)
class Objective:
    """A figure to make small or great: of the workload's results, or one of QUANTITIES."""

    name: str
    maximise: bool
    #: Whether a trial has the best value that it told on its way, and not the last.
    best: bool = False

    @property
    def direction(self) -> str:
        """Which way it is to go, in a word."""
        return MAXIMISE if self.maximise else MINIMISE

    @property
    def is_cost(self) -> bool:
        """Whether it is measured by us and not told by the workload."""
        return self.name in QUANTITIES


@dataclass(frozen=True)
class Budget:
    """What the whole study may use. ``None``: no bound."""

    #: Trials that are begun; what is skipped does not count.
    trials: int | None = None
    #: Of all trials, stopped and failed ones included.
    cpu_seconds: float | None = None
    #: Since the study began, pauses between runs of the tuner left out.
    wall_seconds: float | None = None


@dataclass(frozen=True)
class Search:
    """How the next trial is chosen, and which one under way is ended."""

    sampler: str = "cost-aware"
    pruner: str = "none"
    seed: int = 1
    #: Settings of the pruner.
    pruner_settings: Mapping[str, float] = field(default_factory=dict)
    #: Whether what is predicted to break a limit is skipped; and the share of it that is run all the same.
    skip: bool = True
    check_share: float = 0.1


@dataclass(frozen=True)
class Packing:
    """How many trials run side by side."""

    #: At most so many; ``None``: as many as predicted memory and cores allow.
    at_once: int | None = 1
    #: Cores of one trial, where its hardware has no limit of them.
    cores: float = 1.0
    #: What trials may use of this machine together; ``None``: what is free of it.
    memory_bytes: int | None = None
    total_cores: float | None = None


@dataclass(frozen=True)
class Study:
    """A study file, read and checked."""

    scenario: Scenario
    #: Name of the workload among the scenario's, which is the only one.
    workload: str
    space: Space
    objectives: tuple[Objective, ...]
    limits: Criteria
    budget: Budget
    search: Search
    packing: Packing

    @property
    def name(self) -> str:
        """Of the study."""
        return self.scenario.name

    @property
    def directions(self) -> dict[str, bool]:
        """Objective -> whether more of it is better, the first first."""
        return {objective.name: objective.maximise for objective in self.objectives}

    @property
    def combinations(self) -> int | None:
        """Combinations that a grid walks through; ``None``: the sampler is another."""
        return combinations(self.space, self.search)

    @property
    def hardware(self) -> HardwareSpec | None:
        """What each trial has; ``None``: the machine without limits."""
        return next(iter(self.scenario.hardware.values()), None)

    @property
    def threads(self) -> int | None:
        """Threads of a trial that shares a machine with others: those of its cores; ``None``: as the run decides."""
        limited = self.hardware is not None and self.hardware.cores is not None
        return None if self.packing.at_once == 1 or limited else max(1, int(self.packing.cores))

    def of_trial(self, name: str, parameters: Mapping[str, Any]) -> Scenario:
        """The scenario whose one cell is a trial."""
        return dataclasses.replace(
            self.scenario,
            axes={**self.scenario.axes, TRIAL_AXIS: (name,)},
            choices={TRIAL_AXIS: {name: Choice(parameters=dict(parameters))}},
        )

    def bounds(self) -> dict[str, float]:
        """The limits of one trial by quantity; those that are no quantity left out."""
        found = {name: getattr(self.limits, name) for name in QUANTITIES}
        memory = None if self.hardware is None else self.hardware.memory_bytes
        if memory is not None:
            found["ram_bytes"] = min(found["ram_bytes"] or memory, memory)
        if self.scenario.time_limit_seconds is not None:
            seconds = self.scenario.time_limit_seconds
            found["wall_seconds"] = min(found["wall_seconds"] or seconds, seconds)
        return {name: float(limit) for name, limit in found.items() if limit is not None}


def combinations(space: Space, search: Search) -> int | None:
    """Those that end a study, as its grid has tried them all; ``None``: it is no grid, or they cannot be counted."""
    return space.count if search.sampler == "grid" else None


def plain(study: Study) -> dict[str, Any]:
    """What a study is continued by: JSON values, but for what its scenario's plan already holds."""
    bounds = study.bounds()
    if study.limits.slowing is not None:
        bounds["slowing"] = study.limits.slowing
    held = {
        "space": [
            {"kind": type(d).__name__.lower(), **dataclasses.asdict(d)} for d in study.space.dimensions
        ],
        "objectives": {o.name: o.direction for o in study.objectives},
        **({"best_of_course": best} if (best := [o.name for o in study.objectives if o.best]) else {}),
        "limits": dataclasses.asdict(study.limits),
        "bounds": bounds,
        "budget": dataclasses.asdict(study.budget),
        "search": dataclasses.asdict(study.search),
        "packing": dataclasses.asdict(study.packing),
    }
    return _listed(held)


def _listed(value: Any) -> Any:
    """JSON has no tuples."""
    if isinstance(value, Mapping):
        return {key: _listed(inner) for key, inner in value.items()}
    return [_listed(inner) for inner in value] if isinstance(value, list | tuple) else value
