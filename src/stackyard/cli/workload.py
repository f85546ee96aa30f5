"""``stackyard workload list | run``: what can be run, and one measured run of it by hand."""

from __future__ import annotations

import json
import shlex
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from stackyard import stacks, workloads
from stackyard.cli import progress, requirements
from stackyard.cli.options import Json
from stackyard.errors import BadInputError, Interrupted, NotRunnableError, RunsFailedError, RunsStoppedError
from stackyard.launch.deployment import Premises
from stackyard.launch.retries import RetryPolicy
from stackyard.machine import data as data_sets
from stackyard.machine.hardware_spec import HardwareSpec
from stackyard.matrix import site
from stackyard.matrix.attempt import Attempt, Conditions
from stackyard.matrix.estimate import Estimate
from stackyard.matrix.runs import RunFolder
from stackyard.matrix.stop import Stop
from stackyard.scenarios.references import DATASET
from stackyard.settings import Settings
from stackyard.workloads import Catalogue, code_folders, folder
from stackyard.workloads.folder import Folder
from stackyard_task import records
from stackyard_task.records import Limits, RecordError, TaskSpec, parse
from stackyard_task.workloads import Parameter, ParameterError, Workload, as_text, checked, from_text

app = typer.Typer(
    help="What can be run: the declared workloads, and one measured run by hand.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command("list")
def list_command(as_json: Json = False) -> None:
    """Show the declared workloads, those of ./workloads.toml too, and the parameters each takes."""
    catalogue = workloads.load(Path.cwd())
    declared = catalogue.declared
    for package, why in catalogue.faults.items():
        typer.echo(f"package {package} cannot be used: {why}", err=True)
    if as_json:
        rows = [
            {
                "name": workload.name,
                "help": workload.help,
                "entry": workload.entry or None,
                "command": None if workload.command is None else list(workload.command.words),
                "inputs": {} if workload.command is None else workload.command.inputs,
                "parameters": {
                    parameter.name: {
                        "kind": parameter.kind,
                        "section": parameter.section,
                        "default": parameter.default,
                        "help": parameter.description,
                    }
                    for parameter in workload.parameters
                },
            }
            for workload in declared.values()
        ]
        typer.echo(json.dumps({"workloads": rows}, indent=1))
        return
    for workload in declared.values():
        typer.echo(f"{workload.name}  {workload.help}")
        if workload.command is not None:
            typer.echo(f"  command: {shlex.join(workload.command.words)}")
            for name, text in workload.command.inputs.items():
                typer.echo(f"  inputs.{name}={text}")
        for parameter in workload.parameters:
            typer.echo(f"  {parameter.name}={as_text(parameter.default)}  {parameter.description}")


@app.command("run")
def run_command(
    name: Annotated[
        str, typer.Argument(metavar="WORKLOAD", help="A declared workload, or FILE.py:FUNCTION of your own.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the record and the outputs.")],
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A parameter; data as JSON or as a JSON file; repeatable."
        ),
    ] = None,
    stack: Annotated[
        str, typer.Option("--stack", metavar="NAME", help="The stack to run on.")
    ] = stacks.DEFAULT,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", metavar="NAME=PATH", help="What a command reads instead of its own input; repeatable."
        ),
    ] = None,
    cores: Annotated[
        float | None, typer.Option("--cores", min=0.01, help="Greatest CPU use in cores, such as 0.5.")
    ] = None,
    memory_bytes: Annotated[
        int | None, typer.Option("--memory-bytes", min=1, help="Greatest memory use in bytes.")
    ] = None,
    time_limit_seconds: Annotated[
        float | None, typer.Option("--time-limit-seconds", min=0.001, help="Longest wall time.")
    ] = None,
) -> None:
    """Make one measured run on this machine, without a server, and say where its record lies."""
    settings, defined = Settings.from_environment(), stacks.load()
    if stack not in defined:
        raise BadInputError(f"no stack is named {stack!r}; there are: {', '.join(sorted(defined))}")
    catalogue = workloads.load(Path.cwd())
    declared, parameters = _asked(catalogue, name, values or [])
    command = _Command.of(declared, inputs or [])
    _check_free(out)
    here = site.here(Premises.here(settings, defined), catalogue.declared)
    deployment = here.deployment(here.default_deployment)
    hardware = HardwareSpec("asked for", cores, memory_bytes)
    reason = deployment.why_not(stack, hardware, 1)
    if reason is not None:
        raise NotRunnableError(reason)
    what = None if command.declared is None else command.declared.command
    say = Console(stderr=True, highlight=False).print
    spec = requirements.stack_for(what, defined[stack], Path.cwd(), settings, say)
    defined[spec.name], stack = spec, spec.name
    code_folder, code = catalogue.taken(settings.home, [name])
    own = command.folder(out, settings.home)
    environment, tunables = here.environment_of(stack)
    task = TaskSpec(
        run_id=f"{name}/{uuid.uuid4().hex[:8]}",
        workload=name,
        parameters=parameters,
        declared=command.declared,
        stack=here.pin_of(stack),
        limits=Limits(cores=cores, memory_bytes=memory_bytes),
        environment={**environment, **tunables, **deployment.environment(0)},
        time_limit_seconds=time_limit_seconds,
        code=code_folders.code_with(code, own),
        work=None if own is None else str(folder.archived(own, settings.home)),
        inputs=command.placed(settings.data),
    )
    with progress.watcher(Console(stderr=True)) as watcher, Stop().on_signals() as stop:
        conditions = Conditions(
            RunFolder(out), here.python_of, code_folder, None, watcher, stop, RetryPolicy(), Estimate()
        )
        watcher.started(name, 0, 1)
        try:
            record = Attempt(task, out, deployment, conditions).record()
        except OSError as error:
            raise BadInputError(
                f"{out}: cannot be written ({error.strerror}); choose another --out"
            ) from error
        watcher.ended(name, record, 1, 1, None)
    typer.echo(str(out / records.RECORD_FILE))
    if record.failure is not None:
        if record.failure.kind == "interrupted":
            raise Interrupted(f"stopped; what there is lies in {out}")
        raise RunsFailedError(f"{record.failure.kind}: {record.failure.message}; its output lies in {out}")
    if record.stopped is not None:
        raise RunsStoppedError(f"{record.stopped.message}; its output lies in {out}")


@dataclass(frozen=True)
class _Command:
    """What a run of a declared command needs beside its parameters; nothing, where the workload is a function."""

    declared: Workload | None
    #: What it reads: paths seen from the current folder, as the declaration's are.
    inputs: dict[str, str]

    @classmethod
    def of(cls, declared: Workload | None, typed: list[str]) -> _Command:
        """As typed.

        Raises:
            BadInputError: an input is none of the command's.
        """
        own = {} if declared is None or declared.command is None else declared.command.inputs
        given: dict[str, str] = {}
        for text in typed:
            name, equals, path = text.partition("=")
            if not name or not equals or not path:
                raise BadInputError(f"--input {text}: expected NAME=PATH")
            if name not in own:
                known = ", ".join(own) or "none"
                raise BadInputError(f"--input {name}: the workload reads no such input; it reads: {known}")
            if name in given:
                raise BadInputError(f"--input {name}: given twice")
            given[name] = path
        found = None if declared is None else code_folders.in_place(declared, Path.cwd())
        return cls(found, {**own, **given})

    def folder(self, out: Path, home: Path) -> Folder | None:
        """What travels with it; not what lies in ``out`` and ``home``.

        Raises:
            BadInputError: something in the folder cannot travel.
        """
        if self.declared is None or self.declared.command is None:
            return None
        return code_folders.looked_at(
            self.declared.command, Path.cwd(), self.inputs, self.declared.name, leave_out=[out, home]
        )

    def placed(self, data_folder: Path) -> dict[str, str]:
        """Its inputs as absolute paths.

        Raises:
            BadInputError: one is not there.
        """
        found = {}
        for name, text in self.inputs.items():
            if text.startswith(DATASET):
                found[name] = str(data_sets.resolve(text, data_folder))
            elif not code_folders.is_path(text):
                raise BadInputError(
                    f"input {name} is {text!r}, which a server has; name a file: --input {name}=PATH"
                )
            elif not Path(text).exists():
                raise BadInputError(f"input {name} is {text!r}: there is no {Path(text).absolute()}")
            else:
                found[name] = str(Path(text).absolute())
        return found


def _check_free(out: Path) -> None:
    """See that a run can be made in ``out``: a folder that is not there, or is empty, which goes.

    Raises:
        BadInputError: something is there.
    """
    if (out / records.RECORD_FILE).exists():
        raise BadInputError(f"{out} already holds a run; choose another --out")
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BadInputError(f"{out} is no folder; choose another --out")
    if out.is_dir():
        if any(out.iterdir()):
            raise BadInputError(f"{out} is not empty; choose another --out")
        out.rmdir()


def _asked(catalogue: Catalogue, name: str, values: list[str]) -> tuple[Workload | None, dict[str, Any]]:
    """The workload's declaration, where it has one, and its parameters as typed."""
    reason = catalogue.why_not(name)
    if reason is not None:
        raise BadInputError(f"{name}: {reason}")
    declared = catalogue.declared.get(name)
    known = {} if declared is None else {parameter.name: parameter for parameter in declared.parameters}
    found: dict[str, Any] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not key or not equals:
            raise BadInputError(f"--set {value}: expected NAME=VALUE")
        if any("\ud800" <= letter <= "\udfff" for letter in value):  # bytes of the shell that are no UTF-8
            raise BadInputError(f"--set {key}: is not UTF-8 text")
        if key in found:
            raise BadInputError(f"--set {key}: given twice")
        found[key] = _value(known.get(key), text)
    if declared is None:
        return None, found
    try:
        return declared, checked(declared, found)
    except ParameterError as error:
        raise BadInputError(str(error)) from error


def _value(parameter: Parameter | None, text: str) -> Any:
    """What a typed text means: by its parameter's kind; without one JSON where it reads as JSON, else text."""
    if parameter is None:
        try:
            return parse(text, "")
        except RecordError:
            return text
    if parameter.kind == "data" and not text.lstrip().startswith("{"):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInputError(
                f'--set {parameter.name}: {text!r} is neither JSON ({{"sources": [...]}}) nor a readable file'
            ) from error
    try:
        return from_text(parameter, text)
    except ParameterError as error:
        raise BadInputError(f"--set {parameter.name}: {error}") from error
