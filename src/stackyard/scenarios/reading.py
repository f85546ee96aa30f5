"""Reading a scenario file: TOML text -> Scenario, or one sentence naming file, key, seen and allowed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stackyard import command_tables, stop_tables, toml_tables
from stackyard.errors import BadInputError
from stackyard.machine.hardware_spec import HardwareSpec
from stackyard.scenarios import matrix, references
from stackyard.scenarios.fields import ScenarioFields
from stackyard.scenarios.shape import (
    AUTO_THREADS,
    BUILT_IN_AXES,
    MAIN_AXES,
    NO_STACK,
    NO_TUNABLES,
    SHARD_PARAMETERS,
    STACK_TUNABLES,
    WHOLE_MACHINE,
    Choice,
    DerivedStack,
    Preparation,
    Scenario,
    WorkloadSpec,
)
from stackyard_task.workloads import Workload

#: Cells that a file's axes may multiply to: more is a slip, for each cell is hours of runs.
MOST_CELLS = 10_000

_TOP = (
    *("name", "title", "repeats", "warm_up_runs", "seed", "time_limit_seconds"),
    *("axes", "hardware", "workloads", "stacks", "data", "prepare", "tunables", "choices", "exclude", "stop"),
)


#: Keys of a preparation beside its workload's.
_OF_PREPARATIONS = ("stack", "threads", "time_limit_seconds")


@dataclass(frozen=True)
class Known:
    """What exists around the file: the names a scenario may use."""

    stacks: Collection[str]
    default_stack: str
    deployments: Collection[str]
    default_deployment: str
    #: Declared workloads, by name.
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    #: Why a workload, declared or a function of the user's own, cannot be called; ``None``: it can.
    why_not: Callable[[str], str | None] = lambda reference: None
    #: Words about packages whose declarations cannot be read, for a name that is not declared.
    unread: str = ""


def read(text: str, file: str, known: Known) -> Scenario:
    """The scenario that ``text`` describes.

    Args:
        text: the file's content.
        file: its name, for messages.
        known: the stacks and deployments that exist.

    Raises:
        BadInputError: not TOML, or a key is unknown, missing, or has a value that is not allowed.
    """
    return of_document(toml_tables.parse(text, file), file, known)


def of_document(document: dict[str, Any], file: str, known: Known) -> Scenario:
    """As ``read``, of a file that is parsed already."""
    return _Reader(file, document, known).scenario()


class _Reader(ScenarioFields):
    """Reads one document; every method answers a checked part of it."""

    def __init__(self, file: str, document: dict[str, Any], known: Known) -> None:
        super().__init__(file, document)
        self.known = known

    # -- the whole ---------------------------------------------------------------------------------

    def scenario(self) -> Scenario:
        top = self.document
        self.keys(top, "", _TOP)
        name = self.name(self.text(top, "", "name"), "name")
        hardware = {n: self.hardware(n, t) for n, t in self.tables("hardware").items()}
        self.derived = {n: self.derived_stack(n, t) for n, t in self.tables("stacks").items()}
        choices = self.choices()
        workloads = {n: self.workload(n, t, choices) for n, t in self.tables("workloads").items()}
        if not workloads:
            expected = "at least one [workloads.NAME] with a key workload or command"
            raise self.bad("workloads", "is missing", expected)
        data = {n: self.sources(n, t) for n, t in self.tables("data").items()}
        tunables = {n: self.environment(t, f"tunables.{n}") for n, t in self.tables("tunables").items()}
        axes = self.axes(hardware, workloads, tunables, choices)
        preparations = self.preparations(data, axes)
        time_limit_seconds = self.positive(top, "", "time_limit_seconds", 3600.0)
        memory = [hardware.get(n, WHOLE_MACHINE).memory_bytes for n in axes["hardware"]]
        stop = stop_tables.read(self, self.table("stop"), "stop")
        most = None if None in memory else max(each or 0 for each in memory)
        why = stop_tables.contradiction(stop, time_limit_seconds, most)
        if why is not None:
            raise BadInputError(f"{self.file}: stop.{why}; lower the one or raise the other")
        scenario = Scenario(
            name=name,
            title=self.text(top, "", "title", name),
            repeats=self.whole(top, "", "repeats", 6, low=1, high=999),
            warm_up_runs=self.whole(top, "", "warm_up_runs", 0, low=0, high=99),
            seed=self.whole(top, "", "seed", 1),
            time_limit_seconds=time_limit_seconds,
            axes=axes,
            hardware=hardware,
            workloads=workloads,
            data=data,
            preparations=preparations,
            tunables=tunables,
            choices=choices,
            stacks=self.every_stack(axes["stack"], workloads.values(), preparations),
            excludes=self.excludes(axes),
            stop=stop,
        )
        self.cells(scenario)
        self.named_apart(scenario)
        return scenario

    def named_apart(self, scenario: Scenario) -> None:
        """See that no two commands have one name, and none has a declared workload's that is run beside it."""
        runs: list[tuple[str, WorkloadSpec | Preparation]] = [
            *((f"workloads.{name}", spec) for name, spec in scenario.workloads.items()),
            *((f"prepare.{spec.name}", spec) for spec in scenario.preparations),
        ]
        taken: dict[str, str] = {}
        for where, spec in runs:
            first = taken.setdefault(spec.key, where)
            others = [other for at, other in runs if at == first]
            if first != where and (spec.command is not None or others[0].command is not None):
                raise self.bad(where, f"would be called {spec.key!r} as {first} is", "another name")

    def cells(self, scenario: Scenario) -> None:
        """Check what can only be seen on whole cells: that they can be counted, some are left, their parameters."""
        product = math.prod(len(values) for values in scenario.axes.values())
        if product > MOST_CELLS:
            raise self.bad(
                "axes",
                f"multiply to {product:,} cells",
                f"at most {MOST_CELLS:,}, those that exclude drops too",
            )
        found = matrix.cells(scenario)
        if not found:
            raise self.bad("exclude", "leaves no cell of the matrix", "rules that keep at least one")
        slugs: dict[str, Mapping[str, str]] = {}
        checked: set[str] = set()
        for cell in found:
            if cell.slug in slugs:
                raise self.bad("axes", f"gives two cells the same name {cell.slug!r}", "other value names")
            slugs[cell.slug] = cell.axes
            settings = matrix.settings_of(scenario, cell)
            where = f"workloads.{cell.axes['workload']}.parameters"
            identity = repr((where, settings.parameters))
            if identity not in checked:
                checked.add(identity)
                if settings.workers is not None:
                    self.divisible(settings.workload, settings.parameters, where)
                given = settings.parameters
                expanded = references.expanded(given, scenario.data)
                declared = settings.workload.declared
                self.workload_parameters(
                    declared or self.known.workloads.get(settings.workload.workload),
                    given,
                    expanded,
                    where,
                    scenario.data,
                )
                self.prepared_exist(settings.parameters, where, scenario.data, scenario.preparations)
                if declared is not None:
                    where = f"workloads.{cell.axes['workload']}"
                    # of a command of the file's own nothing stands in for what neither table nor choice gives
                    own = command_tables.is_command(self.tables("workloads")[cell.axes["workload"]])
                    values = given if own else {**_defaults(declared), **given}
                    command_tables.checked(self, where, declared, values)
                    self.prepared_exist(
                        list(settings.workload.inputs.values()),
                        f"{where}.inputs",
                        scenario.data,
                        scenario.preparations,
                    )

    # -- the parts ---------------------------------------------------------------------------------

    def axes(
        self,
        hardware: Mapping[str, HardwareSpec],
        workloads: Mapping[str, WorkloadSpec],
        tunables: Mapping[str, Any],
        choices: Mapping[str, Mapping[str, Choice]],
    ) -> dict[str, tuple[str, ...]]:
        given = self.table("axes")
        for axis in given:
            if axis not in BUILT_IN_AXES and axis not in choices:
                own = f", a parameter of every workload, or a table [choices.{axis}.NAME] for each value"
                known = self.one_of(axis, [*BUILT_IN_AXES, *choices])
                raise self.bad(f"axes.{axis}", "is an unknown axis", known + own)
        for axis in choices:
            if axis not in given:
                raise self.bad(f"choices.{axis}", "has no line in [axes]", f'{axis} = ["...", "..."] there')
        allowed: dict[str, Collection[str] | None] = {
            "deployment": self.known.deployments,
            "stack": [*self.known.stacks, *self.derived, NO_STACK],
            "hardware": [WHOLE_MACHINE.name, *hardware],
            "workload": list(workloads),
            "threads": None,
            "workers": None,
            "tunables": [STACK_TUNABLES, NO_TUNABLES, *tunables],
            **{axis: list(values) for axis, values in choices.items()},
        }
        defaults: dict[str, tuple[str, ...]] = {
            "deployment": (self.known.default_deployment,),
            "stack": tuple(self.derived) or (self.known.default_stack,),
            "hardware": tuple(hardware) or (WHOLE_MACHINE.name,),
            "workload": tuple(workloads),
        }
        axes: dict[str, tuple[str, ...]] = {}
        for axis in [*MAIN_AXES, *(axis for axis in given if axis not in MAIN_AXES)]:
            if axis in given and axis in choices and axis not in self.tables("choices"):
                names = [self.value_name(axis, value) for value in given[axis]]
                axes[axis] = self.axis_values(axis, names, allowed[axis])
            elif axis in given:
                axes[axis] = self.axis_values(axis, given[axis], allowed[axis])
            else:
                axes[axis] = defaults[axis]
        return axes

    def axis_values(self, axis: str, value: Any, allowed: Collection[str] | None) -> tuple[str, ...]:
        key = f"axes.{axis}"
        if not isinstance(value, list) or not value:
            raise self.bad(key, f"is {value!r}", "a list with at least one value")
        names: list[str] = []
        for item in value:
            is_count = isinstance(item, int) and not isinstance(item, bool) and 1 <= item < 2**63
            if axis == "threads":
                if not is_count and item != AUTO_THREADS:
                    raise self.bad(key, f"holds {item!r}", f'whole numbers from 1 up, or "{AUTO_THREADS}"')
            elif axis == "workers":
                if not is_count:
                    raise self.bad(key, f"holds {item!r}", "whole numbers from 1 up")
            elif not isinstance(item, str) and str(item) in (allowed or ()):
                raise self.bad(key, f"holds {item!r}", f'the name in quotes: "{item}"')
            elif not isinstance(item, str) or item not in (allowed or ()):
                raise self.bad(key, f"holds {item!r}", self.one_of(item, allowed or ()))
            names.append(str(item))
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise self.bad(key, f"holds {twice[0]!r} twice", "each value once")
        return tuple(names)

    def hardware(self, name: str, table: dict[str, Any]) -> HardwareSpec:
        where = f"hardware.{name}"
        if name == WHOLE_MACHINE.name:
            raise self.bad(where, "is the built-in name of the machine without limits", "another name")
        self.keys(table, where, ["cores", "memory", "gpus"])
        memory = None
        if "memory" in table:
            memory = self.size(table["memory"], f"{where}.memory")
        return HardwareSpec(
            name=name,
            cores=self.positive(table, where, "cores", None),
            memory_bytes=memory,
            gpus=self.whole(table, where, "gpus", 0, low=0, high=64),
        )

    def workload(
        self, name: str, table: dict[str, Any], choices: Mapping[str, Mapping[str, Choice]]
    ) -> WorkloadSpec:
        where = f"workloads.{name}"
        for axis in BUILT_IN_AXES:
            if axis in table and axis != "workload":
                value = table[axis] if isinstance(table[axis], list) else [table[axis]]
                raise self.bad(
                    f"{where}.{axis}", "is an axis", f"{axis} = {json.dumps(value, default=str)} under [axes]"
                )
        if command_tables.is_command(table):
            further = [choice.parameters for values in choices.values() for choice in values.values()]
            return WorkloadSpec(name, name, *self.command(name, table, where, further=further))
        self.keys(table, where, ["workload", "parameters", "inputs", *command_tables.KINDS])
        workload = self.workload_name(table, where)
        return WorkloadSpec(
            name=name,
            workload=workload,
            parameters=self.parameters(table, where),
            declared=self.declared_command(table, where, self.known.workloads.get(workload)),
        )

    def workload_name(self, table: dict[str, Any], where: str) -> str:
        name = self.text(table, where, "workload")
        self.runnable(name, f"{where}.workload", self.known.workloads, self.known.why_not, self.known.unread)
        return name

    def divisible(self, workload: WorkloadSpec, given: Mapping[str, Any], where: str) -> None:
        """Check that a workload can be split over workers, and that the file leaves the split to the axis."""
        name = workload.workload
        declared = dict(self.known.workloads)
        if workload.declared is not None:
            declared[name] = workload.declared
        has = [p.name for p in declared[name].parameters] if name in declared else SHARD_PARAMETERS
        if not set(SHARD_PARAMETERS) <= set(has):
            able = [n for n, w in declared.items() if {p.name for p in w.parameters} >= set(SHARD_PARAMETERS)]
            raise self.bad(
                f"workloads.{workload.name}.workload",
                f"is {name!r}, which cannot be split over workers",
                f"one of {', '.join(able)}, or no axis workers",
            )
        for parameter in SHARD_PARAMETERS:
            if parameter in given:
                raise self.bad(
                    f"{where}.{parameter}", f"is {given[parameter]!r}", "nothing: the axis workers sets it"
                )

    def prepared_exist(
        self, given: Any, where: str, data: Mapping[str, Any], preparations: Iterable[Preparation]
    ) -> None:
        names = [p.name for p in preparations]
        for name in sorted(references.prepared_names(given, data)):
            if name not in names:
                raise self.bad(
                    where,
                    f"refers to 'prepared:{name}'",
                    self.one_of(name, names, "[prepare.NAME] with NAME"),
                )

    def preparations(
        self, data: Mapping[str, Any], axes: Mapping[str, tuple[str, ...]]
    ) -> tuple[Preparation, ...]:
        default = self.known.default_stack
        stack = default if default in axes["stack"] else axes["stack"][0]
        found: dict[str, Preparation] = {}
        for name, table in self.tables("prepare").items():
            where = f"prepare.{name}"
            declared = None
            if command_tables.is_command(table):
                workload = name
                given, declared = self.command(name, table, where, _OF_PREPARATIONS)
            else:
                self.keys(table, where, ["workload", "parameters", "inputs", *_OF_PREPARATIONS])
                workload = self.workload_name(table, where)
                given = self.parameters(table, where)
                declared = self.declared_command(table, where, self.known.workloads.get(workload))
            if declared is not None:
                command_tables.checked(self, where, declared, {**_defaults(declared), **given})
            expanded = references.expanded(given, data)
            self.workload_parameters(
                declared or self.known.workloads.get(workload), given, expanded, f"{where}.parameters", data
            )
            command = None if declared is None else declared.command
            inputs = [] if command is None else list(command.inputs.values())
            asked = self.text(table, where, "stack", stack)
            known = [*self.known.stacks, *self.derived, NO_STACK]
            if asked not in known:
                raise self.bad(f"{where}.stack", f"is {asked!r}", self.one_of(asked, known))
            found[name] = Preparation(
                name=name,
                workload=workload,
                parameters=given,
                stack=matrix.stack_name(asked, name, None if declared is None else declared.command),
                threads=self.whole(table, where, "threads", 1, low=1, high=1024)
                if "threads" in table
                else None,
                time_limit_seconds=self.positive(table, where, "time_limit_seconds", 3600.0),
                needs=tuple(sorted(references.prepared_names([given, inputs], data))),
                declared=declared,
            )
        for preparation in found.values():
            named = [preparation.parameters, list(preparation.inputs.values())]
            self.prepared_exist(named, f"prepare.{preparation.name}", data, found.values())
        return self.in_order(found)

    def in_order(self, found: dict[str, Preparation]) -> tuple[Preparation, ...]:
        """Preparations so that each stands behind those it needs."""
        ordered: dict[str, Preparation] = {}
        while len(ordered) < len(found):
            ready = [
                p for p in found.values() if p.name not in ordered and all(n in ordered for n in p.needs)
            ]
            if not ready:
                circle = ", ".join(n for n in found if n not in ordered)
                raise self.bad(
                    "prepare", f"holds runs that wait for each other ({circle})", "an order that ends"
                )
            ordered.update((p.name, p) for p in ready)
        return tuple(ordered.values())

    def derived_stack(self, name: str, table: dict[str, Any]) -> DerivedStack:
        where = f"stacks.{name}"
        if name in self.known.stacks or name == NO_STACK:
            raise self.bad(where, "is the name of a stack that there is already", "another name")
        self.keys(table, where, ["base", "requirements"])
        base = self.text(table, where, "base")
        if base not in self.known.stacks:
            raise self.bad(f"{where}.base", f"is {base!r}", self.one_of(base, self.known.stacks))
        return DerivedStack(base, self.text(table, where, "requirements"))

    def every_stack(
        self,
        asked: Collection[str],
        workloads: Iterable[WorkloadSpec],
        preparations: Iterable[Preparation],
    ) -> dict[str, DerivedStack]:
        """The stacks that the file adds: its tables, and one for each command with requirements and stack."""
        found = dict(self.derived)
        for workload in workloads:
            for stack in asked:
                self.with_requirements(found, workload, stack)
        for preparation in preparations:
            base, plus, _ = preparation.stack.rpartition("+" + preparation.name)
            if plus:
                self.with_requirements(found, preparation, base)
        return found

    def with_requirements(
        self, found: dict[str, DerivedStack], spec: WorkloadSpec | Preparation, stack: str
    ) -> None:
        """Add the stack that a command's requirements make of ``stack``."""
        if spec.command is None or spec.command.requirements is None:
            return
        if stack == NO_STACK:
            table = "prepare" if isinstance(spec, Preparation) else "workloads"
            expected = "a stack on the axis" if table == "workloads" else "a stack beside it"
            raise self.bad(f"{table}.{spec.name}.requirements", "has no stack to come on top of", expected)
        name = matrix.stack_name(stack, spec.name, spec.command)
        found[name] = DerivedStack(stack, spec.command.requirements)

    def choices(self) -> dict[str, dict[str, Choice]]:
        found: dict[str, dict[str, Choice]] = {}
        for axis, values in self.tables("choices").items():
            if axis in BUILT_IN_AXES:
                raise self.bad(f"choices.{axis}", "is the name of a built-in axis", "another name")
            found[axis] = {}
            for name, table in values.items():
                where = f"choices.{axis}.{name}"
                self.name(name, where)
                if not isinstance(table, dict):
                    raise self.bad(where, f"is {table!r}", "a table with environment or parameters")
                self.keys(table, where, ["environment", "parameters"])
                environment = self.environment(
                    self.inner(table, where, "environment"), f"{where}.environment"
                )
                found[axis][name] = Choice(environment, self.parameters(table, where))
        for axis, values in self.table("axes").items():
            if axis not in BUILT_IN_AXES and axis not in found and self.is_parameter(axis, values):
                found[axis] = {
                    self.value_name(axis, value): Choice(parameters={axis: value}) for value in values
                }
        return found

    def is_parameter(self, axis: str, values: Any) -> bool:
        """Whether an axis without tables is a parameter of every workload, and has plain values."""
        plain = isinstance(values, list) and values and all(isinstance(v, str | int | float) for v in values)
        tables = list(self.tables("workloads").values())
        return bool(plain and tables) and all(axis in self.parameters_of(table) for table in tables)

    def parameters_of(self, table: Mapping[str, Any]) -> set[str]:
        """Names of the parameters that a workload's table gives, that its declaration has, or that its words hold."""
        given = table.get("parameters")
        names = set(given) if isinstance(given, dict) else set()
        declared = self.known.workloads.get(str(table.get("workload")))
        names |= set() if declared is None else {parameter.name for parameter in declared.parameters}
        words = table.get("command")
        return names | command_tables.named_in(words if isinstance(words, list) else [])

    def value_name(self, axis: str, value: Any) -> str:
        """What a plain value of an axis is called in cells: the value itself."""
        name = str(value).lower() if isinstance(value, bool) else str(value)
        return self.name(name, f"axes.{axis}")

    def excludes(self, axes: Mapping[str, tuple[str, ...]]) -> tuple[dict[str, tuple[str, ...]], ...]:
        rules = self.document.get("exclude", [])
        if not isinstance(rules, list):
            raise self.bad("exclude", f"is {type(rules).__name__}", "[[exclude]] tables")
        found = []
        for index, rule in enumerate(rules):
            where = f"exclude[{index}]"
            if not isinstance(rule, dict) or not rule:
                raise self.bad(where, f"is {rule!r}", "a table with at least one axis")
            self.keys(rule, where, list(axes), what="axis")
            checked: dict[str, tuple[str, ...]] = {}
            for axis, value in rule.items():
                values = [str(item) for item in (value if isinstance(value, list) else [value])]
                for item in values:
                    if item not in axes[axis]:
                        raise self.bad(f"{where}.{axis}", f"is {item!r}", self.one_of(item, axes[axis]))
                checked[axis] = tuple(values)
            found.append(checked)
        return tuple(found)


def _defaults(declared: Workload) -> dict[str, Any]:
    """What the parameters of a declared workload are where nobody gives one."""
    return {parameter.name: parameter.default for parameter in declared.parameters}
