"""``stackyard run | compare``: a command of one's own, measured; two of them, compared.

They stand at the top of the command line, so this file is always loaded: what it needs is imported when a command runs.
One run at a terminal is started at once, without the rooms that a matrix needs.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib
import itertools
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from stackyard.cli.light import LightCommand
from stackyard.errors import BadInputError, NotRunnableError
from stackyard_server import once

if TYPE_CHECKING:
    from stackyard.cli import typed
    from stackyard_task.records import StackPin

Words = Annotated[
    list[str],
    typer.Argument(metavar="-- COMMAND...", help="Anything that can be executed, with its arguments."),
]
Stack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        metavar="NAME",
        help="Whose programs come first on the PATH, python among them; none: yours as they are. "
        "Default: the default stack.",
    ),
]
Cores = Annotated[
    float | None, typer.Option("--cores", min=0.01, help="Greatest CPU use in cores, such as 0.5.")
]
Memory = Annotated[
    str | None, typer.Option("--memory", metavar="SIZE", help="Greatest memory, such as 500MB or 2GiB.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder of the record; default: runs/<command>-<time>."),
]


WarmUp = Annotated[int, typer.Option("--warm-up-runs", min=0, max=99, help="Runs before that do not count.")]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME=SOURCE",
        help="A figure to take from what the command prints or writes, such as "
        "acc=json:metrics.json#accuracy; repeatable.",
    ),
]
TimeLimit = Annotated[
    float | None, typer.Option("--time-limit-seconds", min=0.001, help="Longest wall time of one run.")
]
NoHook = Annotated[
    bool, typer.Option("--no-hook", help="Leave the stack's Python alone: versions loaded stay unknown.")
]
#: What git may take to say the commit of the folder that a run works in; the run waits for it.
_GIT_SECONDS = 0.5


Requirements = Annotated[
    Path | None,
    typer.Option(
        "--requirements",
        metavar="FILE",
        help="Packages to put on top of the stack: requirements.txt, uv.lock, ...",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Mount the two commands."""
    words_last = {"allow_interspersed_args": False}
    app.command(context_settings=words_last, cls=LightCommand)(run)
    app.command(context_settings=words_last, cls=_Compare)(compare)


class _Compare(TyperCommand):
    """``compare`` of commands, with ``compare tasks`` beside it, which is loaded when it is called.

    Only the first word makes it that: ``compare -- tasks ...`` runs a program of that name, and so does ``--vs``.
    """

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the command that the words call."""
        if args[:1] == ["tasks"] and "--vs" not in args:
            tasks = self.get_command(None, "tasks")
            return tasks.make_context(f"{info_name} tasks", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    #: It does something itself too.
    invoke_without_command = True

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands beside it."""
        return ["tasks"]

    def get_command(self, ctx: Any, name: str) -> Any:
        """One of them."""
        from typer.main import get_command

        found = get_command(importlib.import_module("stackyard.cli.comparing").app)
        once.hold(found, BadInputError)
        return found


def run(
    words: Words,
    stack: Stack = None,
    cores: Cores = None,
    memory: Memory = None,
    requirements: Requirements = None,
    out: Out = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            "--repeats",
            min=1,
            max=999,
            help="Make so many runs and show the statistics; each run's output goes to its folder.",
        ),
    ] = None,
    warm_up_runs: WarmUp = 0,
    metric: Metrics = None,
    time_limit_seconds: TimeLimit = None,
    no_hook: NoHook = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print JSON: of one run its record, on stderr; with --repeats the report, on stdout.",
        ),
    ] = False,
) -> None:
    """Run a command, measured. Its input, output, signals and exit status stay its own; the summary goes to stderr."""
    from stackyard.cli import typed

    asked = typed.Asked(
        stack, cores, memory, requirements, out, repeats or 1, warm_up_runs, metric or [], time_limit_seconds
    )
    if repeats is not None or metric or warm_up_runs:
        _repeated([words], asked, hook=not no_hook, as_json=as_json)
        return
    from stackyard.launch import here
    from stackyard_task import records

    closed = here.hold_closed()
    place, python = _placed(words, asked, hook=not no_hook)
    record = here.run(
        *(place, python, Path(records.__file__).parent.parent, closed),
        meanwhile=lambda: importlib.import_module("stackyard.reports.summary"),
    )
    from stackyard.reports import summary

    if as_json:
        said = json.dumps({"folder": str(place), "record": records.to_json(record)}, indent=1)
    else:
        said = "\n".join(f"stackyard: {line}" for line in summary.lines(record, place))
    with contextlib.suppress(OSError):  # nobody reads it, or the disk is full: the command's status stays
        typer.echo(said, err=True)
    here.leave_as(record)


def compare(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="-- COMMAND... --vs -- COMMAND...",
            help="The commands, the baseline first, with --vs -- between them.",
        ),
    ],
    stack: Stack = None,
    cores: Cores = None,
    memory: Memory = None,
    requirements: Requirements = None,
    out: Out = None,
    repeats: Annotated[
        int, typer.Option("--repeats", min=1, max=999, help="Runs of each command, alternated in blocks.")
    ] = 10,
    warm_up_runs: WarmUp = 1,
    metric: Metrics = None,
    time_limit_seconds: TimeLimit = None,
    no_hook: NoHook = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Run commands in turn, measured, and say whether they differ: different, parity or undecided.

    Tasks that lie on a ClearML server are compared by: stackyard compare tasks.
    """
    from stackyard.cli import typed

    asked = typed.Asked(
        stack, cores, memory, requirements, out, repeats, warm_up_runs, metric or [], time_limit_seconds
    )
    _repeated(typed.parted(words), asked, hook=not no_hook, as_json=as_json)


def _repeated(given: list[list[str]], asked: typed.Asked, *, hook: bool, as_json: bool) -> None:
    """Write the commands as a scenario, and run it as one: the file that is left in the run folder can be edited.

    Raises:
        BadInputError: something typed cannot be used.
        StackyardError: as of a scenario.
    """
    from stackyard.cli import typed
    from stackyard.cli.matrix import Matrix
    from stackyard.settings import Settings

    names = [typed.name_of(words) for words in given]
    name = "-vs-".join(dict.fromkeys(names))[: typed.NAME_LETTERS]
    folder = _here()
    text = typed.scenario_text(name, given, names, asked, folder=folder, hook=hook)
    matrix = Matrix(text, "the command line", folder, Settings.from_environment())
    place = _taken(asked.out, name)
    try:
        matrix.run(place, again=_again(place), as_json=as_json, gives_up=True)
    finally:
        with contextlib.suppress(OSError):  # what was refused leaves no empty folder
            place.rmdir()


def _placed(words: list[str], asked: typed.Asked, *, hook: bool) -> tuple[Path, str]:
    """The new folder of one run here, with its ``task.json``, and the Python of its supervisor.

    Raises:
        BadInputError: an option has a value that is not allowed, or the folder is not free.
        NotRunnableError: the stack is not built here.
    """
    from stackyard.cli import typed
    from stackyard.cli.options import measure
    from stackyard.launch import here
    from stackyard.toml_tables import Fields
    from stackyard.workloads import repository
    from stackyard_task import commands, records
    from stackyard_task.commands import Command
    from stackyard_task.records import Code, Limits, TaskSpec
    from stackyard_task.workloads import Workload

    for word in words:
        typed.refuse_bytes(word)
    name, folder = typed.name_of(words), _here()
    method = measure()
    memory = None if asked.memory is None else Fields("stackyard run", {}).size(asked.memory, "--memory")
    environment: dict[str, str] = {}
    pin: StackPin | None = None
    python = sys.executable
    if asked.stack != typed.NO_STACK:
        pin, environment, python = _stack(asked.stack, asked.requirements)
    command = Command(words=tuple(map(commands.verbatim, words)), folder=str(folder), hook=hook)
    place = _taken(asked.out, name)
    commit, dirty = repository.Git(seconds=_GIT_SECONDS).state(folder)
    spec = TaskSpec(
        run_id=place.name,
        workload=name,
        declared=Workload(name, "", "", command=command),
        stack=pin,
        limits=Limits(asked.cores, memory),
        environment=environment,
        time_limit_seconds=asked.time_limit_seconds,
        code=Code(own_version=commit, own_dirty=dirty),
        measure=method,
    )
    try:
        records.write_json(spec, place / records.TASK_FILE)
    except OSError as error:
        here.undone(place)
        raise BadInputError(f"{place}: cannot be written ({error.strerror}); choose another --out") from error
    return place, python


def _stack(name: str | None, requirements: Path | None) -> tuple[StackPin, dict[str, str], str]:
    """What a stack promises, the variables that it sets, and its Python; with packages on top, built now.

    Raises:
        BadInputError: there is no such stack, or the packages do not go with it.
        NotRunnableError: it is not built, or a package cannot be had.
    """
    from stackyard import stacks
    from stackyard.cli import typed
    from stackyard.settings import Settings
    from stackyard.stacks import environment

    defined = stacks.load()
    name = name or stacks.DEFAULT
    if name not in defined:
        raise BadInputError(
            f"no stack is named {name!r}; there are: {', '.join([*sorted(defined), typed.NO_STACK])}"
        )
    settings = Settings.from_environment()
    python = stacks.python_of(defined[name], settings)
    if python is None:
        raise NotRunnableError(
            f"stack {name} is not built; build it: stackyard stack build {name}, "
            f"or run on your own programs: --stack {typed.NO_STACK}"
        )
    stack = defined[name]
    why = environment.changed(stack, settings)
    if why is not None:
        raise NotRunnableError(f"stack {name}: {why}")
    if requirements is not None:
        from stackyard.cli.requirements import stack_with

        stack = stack_with(
            stack, requirements, settings, lambda line: typer.echo(f"stackyard: {line}", err=True)
        )
        python = stacks.build(stack, settings)
    environment.tend(python)
    return stack.pin, {**stack.environment, **stack.tunables}, str(python)


def _here() -> Path:
    """The folder that the command works in.

    Raises:
        BadInputError: it is gone, or its name is not UTF-8.
    """
    from stackyard.cli import typed

    try:
        folder = os.getcwd()
    except OSError as error:
        raise BadInputError("the folder that you are in is gone; change into one that is there") from error
    typed.refuse_bytes(folder)
    return Path(folder)


def _taken(out: Path | None, name: str) -> Path:
    """The run folder, made, and empty: of a name of our own the next that nobody has.

    Raises:
        BadInputError: something is there, or it cannot be made.
    """
    from stackyard.cli import typed

    place = _stamped(name) if out is None else out
    typed.refuse_bytes(str(place))
    try:
        if out is not None:
            if place.exists() and (not place.is_dir() or any(place.iterdir())):
                raise BadInputError(
                    f"{place} is not an empty folder; {_continuing(place)}choose another --out"
                )
            place.mkdir(parents=True, exist_ok=True)
            return place
        place.parent.mkdir(exist_ok=True)
        for number in itertools.count(1):
            with contextlib.suppress(FileExistsError):
                found = place if number == 1 else place.with_name(f"{place.name}.{number}")
                found.mkdir()
                break
        return found
    except OSError as error:
        raise BadInputError(f"{place}: cannot be made ({error.strerror}); choose another --out") from error


def _again(place: Path) -> str:
    """The command that continues commands that were run more than once, but for ``--out`` and ``--resume``."""
    return f"stackyard scenario run {shlex.quote(str(place / 'scenario.toml'))}"


def _continuing(place: Path) -> str:
    """How what lies in a folder is continued, as the middle of a sentence; empty: it holds nothing of the kind."""
    from stackyard.matrix.runs import RunFolder

    folder = RunFolder(place, _again(place))
    with contextlib.suppress(BadInputError):
        if folder.plan() is not None and (place / "scenario.toml").is_file():
            return f"{folder.continuing()}, or "
    return ""


def _stamped(name: str) -> Path:
    return Path("runs") / f"{name}-{datetime.datetime.now().astimezone():%Y%m%d-%H%M%S}"
