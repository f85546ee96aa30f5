"""A pipeline file (TOML) -> its steps, checked and in an order that can run. Pure.

References inside parameters and a command's inputs: ``data:NAME`` (a [data.NAME] of the file; in parameters only),
``step:NAME/FILE`` (what an earlier step left below outputs/), ``model:NAME`` (the model an earlier step registered),
``dataset:SET/FILE`` (a public data set of this machine), and plain relative paths, seen from the file. ClearML
references (``clearml-dataset:...``) stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from stackyard import command_tables, toml_tables
from stackyard.errors import BadInputError
from stackyard.scenarios import references
from stackyard.scenarios.fields import ScenarioFields
from stackyard.scenarios.shape import RunsWorkload
from stackyard.workloads import code_folders
from stackyard_task.workloads import Workload

STEP = "step:"
MODEL = "model:"
#: What the agent's default is; the file and the command line may name others.
DEFAULT_QUEUE = "cpu"
#: The controller itself waits most of its time: its queue is for such tasks.
CONTROLLER_QUEUE = "services"
#: A task's name has three characters at least, and ClearML reads a dot as the end of a step's name.
_STEP_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{2,39}")
#: What ClearML calls the pipeline itself where a step could be named.
_RESERVED = ("pipeline",)
_STEP_KEYS = ("queue", "stack", "after", "cores", "memory", "threads", "time_limit_seconds")
#: How an input begins that only a scenario, or only a parameter, may name.
_NO_INPUTS = (references.PREPARED, references.DATA)


@dataclass(frozen=True)
class Step(RunsWorkload):
    """One step: a workload on a queue."""

    name: str
    #: A declared workload's name or a function of the user's own; of a command that the file itself has: the step's.
    workload: str
    queue: str
    stack: str
    #: As in the file; ``data:NAME`` expanded.
    parameters: Mapping[str, Any] = field(default_factory=dict)
    #: Steps that must have completed before.
    needs: tuple[str, ...] = ()
    cores: float | None = None
    memory_bytes: int | None = None
    threads: int | None = None
    time_limit_seconds: float | None = None
    #: Of a command, whether this file declares it or ``workloads.toml``: its declaration as this step runs it.
    declared: Workload | None = None


@dataclass(frozen=True)
class Pipeline:
    """A pipeline file, read and checked."""

    name: str
    title: str
    #: In an order in which they can run.
    steps: tuple[Step, ...]
    controller_queue: str = CONTROLLER_QUEUE


def read(
    text: str,
    file: str,
    *,
    stacks: Collection[str],
    default_stack: str,
    workloads: Mapping[str, Workload],
    queues: Mapping[str, str] | None = None,
    why_not: Callable[[str], str | None] = lambda reference: None,
    unread: str = "",
) -> Pipeline:
    """The pipeline that ``text`` describes.

    Args:
        text: the file's content.
        file: its name, for messages.
        stacks: the stacks that exist.
        default_stack: of steps that name none.
        workloads: declared workloads, by name.
        queues: step -> queue, instead of what the file says.
        why_not: why a workload, declared or a function of the user's own, cannot be called; ``None``: it can.
        unread: words about packages whose declarations cannot be read, for a name that is not declared.

    Raises:
        BadInputError: not TOML, or a key is unknown, missing, or has a value that is not allowed.
    """
    given = (stacks, default_stack, dict(queues or {}), workloads, why_not, unread)
    return _Reader(file, text, *given).pipeline()


def wired(value: Any) -> Any:
    """``value`` with what steps leave in ClearML's words: ``${NAME.id}`` is filled in once that step has run."""
    if isinstance(value, str):
        if value.startswith(STEP):
            name, _, path = value[len(STEP) :].partition("/")
            return f"clearml-artifact:${{{name}.id}}/outputs" + (f"/{path}" if path else "")
        if value.startswith(MODEL):
            return f"clearml-model:${{{value[len(MODEL) :]}.models.output.0.id}}"
        return value
    if isinstance(value, Mapping):
        return {key: wired(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [wired(inner) for inner in value]
    return value


def steps_named(value: Any) -> set[str]:
    """Names of the steps that ``value`` takes something from."""
    found = set()
    for text in references.strings(value):
        for scheme in (STEP, MODEL):
            if text.startswith(scheme):
                found.add(text[len(scheme) :].partition("/")[0])
    return found


def _inputs_of(declared: Workload | None) -> Mapping[str, str]:
    return {} if declared is None or declared.command is None else declared.command.inputs


class _Reader(ScenarioFields):
    """Reads one document; every method answers a checked part of it."""

    def __init__(
        self,
        file: str,
        text: str,
        stacks: Collection[str],
        default_stack: str,
        queues: dict[str, str],
        workloads: Mapping[str, Workload],
        why_not: Callable[[str], str | None],
        unread: str,
    ) -> None:
        super().__init__(file, toml_tables.parse(text, file))
        self.workloads = workloads
        self.why_not = why_not
        self.unread = unread
        self.stacks = stacks
        self.default_stack = default_stack
        self.queues = queues

    def pipeline(self) -> Pipeline:
        top = self.document
        self.keys(top, "", ["name", "title", "controller_queue", "queue", "data", "steps"])
        name = self.name(self.text(top, "", "name"), "name")
        if len(name) < 3:
            raise self.bad("name", f"is {name!r}", "three characters at least")
        data = {n: self.sources(n, t) for n, t in self.tables("data").items()}
        queue = self.text(top, "", "queue", DEFAULT_QUEUE)
        found = {n: self.step(n, t, data, queue) for n, t in self.tables("steps").items()}
        if not found:
            expected = "at least one [steps.NAME] with a key workload or command"
            raise self.bad("steps", "is missing", expected)
        for asked in self.queues:
            if asked not in found:
                raise BadInputError(
                    f"--queue: there is no step {asked!r}; expected {self.one_of(asked, found)}"
                )
        for step in found.values():
            for needed in step.needs:
                if needed not in found or needed == step.name:
                    raise self.bad(
                        f"steps.{step.name}",
                        f"takes something from {needed!r}",
                        self.one_of(needed, [n for n in found if n != step.name]),
                    )
        return Pipeline(
            name=name,
            title=self.text(top, "", "title", name),
            steps=self.in_order(found),
            controller_queue=self.text(top, "", "controller_queue", CONTROLLER_QUEUE),
        )

    def step(self, name: str, table: dict[str, Any], data: Mapping[str, Any], queue: str) -> Step:
        where = f"steps.{name}"
        if not _STEP_NAME.fullmatch(name) or name in _RESERVED:
            raise self.bad(
                where,
                f"is named {name!r}",
                "3 to 40 letters, digits, _ and -, a letter first, and not 'pipeline'",
            )
        workload, declared, given = self.workload(name, table, where, data)
        stack = self.text(table, where, "stack", self.default_stack)
        if stack not in self.stacks:
            raise self.bad(f"{where}.stack", f"is {stack!r}", self.one_of(stack, self.stacks))
        after = self.texts(table, where, "after", expected="a list of steps") or ()
        return Step(
            name=name,
            workload=workload,
            queue=self.queues.get(name) or self.text(table, where, "queue", queue),
            stack=stack,
            parameters=given,
            needs=tuple(sorted({*after, *steps_named(given), *steps_named(_inputs_of(declared))})),
            cores=self.positive(table, where, "cores", None),
            memory_bytes=self.size(table["memory"], f"{where}.memory") if "memory" in table else None,
            threads=self.whole(table, where, "threads", 1, low=1, high=1024) if "threads" in table else None,
            time_limit_seconds=self.positive(table, where, "time_limit_seconds", None),
            declared=declared,
        )

    def workload(
        self, name: str, table: dict[str, Any], where: str, data: Mapping[str, Any]
    ) -> tuple[str, Workload | None, dict[str, Any]]:
        """What a step runs, its declaration where that is a command, and its parameters."""
        declared: Workload | None
        if command_tables.is_command(table):
            workload = name
            given, declared = self.command(name, table, where, _STEP_KEYS)
        else:
            self.keys(table, where, ["workload", "parameters", "inputs", *_STEP_KEYS, *command_tables.KINDS])
            workload = self.text(table, where, "workload")
            self.runnable(workload, f"{where}.workload", self.workloads, self.why_not, self.unread)
            given = self.parameters(table, where)
            declared = self.declared_command(table, where, self.workloads.get(workload))
        given = references.expanded(given, data)
        taken = declared or self.workloads.get(workload)
        self.workload_parameters(taken, given, given, f"{where}.parameters", data)
        if declared is not None:
            self.goes_to_a_queue(declared, where)
            defaults = {parameter.name: parameter.default for parameter in declared.parameters}
            command_tables.checked(self, where, declared, {**defaults, **given})
        return workload, declared, given

    def goes_to_a_queue(self, declared: Workload, where: str) -> None:
        """Refuse a command that only this machine, or only a scenario, can run."""
        reason = code_folders.why_not_elsewhere(declared.command)
        if reason is not None:
            raise BadInputError(f"{self.file}: {where}: {reason}")
        for name, text in _inputs_of(declared).items():
            if text.startswith(_NO_INPUTS):
                said = "a path, step:NAME/FILE, model:NAME, dataset:SET/FILE or clearml-dataset:..."
                raise self.bad(f"{where}.inputs.{name}", f"is {text!r}", said)

    def in_order(self, found: dict[str, Step]) -> tuple[Step, ...]:
        """Steps so that each stands behind those it needs."""
        ordered: dict[str, Step] = {}
        while len(ordered) < len(found):
            ready = [s for s in found.values() if s.name not in ordered and set(s.needs) <= set(ordered)]
            if not ready:
                circle = ", ".join(n for n in found if n not in ordered)
                raise self.bad(
                    "steps", f"holds steps that wait for each other ({circle})", "an order that ends"
                )
            ordered.update((s.name, s) for s in ready)
        return tuple(ordered.values())
