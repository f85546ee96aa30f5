"""Reading a study file: a scenario file of one cell with the tables of a search, or one sentence on what is wrong."""

from __future__ import annotations

import math
from typing import Any

from stackyard import scenarios, stop_tables, toml_tables
from stackyard.launch import installed
from stackyard.scenarios import Known, Scenario
from stackyard.toml_tables import Fields
from stackyard.tuning.pruners import PRUNERS
from stackyard.tuning.samplers import SAMPLERS
from stackyard.tuning.space import MOST_COMBINATIONS, Choice, Dimension, Range, Space
from stackyard.tuning.study import (
    MAXIMISE,
    MINIMISE,
    TRIAL_AXIS,
    Budget,
    Objective,
    Packing,
    Search,
    Study,
)
from stackyard_task.criteria import Criteria

#: Tables that a study file has beside a scenario's.
_TABLES = ("space", "objectives", "limits", "budget", "search", "packing")
#: Keys of a scenario that mean nothing for trials, and what to write instead.
_NOT_HERE = {
    "repeats": "nothing: [budget] trials says how many there are",
    "warm_up_runs": "nothing: a study has none",
    "exclude": "nothing: [space] says what is tried",
    "choices": "nothing: [space] says what is tried",
    "stop": "the table [limits]",
}
MOST_DIMENSIONS, MOST_VALUES, MOST_OBJECTIVES = 50, 1000, 4
#: Trials that a study may have: each is a folder, and samplers read them all.
MOST_TRIALS = 10_000
#: How far the ends of a range may lie apart, and how many steps it may have.
MOST_WIDTH, MOST_STEPS = 1e300, 1e9
_DIRECTIONS = {MAXIMISE: True, "maximize": True, MINIMISE: False, "minimize": False}


def read(text: str, file: str, known: Known) -> Study:
    """The study that ``text`` describes.

    Args:
        text: the file's content.
        file: its name, for messages.
        known: what exists around it, as of a scenario.

    Raises:
        BadInputError: not TOML, or a key is unknown, missing, or has a value that is not allowed.
    """
    return _Reader(file, toml_tables.parse(text, file), known).study()


class _Reader(Fields):
    """Reads one document; every method answers a checked part of it."""

    def __init__(self, file: str, document: dict[str, Any], known: Known) -> None:
        super().__init__(file, document)
        self._known = known

    def study(self) -> Study:
        for key, instead in _NOT_HERE.items():
            if key in self.document:
                raise self.bad(key, "is for scenarios", instead)
        space = self.space()
        search = self.search(space)
        scenario = self.scenario(space)
        limits = self.limits()
        objectives = self.objectives()
        budget = self.budget(space, search)
        return Study(
            scenario=scenario,
            workload=next(iter(scenario.workloads)),
            space=space,
            objectives=objectives,
            limits=limits,
            budget=budget,
            search=search,
            packing=self.packing(scenario),
        )

    # -- the scenario ------------------------------------------------------------------------------

    def scenario(self, space: Space) -> Scenario:
        """The scenario of one cell; its reader checks the space's corners as if they were two of its values."""
        rest = {key: value for key, value in self.document.items() if key not in _TABLES}
        for name in ("workloads", "hardware"):
            if len(self.tables(name)) > 1:
                raise self.bad(
                    name, f"has {len(self.tables(name))} tables", f"one [{name}.NAME]: a study has one cell"
                )
        axes = self.table("axes")
        for axis, values in axes.items():
            if axis == TRIAL_AXIS:
                raise self.bad(f"axes.{axis}", "is what tells trials apart", "nothing")
            if axis in space.names:
                raise self.bad(f"axes.{axis}", "is searched by [space], too", "one of them")
            if isinstance(values, list) and len(values) != 1:
                raise self.bad(f"axes.{axis}", f"has {len(values)} values", "one: a study has one cell")
        corners = self.corners(space)
        rest["axes"] = {**axes, TRIAL_AXIS: list(corners)}
        rest["choices"] = {TRIAL_AXIS: {name: {"parameters": values} for name, values in corners.items()}}
        found = scenarios.of_document(rest, self.file, self._known)
        if "workers" in found.axes:
            raise self.bad(
                "axes.workers", "shares out one run's work", "[packing] at_once: trials side by side"
            )
        given = next(iter(found.workloads.values())).parameters
        for name in space.names:
            if name in given:
                table = f"workloads.{next(iter(found.workloads))}.parameters.{name}"
                raise self.bad(table, "is searched by [space], too", "one of them")
        return found

    def corners(self, space: Space) -> dict[str, dict[str, Any]]:
        """Combinations that have every listed value, and both ends of every range, at least once."""
        listed = {
            d.name: list(d.values) if isinstance(d, Choice) else [d.at(0.0), d.at(1.0)]
            for d in space.dimensions
        }
        count = max(len(values) for values in listed.values())
        return {
            f"corner-{index + 1}": {name: values[index % len(values)] for name, values in listed.items()}
            for index in range(count)
        }

    # -- what is searched --------------------------------------------------------------------------

    def space(self) -> Space:
        tables = self.table("space")
        if not tables:
            raise self.bad(
                "space",
                "is missing or empty",
                "at least one dimension, such as lr = { low = 1e-4, high = 0.1 }",
            )
        if len(tables) > MOST_DIMENSIONS:
            raise self.bad("space", f"has {len(tables)} dimensions", f"at most {MOST_DIMENSIONS}")
        return Space(tuple(self.dimension(name, value) for name, value in tables.items()))

    def dimension(self, name: str, value: Any) -> Dimension:
        where = f"space.{name}"
        self.name(name, where)
        if isinstance(value, dict):
            return self.range(name, value)
        if not isinstance(value, list) or not value:
            raise self.bad(where, f"is {value!r}", "a list of values, or { low = ..., high = ... }")
        if len(value) > MOST_VALUES:
            raise self.bad(where, f"has {len(value)} values", f"at most {MOST_VALUES}")
        for item in value:
            if not isinstance(item, bool | int | float | str):
                raise self.bad(where, f"holds {item!r}", "numbers, texts, true and false")
        self.free(value, where)
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
        if not numbers and len({type(v) for v in value}) > 1:
            raise self.bad(where, "has values of several kinds", "values of one kind")
        if len(set(value)) < len(value):
            twice = next(v for v in value if value.count(v) > 1)
            raise self.bad(where, f"holds {twice!r} twice", "each value once")
        return Choice(name, tuple(value))

    def range(self, name: str, table: dict[str, Any]) -> Range:
        where = f"space.{name}"
        self.keys(table, where, ["low", "high", "log", "step"])
        ends = []
        for key in ("low", "high"):
            if key not in table:
                raise self.bad(f"{where}.{key}", "is missing", "a number")
            end = table[key]
            if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
                raise self.bad(f"{where}.{key}", f"is {end!r}", "a finite number")
            ends.append(end)
        low, high = ends
        if low >= high:
            raise self.bad(where, f"goes from {low!r} to {high!r}", "low below high")
        if high - low > MOST_WIDTH:
            raise self.bad(where, f"goes from {low!r} to {high!r}", f"a width of at most {MOST_WIDTH:g}")
        log = self.flag(table, where, "log", False)
        if log and low <= 0:
            raise self.bad(f"{where}.low", f"is {low!r}", "above 0 where log is true")
        step = self.positive(table, where, "step", None)
        if step is not None and log:
            raise self.bad(f"{where}.step", "stands beside log", "one of them")
        if step is not None and step > high - low:
            raise self.bad(f"{where}.step", f"is {step:g}", f"at most {high - low:g}, the width of the range")
        if step is not None and (high - low) / step > MOST_STEPS:
            raise self.bad(f"{where}.step", f"is {step:g}", f"at least {(high - low) / MOST_STEPS:.3g}")
        whole = isinstance(low, int) and isinstance(high, int) and (step is None or step == int(step))
        if whole and max(abs(low), abs(high)) > 2**53:
            raise self.bad(where, f"goes from {low!r} to {high!r}", "whole numbers of at most 53 bits")
        return Range(name, low, high, whole, log, step)

    def objectives(self) -> tuple[Objective, ...]:
        table = self.table("objectives")
        if not table:
            raise self.bad("objectives", "is missing or empty", 'at least one, such as accuracy = "maximise"')
        if len(table) > MOST_OBJECTIVES:
            raise self.bad("objectives", f"has {len(table)}", f"at most {MOST_OBJECTIVES}")
        found = []
        for name, value in table.items():
            where = f"objectives.{name}"
            given = value if isinstance(value, dict) else {"direction": value}
            self.keys(given, where, ["direction", "of"])
            direction = given.get("direction")
            if not isinstance(direction, str) or direction not in _DIRECTIONS:
                raise self.bad(where, f"is {direction!r}", '"maximise" or "minimise"')
            of = given.get("of", "last")
            if of not in ("last", "best"):
                raise self.bad(f"{where}.of", f"is {of!r}", '"last" or "best"')
            objective = Objective(name, _DIRECTIONS[direction], of == "best")
            if objective.is_cost and (objective.maximise or objective.best):
                raise self.bad(where, "is a cost", '"minimise", and nothing else')
            found.append(objective)
        if found[0].is_cost and len(found) > 1:
            raise self.bad(
                f"objectives.{found[0].name}", "stands first", "a quality first: pruners follow the first"
            )
        return tuple(found)

    # -- how, and how far --------------------------------------------------------------------------

    def limits(self) -> Criteria:
        return stop_tables.read(self, self.table("limits"), "limits")

    def budget(self, space: Space, search: Search) -> Budget:
        table = self.table("budget")
        self.keys(table, "budget", ["trials", "cpu_seconds", "wall_seconds"])
        if not table and search.sampler != "grid":
            raise self.bad(
                "budget", "is missing or empty", "trials, cpu_seconds or wall_seconds: a search needs an end"
            )
        trials = (
            self.whole(table, "budget", "trials", 1, low=1, high=MOST_TRIALS) if "trials" in table else None
        )
        if (
            trials is None
            and space.count is not None
            and search.sampler == "grid"
            and space.count > MOST_TRIALS
        ):
            raise self.bad(
                "space",
                f"has {space.count:,} combinations",
                f"at most {MOST_TRIALS:,} for a grid, or [budget] trials",
            )
        return Budget(
            trials=trials,
            cpu_seconds=self.positive(table, "budget", "cpu_seconds", None),
            wall_seconds=self.positive(table, "budget", "wall_seconds", None),
        )

    def search(self, space: Space) -> Search:
        table = self.table("search")
        of_pruners = dict.fromkeys(name for kind in PRUNERS.values() for name in kind.settings)
        self.keys(table, "search", ["sampler", "pruner", "seed", "skip", "check_share", *of_pruners])
        sampler = self.text(table, "search", "sampler", Search.sampler)
        if sampler not in SAMPLERS:
            raise self.bad("search.sampler", f"is {sampler!r}", self.one_of(sampler, SAMPLERS))
        if sampler == "grid" and space.count is None:
            endless = next(d.name for d in space.dimensions if d.count is None)
            raise self.bad(
                f"space.{endless}", "has no end of values", "a list or a step: the sampler is grid"
            )
        if sampler == "grid" and (space.count or 0) > MOST_COMBINATIONS:
            raise self.bad(
                "space", f"has {space.count:,} combinations", f"at most {MOST_COMBINATIONS:,} for a grid"
            )
        pruner = self.text(table, "search", "pruner", Search.pruner)
        if pruner not in PRUNERS:
            raise self.bad("search.pruner", f"is {pruner!r}", self.one_of(pruner, PRUNERS))
        taken = PRUNERS[pruner].settings
        for name in of_pruners:
            if name in table and name not in taken:
                has = ", ".join(kind for kind, of in PRUNERS.items() if name in of.settings)
                raise self.bad(f"search.{name}", f"means nothing to the pruner {pruner}", f"it beside {has}")
        settings = {}
        for name, setting in taken.items():
            value, low, high = table.get(name, setting.default), setting.low, setting.high
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise self.bad(f"search.{name}", f"is {value!r}", f"a number from {low:g} to {high:g}")
            settings[name] = float(value)
        skip = self.flag(table, "search", "skip", Search.skip)
        if "check_share" in table and not skip:
            raise self.bad("search.check_share", "is of what is skipped", "skip = true beside it")
        return Search(
            sampler=sampler,
            pruner=pruner,
            seed=self.whole(table, "search", "seed", Search.seed, low=0, high=2**31 - 1),
            pruner_settings=settings,
            skip=skip,
            check_share=self.share(table, "search", "check_share", Search.check_share),
        )

    def packing(self, scenario: Scenario) -> Packing:
        table = self.table("packing")
        self.keys(table, "packing", ["at_once", "cores", "memory", "total_cores"])
        at_once: int | None = 1
        if table.get("at_once") == "auto":
            at_once = None
        elif "at_once" in table:
            at_once = self.whole(table, "packing", "at_once", 1, low=1, high=256)
        hardware = next(iter(scenario.hardware.values()), None)
        (deployment,) = scenario.axes["deployment"]
        for key in ("memory", "total_cores"):
            if key in table and installed.named(deployment).elsewhere:
                raise self.bad(
                    f"packing.{key}",
                    "is for trials on this machine",
                    f"none: with deployment {deployment} they run elsewhere, and at_once says how many",
                )
        cores = self.positive(table, "packing", "cores", None)
        if (
            cores is not None
            and hardware is not None
            and hardware.cores is not None
            and cores != hardware.cores
        ):
            raise self.bad(
                "packing.cores", f"is {cores:g}", f"{hardware.cores:g}, as [hardware.{hardware.name}] has it"
            )
        if cores is None:
            cores = 1.0 if hardware is None or hardware.cores is None else hardware.cores
        return Packing(
            at_once=at_once,
            cores=cores,
            memory_bytes=self.size(table["memory"], "packing.memory") if "memory" in table else None,
            total_cores=self.positive(table, "packing", "total_cores", None),
        )
