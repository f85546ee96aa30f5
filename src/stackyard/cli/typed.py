"""What is typed behind ``--``: commands in words, what their runs share, and the scenario that compares them."""

from __future__ import annotations

import json
import math
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from stackyard.errors import BadInputError
from stackyard_task import commands
from stackyard_task.commands import Command
from stackyard_task.workloads import Workload

#: The stack that is none: programs as the user's own PATH has them.
NO_STACK = "none"
#: Of a command's first word, what its runs are named by.
_NAME = re.compile(r"[^A-Za-z0-9._+-]+")
NAME_LETTERS = 40
#: Commands that one comparison takes.
MOST_COMPARED = 8
_TITLE_LETTERS = 100
#: How a parameter of a scenario begins that names something else; the words compared are parameters.
_REFERENCES = ("data:", "prepared:", "dataset:")


@dataclass(frozen=True)
class Asked:
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
        """Refuse what is no number that a record could hold, and packages that have nothing to come on top of.

        Raises:
            BadInputError: something is such a value.
        """
        if self.requirements is not None and self.stack == NO_STACK:
            raise BadInputError("--requirements come on top of a stack; leave --stack none away, or name one")
        for option, value in (("--cores", self.cores), ("--time-limit-seconds", self.time_limit_seconds)):
            if value is not None and not math.isfinite(value):
                raise BadInputError(
                    f"{option} {value}: expected a finite number; without the option there is no limit"
                )


def scenario_text(
    name: str, given: list[list[str]], names: list[str], asked: Asked, *, folder: Path, hook: bool
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
    words = ["{words}"] if several else [commands.verbatim(word) for word in given[0]]
    lines += ["", f"[workloads.{value(name if several else names[0])}]"]
    lines += [f"command = [{', '.join(map(value, words))}]", f"folder = {value(str(folder))}"]
    lines += [] if hook else ["hook = false"]
    if asked.requirements is not None:
        lines.append(f"requirements = {value(str(asked.requirements.absolute()))}")
    if asked.metrics:
        pairs = [_pair("--metric", metric) for metric in asked.metrics]
        found = dict(pairs)
        for metric in found:
            if sum(name == metric for name, _ in pairs) > 1:
                raise BadInputError(f"--metric {metric}: given twice")
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


def parted(words: list[str]) -> list[list[str]]:
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


def _toml(text: str) -> str:
    """A text as TOML has it, whatever it holds.

    Raises:
        BadInputError: it is not UTF-8.
    """
    refuse_bytes(text)
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def declared(words: list[str], *, code: str, least: int = 1) -> Workload:
    """A command typed at a terminal as a workload that works in a copy of a folder.

    Args:
        words: the command.
        code: the folder.
        least: letters that its name has at least.

    Raises:
        BadInputError: there are no words.
    """
    return Workload(
        name_of(words, least), "", "", command=Command(words=tuple(map(commands.verbatim, words)), code=code)
    )


def name_of(words: list[str], least: int = 1) -> str:
    """What a command's runs are named by: its program, or the script that Python is given.

    Args:
        words: the command.
        least: letters that the name has at least; where the program has fewer, further words stand behind it.

    Raises:
        BadInputError: there are no words.
    """
    if not words:
        raise BadInputError(
            "there is no command; write it behind --, such as: stackyard run -- python train.py"
        )
    words = _without_env(words)
    word = Path(words[0]).name
    if re.fullmatch(r"python[0-9.]*", word):
        options = [w for w in words[1:] if w in ("-c", "-m") or not w.startswith("-")]
        if options[:1] == ["-m"]:
            word = (options[1:] or [word])[0]
        elif options and options[0] != "-c":
            word = Path(options[0]).name
    name = _letters(word.removesuffix(".py")) or "command"
    further = [part for part in map(_letters, words[1:]) if part]
    while len(name) < least:
        name = f"{name}-{further.pop(0)}" if further else f"command-{name}"
    return name[:NAME_LETTERS]


def _letters(word: str) -> str:
    return _NAME.sub("_", word).strip("_.-")[:NAME_LETTERS]


def _without_env(words: list[str]) -> list[str]:
    """The command that ``env NAME=VALUE...`` starts, where this is such a line."""
    behind = list(words[1:]) if Path(words[0]).name == "env" else []
    while behind and ("=" in behind[0] or behind[0].startswith("-")):
        del behind[: 2 if behind[0] in ("-u", "-C", "-S") else 1]
    return behind or words


def refuse_bytes(text: str) -> None:
    """Refuse a word of the shell whose bytes are no UTF-8.

    Raises:
        BadInputError: it is such a word.
    """
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise BadInputError(f"{text[:200]!r} is not UTF-8 text, which a record cannot hold")
