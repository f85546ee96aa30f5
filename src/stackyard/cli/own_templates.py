"""Templates of a person's own workloads: those of a scenario file, or of a ``workloads.toml``.

A template of a scenario's workload runs what the first cell of that workload runs: its parameters, further axes laid
over them, its limits, its stack. Everything it reads of this machine travels when it is published. What cannot be a
template is said in a sentence, and the others are published.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackyard import scenarios, stacks, toml_tables, workloads
from stackyard.clearml.pipelines.submission import TEMPLATE
from stackyard.clearml.sending import SHORTEST_NAME, Sender
from stackyard.clearml.tasks import submissions, templates
from stackyard.clearml.tasks.templates import DEFAULT_QUEUE, Origin, Published, Template
from stackyard.cli import requirements
from stackyard.cli.building import sparsely
from stackyard.cli.matrix import Matrix
from stackyard.errors import BadInputError
from stackyard.machine import data
from stackyard.matrix import derived_stacks
from stackyard.matrix.inputs import Inputs
from stackyard.scenarios import References, Scenario
from stackyard.scenarios.references import DATA, PREPARED, strings
from stackyard.scenarios.shape import NO_STACK
from stackyard.settings import Settings
from stackyard.stacks import images
from stackyard.workloads import Catalogue, code_folders, declarations, folder
from stackyard_task.records import Limits, TaskSpec
from stackyard_task.workloads import Workload, entry_of, inferred

#: The queue of templates that need a GPU.
GPU_QUEUE = "gpu"


@dataclass(frozen=True)
class _Own:
    """One workload that is to become a template."""

    name: str
    #: As a snapshot finds its code: a declared name, or a function of the user's own.
    reference: str
    #: ``None``: a function that declares nothing.
    declared: Workload | None
    stack: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    #: Of its scenario: sources by name, and what else its task is told.
    data: Mapping[str, Any] = field(default_factory=dict)
    base: TaskSpec = field(default_factory=lambda: TaskSpec("", ""))
    queue: str = DEFAULT_QUEUE


def publish(
    sender: Sender, settings: Settings, file: Path, stack: str | None, say: Callable[[str], None]
) -> tuple[list[Published], list[str]]:
    """Put the workloads of a file among the templates, or bring them up to date in place.

    Args:
        sender: to whom.
        settings: where Stackyard's home and the data sets are.
        file: a scenario file, or a ``workloads.toml``.
        stack: what they run on; ``None``: as the file says, else the default stack.
        say: told one line at a time, where something takes long.

    Returns:
        Each template; sentences about what cannot be one.

    Raises:
        BadInputError: the file cannot be used, or nothing in it can be a template.
        StackyardError: the server refuses or does not answer.
    """
    beside, catalogue, known = file.parent, workloads.load(file.parent), stacks.load()
    if stack is not None and stack not in known:
        raise submissions.no_stack(stack, known)
    if file.name == declarations.FILE:
        found = list(_of_declarations(file, catalogue, stack or stacks.DEFAULT))
    else:
        text = toml_tables.text_of(file, "give the path of a scenario file or a workloads.toml")
        if "steps" in toml_tables.parse(text, str(file)):
            raise BadInputError(f"{file}: is a pipeline; publish it with: stackyard pipeline publish {file}")
        read = Matrix(text, str(file), beside, settings).scenario
        known |= derived_stacks.built(read, beside, settings, known, sparsely(say))
        found = list(_of_scenario(read, file, catalogue, settings, stack))
    missing = {one.name: why for one in found if (why := _why_not(one)) is not None}
    found = [one for one in found if one.name not in missing]
    sentences = [f"no template of {name}: {why}" for name, why in missing.items()]
    if not found:
        raise BadInputError(f"{file}: nothing in it can be a template" + "".join(f"; {s}" for s in sentences))
    functions = [one.reference for one in found if one.declared is None or one.declared.command is None]
    code_folder, code = catalogue.taken(settings.home, functions)
    place = _Place(file, beside, settings)
    made: list[tuple[Template, Origin]] = []
    for one in found:
        on = requirements.stack_for(
            None if one.declared is None else one.declared.command, known[one.stack], beside, settings, say
        )
        image = images.reference(on, settings, not sender.client.connection.is_local)
        origin = Origin(code_folder, code, on.pin, image)
        made.append((place.template(one, origin), origin))
    return templates.publish(sender, [template for template, _ in made], made[0][1]), sentences


@dataclass(frozen=True)
class _Place:
    """Where a file's names lie."""

    file: Path
    beside: Path
    settings: Settings

    def template(self, one: _Own, origin: Origin) -> Template:
        """A workload with everything that its template needs, as paths of this machine."""
        parameters = self._placed(one, dict(one.parameters))
        declared = one.declared or Workload(one.reference, entry_of(one.reference), "", inferred(parameters))
        command = declared.command
        given = {} if command is None else command.inputs
        own = archive = None
        if command is not None:
            apart = [self.file, self.settings.home]
            own = code_folders.looked_at(command, self.beside, given, one.name, apart)
            archive = None if own is None else str(folder.archived(own, self.settings.home).resolve())
        inputs = self._placed(one, scenarios.of_inputs(given))
        base = dataclasses.replace(
            one.base,
            stack=origin.stack,
            code=code_folders.code_with(origin.code, own),
            work=archive,
            inputs={name: self._there(one, name, said["path"]) for name, said in inputs.items()},
        )
        return Template(one.name, declared, parameters, one.queue, base, origin.image)

    def _placed(self, one: _Own, value: Any) -> Any:
        references = References(
            dataset=lambda reference: str(data.resolve(reference, self.settings.data)),
            prepared=lambda reference: reference,
            beside=lambda path: str(self.beside.resolve() / path) if code_folders.is_path(path) else path,
        )
        return scenarios.resolved(value, one.data, references)

    def _there(self, one: _Own, name: str, path: str) -> str:
        if path.startswith("/") and not Path(path).exists():
            raise BadInputError(f"{self.file}: {one.name}.inputs.{name}: there is no {path}")
        return path


def _why_not(one: _Own) -> str | None:
    """Why a workload cannot be a template, or ``None``."""
    command = None if one.declared is None else one.declared.command
    if len(one.name) < SHORTEST_NAME:
        return f"its name is too short: ClearML wants at least {SHORTEST_NAME} characters"
    if one.name == TEMPLATE:
        return f"the template of a pipeline is called {TEMPLATE!r}; give the workload another name"
    if one.stack == NO_STACK:
        return "without a stack a run finds the programs of this machine only; name one with --stack"
    inputs = {} if command is None else command.inputs
    if any(
        text.startswith(PREPARED) for text in strings([dict(one.parameters), dict(one.data), dict(inputs)])
    ):
        return "it reads what a preparation leaves; a pipeline can do that: stackyard pipeline publish"
    return code_folders.why_not_elsewhere(command)


def _of_declarations(file: Path, catalogue: Catalogue, stack: str) -> Iterator[_Own]:
    for name in declarations.read(file):
        declared = catalogue.declared[name]
        reason = catalogue.why_not(name)
        if reason is not None:
            raise BadInputError(f"{file}: {name}: {reason}")
        if declared.template:
            yield _Own(name, name, declared, stack)


def _of_scenario(
    read: Scenario, file: Path, catalogue: Catalogue, settings: Settings, stack: str | None
) -> Iterator[_Own]:
    there = Inputs(read, file, catalogue.declared, lambda reference: data.resolve(reference, settings.data))
    cells = scenarios.cells(read)
    for name, spec in read.workloads.items():
        cell = next((cell for cell in cells if cell.axes["workload"] == name), None)
        if cell is None:
            continue
        there.refuse_missing([cell], [])
        chosen = scenarios.settings_of(read, cell)
        used = {text.removeprefix(DATA) for text in strings(chosen.parameters) if text.startswith(DATA)}
        yield _Own(
            name,
            spec.workload,
            scenarios.declared_of(chosen) or catalogue.declared.get(spec.workload),
            stack or cell.axes["stack"],
            chosen.parameters,
            {key: read.data[key] for key in read.data if key in used},
            TaskSpec(
                "",
                "",
                scenario=read.name,
                limits=Limits(chosen.hardware.cores, chosen.hardware.memory_bytes),
                threads=chosen.threads,
                environment={**(chosen.tunables or {}), **chosen.environment},
                time_limit_seconds=read.time_limit_seconds,
            ),
            GPU_QUEUE if chosen.hardware.gpus else DEFAULT_QUEUE,
        )
