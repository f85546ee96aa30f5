"""``stackyard run | compare``: a command of one's own, measured; two of them, compared.

They stand at the top of the command line, so this file is always loaded: what it needs is imported when a command runs.
One run at a terminal is started at once, without the rooms that a matrix needs.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import math
import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stackyard.cli.light import LightCommand
from stackyard.errors import BadInputError, NotRunnableError

if TYPE_CHECKING:
    from stackyard_task.records import StackPin
    from stackyard_task.workloads import Workload

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
#: Commands that one comparison takes.
MOST_COMPARED = 8
_TITLE_LETTERS = 100
#: How a parameter of a scenario begins that names something else; the words compared are parameters.
_REFERENCES = ("data:", "prepared:", "dataset:")
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
    app.command(context_settings=words_last)(compare)


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
    asked = _Asked(
        stack, cores, memory, requirements, out, repeats or 1, warm_up_runs, metric or [], time_limit_seconds
    )
    if repeats is not None or metric or warm_up_runs:
        _repeated([words], asked, hook=not no_hook, as_json=as_json)
        return
    from stackyard.launch import here
    from stackyard.reports import summary
    from stackyard_task import records

    closed = here.hold_closed()
    place, python = _placed(words, asked, hook=not no_hook)
    record = here.run(place, python, Path(records.__file__).parent.parent, closed)
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
    """Run commands in turn, measured, and say whether they differ: different, parity or undecided."""
    asked = _Asked(
        stack, cores, memory, requirements, out, repeats, warm_up_runs, metric or [], time_limit_seconds
    )
    _repeated(_parted(words), asked, hook=not no_hook, as_json=as_json)


@dataclass(frozen=True)
class _Asked:
    """What the runs of one or several commands have in common, as typed."""

    stack: str | None
    cores: float | None
    memory: str | None
    requirements: Path | None
    out: Path | None
    repeats: int
    warm_up_runs: int
    metrics: list[str]
    time_limit_seconds: float | None

    def __post_init__(self) -> None:
        """Refuse what is no number that a record could hold.

        Raises:
            BadInputError: it is such a value.
        """
        for option, value in (("--cores", self.cores), ("--time-limit-seconds", self.time_limit_seconds)):
            if value is not None and not math.isfinite(value):
                raise BadInputError(
                    f"{option} {value}: expected a finite number; without the option there is no limit"
                )


def _repeated(given: list[list[str]], asked: _Asked, *, hook: bool, as_json: bool) -> None:
    """Write the commands as a scenario, and run it as one: the file that is left in the run folder can be edited.

    Raises:
        BadInputError: something typed cannot be used.
        StackyardError: as of a scenario.
    """
    from stackyard.cli.matrix import Matrix
    from stackyard.settings import Settings

    _refuse_without_stack(asked)
    names = [_name_of(words) for words in given]
    name = "-vs-".join(dict.fromkeys(names))[:_NAME_LETTERS]
    folder = _here()
    text = scenario_text(name, given, names, asked, folder=folder, hook=hook)
    matrix = Matrix(text, "the command line", folder, Settings.from_environment())
    place = _taken(asked.out, name)
    try:
        again = f"stackyard scenario run {shlex.quote(str(place / 'scenario.toml'))}"
        matrix.run(place, again=again, as_json=as_json)
    finally:
        with contextlib.suppress(OSError):  # what was refused leaves no empty folder
            place.rmdir()


def scenario_text(
    name: str, given: list[list[str]], names: list[str], asked: _Asked, *, folder: Path, hook: bool
) -> str:
    """The scenario file that compares these commands, or repeats one.

    Args:
        name: of the scenario.
        given: the words of each command.
        names: what to call each.
        asked: what their runs have in common.
        folder: where they work.
        hook: whether the start-up hook of the stack's Python tells what was loaded.
    """
    value = _toml
    lines = [
        f"name = {value(name)}",
        f"title = {value(' against '.join(map(shlex.join, given))[:_TITLE_LETTERS])}",
    ]
    lines += [f"repeats = {asked.repeats}", f"warm_up_runs = {asked.warm_up_runs}"]
    if asked.time_limit_seconds is not None:
        lines.append(f"time_limit_seconds = {asked.time_limit_seconds}")
    lines += ["", "[axes]"]
    if asked.stack is not None:
        lines.append(f"stack = [{value(asked.stack)}]")
    several = len(given) > 1
    labels = [f"{chr(ord('a') + index)}-{label}" for index, label in enumerate(names)]
    if several:
        lines.append(f"command = [{', '.join(map(value, labels))}]")
    if asked.cores is not None or asked.memory is not None:
        lines += ["", "[hardware.asked]"]
        lines += [f"cores = {asked.cores}"] if asked.cores is not None else []
        lines += [f"memory = {value(asked.memory)}"] if asked.memory is not None else []
    words = ["{words}"] if several else [_verbatim(word) for word in given[0]]
    lines += ["", f"[workloads.{value(name if several else names[0])}]"]
    lines += [f"command = [{', '.join(map(value, words))}]", f"folder = {value(str(folder))}"]
    lines += [] if hook else ["hook = false"]
    if asked.requirements is not None:
        lines.append(f"requirements = {value(str(asked.requirements.absolute()))}")
    if asked.metrics:
        found = dict(_pair("--metric", metric) for metric in asked.metrics)
        lines.append(f"metrics = {{ {', '.join(f'{value(k)} = {value(v)}' for k, v in found.items())} }}")
    for word in (word for words in given for word in words if several and word.startswith(_REFERENCES)):
        raise BadInputError(
            f"{word[:200]!r} would be taken for a reference of a scenario; put the command into a script"
        )
    for label, words in zip(labels, given, strict=True) if several else ():
        lines += [
            "",
            f"[choices.command.{value(label)}.parameters]",
            f"words = [{', '.join(map(value, words))}]",
        ]
    return "\n".join(lines) + "\n"


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise BadInputError(
            f"{option} {text}: expected NAME=SOURCE, such as loss=line:loss=(?P<value>[0-9.]+)"
        )
    return name, value


def _parted(words: list[str]) -> list[list[str]]:
    """The commands between ``--vs --``.

    Raises:
        BadInputError: there are fewer than two.
    """
    found: list[list[str]] = [[]]
    left = list(words)
    while left:
        if left[:2] == ["--vs", "--"]:
            found.append([])
            del left[:2]
        else:
            found[-1].append(left.pop(0))
    if len(found) < 2 or not all(found):
        raise BadInputError("expected two commands: stackyard compare -- python a.py --vs -- python b.py")
    if len(found) > MOST_COMPARED:
        raise BadInputError(
            f"{len(found)} commands are more than the {MOST_COMPARED} that one comparison takes"
        )
    return found


def _verbatim(word: str) -> str:
    """A word in which no brace is a placeholder's."""
    from stackyard_task import commands

    return commands.verbatim(word)


def _toml(text: str) -> str:
    """A text as TOML has it, whatever it holds.

    Raises:
        BadInputError: it is not UTF-8.
    """
    _refuse_bytes(text)
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _placed(words: list[str], asked: _Asked, *, hook: bool) -> tuple[Path, str]:
    """The new folder of one run here, with its ``task.json``, and the Python of its supervisor.

    Raises:
        BadInputError: an option has a value that is not allowed, or the folder is not free.
        NotRunnableError: the stack is not built here.
    """
    from stackyard.cli.options import measure
    from stackyard.launch import here
    from stackyard.toml_tables import Fields
    from stackyard.workloads import repository
    from stackyard_task import records
    from stackyard_task.commands import Command
    from stackyard_task.records import Code, Limits, TaskSpec
    from stackyard_task.workloads import Workload

    for word in words:
        _refuse_bytes(word)
    name, folder = _name_of(words), _here()
    method = measure()
    memory = None if asked.memory is None else Fields("stackyard run", {}).size(asked.memory, "--memory")
    environment: dict[str, str] = {}
    pin: StackPin | None = None
    python = sys.executable
    if asked.stack != NO_STACK:
        pin, environment, python = _stack(asked.stack, asked.requirements)
    _refuse_without_stack(asked)
    command = Command(words=tuple(map(_verbatim, words)), folder=str(folder), hook=hook)
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
    from stackyard.settings import Settings
    from stackyard.stacks import hook

    defined = stacks.load()
    name = name or stacks.DEFAULT
    if name not in defined:
        raise BadInputError(
            f"no stack is named {name!r}; there are: {', '.join([*sorted(defined), NO_STACK])}"
        )
    settings = Settings.from_environment()
    python = stacks.python_of(defined[name], settings)
    if python is None:
        raise NotRunnableError(
            f"stack {name} is not built; build it: stackyard stack build {name}, "
            f"or run on your own programs: --stack {NO_STACK}"
        )
    stack = defined[name]
    if requirements is not None:
        from stackyard.cli.requirements import stack_with

        stack = stack_with(
            stack, requirements, settings, lambda line: typer.echo(f"stackyard: {line}", err=True)
        )
        python = stacks.build(stack, settings)
    hook.ensure(python)
    return stack.pin, {**stack.environment, **stack.tunables}, str(python)


def declared(words: list[str], *, code: str) -> Workload:
    """A command typed at a terminal as a workload that works in a copy of a folder.

    Raises:
        BadInputError: there are no words.
    """
    from stackyard_task.commands import Command
    from stackyard_task.workloads import Workload

    return Workload(_name_of(words), "", "", command=Command(words=tuple(map(_verbatim, words)), code=code))


def _name_of(words: list[str]) -> str:
    """What a command's runs are named by: its program, or the script that Python is given."""
    if not words:
        raise BadInputError(
            "there is no command; write it behind --, such as: stackyard run -- python train.py"
        )
    word = Path(words[0]).name
    if re.fullmatch(r"python[0-9.]*", word):
        options = [w for w in words[1:] if w in ("-c", "-m") or not w.startswith("-")]
        if options[:1] == ["-m"]:
            word = (options[1:] or [word])[0]
        elif options and options[0] != "-c":
            word = Path(options[0]).name
    return _NAME.sub("_", word.removesuffix(".py")).strip("_.-")[:_NAME_LETTERS] or "command"


def _refuse_without_stack(asked: _Asked) -> None:
    """Refuse packages that have nothing to come on top of.

    Raises:
        BadInputError: there is no stack.
    """
    if asked.requirements is not None and asked.stack == NO_STACK:
        raise BadInputError("--requirements come on top of a stack; leave --stack none away, or name one")


def _here() -> Path:
    """The folder that the command works in.

    Raises:
        BadInputError: it is gone, or its name is not UTF-8.
    """
    try:
        folder = os.getcwd()
    except OSError as error:
        raise BadInputError("the folder that you are in is gone; change into one that is there") from error
    _refuse_bytes(folder)
    return Path(folder)


def _refuse_bytes(text: str) -> None:
    """Refuse a word of the shell whose bytes are no UTF-8.

    Raises:
        BadInputError: it is such a word.
    """
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise BadInputError(f"{text[:200]!r} is not UTF-8 text, which a record cannot hold")


def _taken(out: Path | None, name: str) -> Path:
    """The run folder, made, and empty: of a name of our own the next that nobody has.

    Raises:
        BadInputError: something is there, or it cannot be made.
    """
    place = _stamped(name) if out is None else out
    _refuse_bytes(str(place))
    try:
        if out is not None:
            if place.exists() and (not place.is_dir() or any(place.iterdir())):
                raise BadInputError(f"{place} is not an empty folder; choose another --out")
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


def _stamped(name: str) -> Path:
    return Path("runs") / f"{name}-{datetime.datetime.now().astimezone():%Y%m%d-%H%M%S}"
