"""``stackyard run | compare``: a command of one's own, measured; two of them, compared.

They stand at the top of the command line, so this file is always loaded: what it needs is imported when a command runs.
One run at a terminal is started at once, without the rooms that a matrix needs.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stackyard.errors import BadInputError, NotRunnableError

if TYPE_CHECKING:
    from stackyard_task.records import StackPin

#: The stack that is none: programs as the user's own PATH has them.
NO_STACK = "none"
#: Of a command's first word, what its runs are named by.
_NAME = re.compile(r"[^A-Za-z0-9._+-]+")
_NAME_LETTERS = 40

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


def add_to(app: typer.Typer) -> None:
    """Mount the two commands."""
    words_last = {"allow_interspersed_args": False}
    app.command(context_settings=words_last)(run)


def run(
    words: Words,
    stack: Stack = None,
    cores: Cores = None,
    memory: Memory = None,
    out: Out = None,
    no_hook: Annotated[
        bool, typer.Option("--no-hook", help="Leave the stack's Python alone: versions loaded stay unknown.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the record as JSON, on stderr, instead of the summary.")
    ] = False,
) -> None:
    """Run a command, measured: its input, output, signals and exit status stay its own; the summary goes to stderr."""
    from stackyard.launch import here
    from stackyard.reports import summary
    from stackyard.workloads import packages
    from stackyard_task import records

    place, python = _asked(words, stack, cores, memory, out, hook=not no_hook)
    record = here.run(place, python, packages.harness().parent)
    if as_json:
        said = json.dumps({"folder": str(place), "record": records.to_json(record)}, indent=1)
    else:
        said = "\n".join(f"stackyard: {line}" for line in summary.lines(record, place))
    typer.echo(said, err=True)
    here.leave_as(record)


def _asked(
    words: list[str],
    stack: str | None,
    cores: float | None,
    memory: str | None,
    out: Path | None,
    *,
    hook: bool,
) -> tuple[Path, str]:
    """The new folder of one run here, with its ``task.json``, and the Python of its supervisor.

    Raises:
        BadInputError: an option has a value that is not allowed, or the folder is not free.
        NotRunnableError: the stack is not built here.
    """
    from stackyard.toml_tables import Fields
    from stackyard_task import records
    from stackyard_task.commands import Command
    from stackyard_task.records import Limits, TaskSpec
    from stackyard_task.workloads import Workload

    name = _name_of(words)
    limits = Limits(cores, None if memory is None else Fields("stackyard run", {}).size(memory, "--memory"))
    environment: dict[str, str] = {}
    pin: StackPin | None = None
    python = sys.executable
    if stack != NO_STACK:
        pin, environment, python = _stack(stack)
    command = Command(words=tuple(words), folder=os.getcwd(), hook=hook)
    place = _free(
        out or Path("runs") / f"{name}-{datetime.datetime.now().astimezone():%Y%m%d-%H%M%S}",
        made_up=out is None,
    )
    spec = TaskSpec(
        run_id=place.name,
        workload=name,
        declared=Workload(name, "", "", command=command),
        stack=pin,
        limits=limits,
        environment=environment,
        measure=os.environ.get("STACKYARD_MEASURE") or None,
    )
    try:
        place.mkdir(parents=True, exist_ok=True)
        records.write_json(spec, place / records.TASK_FILE)
    except OSError as error:
        raise BadInputError(f"{place}: cannot be written ({error.strerror}); choose another --out") from error
    return place, python


def _stack(name: str | None) -> tuple[StackPin, dict[str, str], str]:
    """What a stack promises, the variables that it sets, and its Python.

    Raises:
        BadInputError: there is no such stack.
        NotRunnableError: it is not built.
    """
    from stackyard import stacks
    from stackyard.settings import Settings

    defined = stacks.load()
    name = name or stacks.DEFAULT
    if name not in defined:
        raise BadInputError(
            f"no stack is named {name!r}; there are: {', '.join([*sorted(defined), NO_STACK])}"
        )
    python = stacks.python_of(defined[name], Settings.from_environment())
    if python is None:
        raise NotRunnableError(
            f"stack {name} is not built; build it: stackyard stack build {name}, "
            f"or run on your own programs: --stack {NO_STACK}"
        )
    return defined[name].pin, {**defined[name].environment, **defined[name].tunables}, str(python)


def _name_of(words: list[str]) -> str:
    """What a command's runs are named by: its program, or the script that Python is given."""
    if not words:
        raise BadInputError(
            "there is no command; write it behind --, such as: stackyard run -- python train.py"
        )
    word = Path(words[0]).name
    if re.fullmatch(r"python[0-9.]*", word):
        word = next((Path(w).name for w in words[1:] if not w.startswith("-")), word)
    return _NAME.sub("_", word.removesuffix(".py")).strip("_.-")[:_NAME_LETTERS] or "command"


def _free(place: Path, *, made_up: bool) -> Path:
    """A folder that is not there, or is empty; of one that we named ourselves, the next that is free.

    Raises:
        BadInputError: something is there.
    """
    if made_up:
        return next(p for n in range(1, 10_000) if not (p := _numbered(place, n)).exists())
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise BadInputError(f"{place} is not an empty folder; choose another --out")
    return place


def _numbered(place: Path, number: int) -> Path:
    return place if number == 1 else place.with_name(f"{place.name}.{number}")
