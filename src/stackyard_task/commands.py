"""A command as a workload: the words that are executed, where its parameters go, what it reads and how it reports.

The one place that makes a command's words. Pure: our side checks a file with it before anything starts, and the task's
side makes the words with it where the run happens. Standard library only.

In a word ``{NAME}`` stands for a parameter, ``{outputs}`` for the folder whose files are kept, ``{inputs.NAME}`` for an
input, ``{parameters_file}`` for a file of all parameters and ``{threads}`` for the number of threads. What else
stands in braces stays, such as JSON or a shell's ``${HOME}``. Where a text has ``{{``, each ``{{`` and ``}}`` in it is
one brace; ``verbatim`` writes a word so.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Set, Tuple

#: How parameters are appended that no placeholder names: ``--key value``; ``key=value``; ``-p key value``.
STYLES = ("gnu", "hydra", "papermill")
#: What the file of ``{parameters_file}`` may hold.
FORMATS = ("json", "yaml")
#: Placeholders with a meaning of their own; no parameter may have such a name.
OUTPUTS, PARAMETERS_FILE, THREADS = "outputs", "parameters_file", "threads"
INPUT = "inputs."
RESERVED = (OUTPUTS, PARAMETERS_FILE, THREADS, "inputs")
#: Words of a command, and letters of all together: what the kernel takes is 2 MiB, the environment included.
MOST_WORDS, MOST_LETTERS = 100_000, 2 << 20

_PLACEHOLDER = re.compile(r"\{\{|\}\}|(?<!\$)\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)?)\}")
#: What hydra takes in a value without quotes.
_HYDRA_PLAIN = re.compile(r"[A-Za-z0-9_./@+-]+(?:[ ]+[A-Za-z0-9_./@+-]+)*")
#: A backslash means itself in hydra's quotes, but before a quote.
_BEFORE_QUOTE = re.compile(r"(\\*)('|\Z)")
#: A number in exponents that YAML 1.1 would read as a text, for it has no point.
_POINTLESS = re.compile(r"(-?\d+)(e[+-]\d+)")


class CommandError(ValueError):
    """A command cannot be made into words; the message is one sentence."""


@dataclass(frozen=True)
class Command:
    """What a command workload executes and takes, and how it reports."""

    #: With placeholders. The first is looked for on the PATH, where the stack's programs come first.
    words: Tuple[str, ...]
    #: One of STYLES; ``None``: parameters go where placeholders name them, and nowhere else.
    arguments: Optional[str] = None
    #: Variables of the command, with placeholders.
    environment: Dict[str, str] = field(default_factory=dict)
    #: One of FORMATS.
    parameters_format: str = "json"
    #: Name -> what is to be there before the clock runs: a path, or a reference.
    inputs: Dict[str, str] = field(default_factory=dict)
    #: Name of a result -> where the command says it, as ``metrics`` reads it.
    metrics: Dict[str, str] = field(default_factory=dict)
    #: The folder that travels, and that the command works in a copy of; ``None``: an empty folder.
    code: Optional[str] = None
    #: The folder it works in itself, with the environment of whoever starts it, on this machine; ``None``: a copy of
    #: ``code``, with an environment made from nothing.
    folder: Optional[str] = None
    #: A file of packages that come on top of the stack; ``None``: none.
    requirements: Optional[str] = None
    #: Whether the start-up hook of the stack's Python tells what was loaded.
    hook: bool = True


@dataclass(frozen=True)
class Places:
    """What a command's placeholders stand for in one run."""

    outputs: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    parameters_file: Optional[str] = None
    threads: Optional[int] = None


def placeholders(command: Command) -> Set[str]:
    """The names of all placeholders in a command's words and variables."""
    return {name for text in _texts(command) for name in _names(text)}


def check(command: Command, parameters: Mapping[str, Any]) -> None:
    """See that every placeholder is filled, every parameter and input is used, and each value can be where it goes.

    Raises:
        CommandError: with the first that is not.
    """
    used = placeholders(command)
    for name in sorted(used):
        if name.startswith(INPUT):
            if name[len(INPUT) :] not in command.inputs:
                raise CommandError(
                    f"{{{name}}} names no input; {_have('inputs', command.inputs)}, and {{{{ stands for a brace"
                )
        elif name not in RESERVED and name not in parameters:
            raise CommandError(
                f"nothing fills {{{name}}}; {_have('parameters', parameters)}, and {{{{ stands for a brace"
            )
        elif name == "inputs":
            raise CommandError("{inputs} names no input; write {inputs.NAME}")
    for name in parameters:
        if name in RESERVED:
            raise CommandError(f"a parameter cannot be named {name!r}, which is a placeholder of its own")
        if command.arguments is None and PARAMETERS_FILE not in used and name not in used:
            write = f"write {{{name}}} in a word or a variable"
            if not _PLACEHOLDER.fullmatch(f"{{{name}}}"):
                write = (
                    "no placeholder can have its name, which takes letters, digits and _; give it such a one"
                )
            raise CommandError(
                f"parameter {name!r} goes nowhere: {write}, "
                f'or say arguments = "{STYLES[0]}" so that --{name} VALUE is appended'
            )
    for name in command.inputs:
        if INPUT + name not in used:
            raise CommandError(
                f"input {name!r} goes nowhere: write {{{INPUT}{name}}} in a word or a variable"
            )
    places = Places("", dict.fromkeys(command.inputs, ""), "", 1)
    _made(command, parameters, places)
    variables(command, parameters, places)


def words(command: Command, parameters: Mapping[str, Any], places: Places) -> List[str]:
    """The words to execute: placeholders filled, then the parameters that none of them names, in the chosen style.

    A word that is one placeholder and nothing else becomes as many words as its value has items, where that is a list.

    Raises:
        CommandError: a placeholder has nothing to stand for, or a value cannot be a word.
    """
    made = _made(command, parameters, places)
    if not made or not made[0]:
        raise CommandError("the command has no first word: there is nothing to execute")
    return made


def _made(command: Command, parameters: Mapping[str, Any], places: Places) -> List[str]:
    made: List[str] = []
    for word in command.words:
        whole = _PLACEHOLDER.fullmatch(word)
        value = parameters.get(whole[1]) if whole and whole[1] else None
        made += (
            [_text(whole[1] if whole else "", item) for item in value]
            if isinstance(value, list)
            else [_filled(word, parameters, places)]
        )
    used = placeholders(command)
    if command.arguments is not None:
        for name, value in parameters.items():
            if name not in used and value is not None:
                made += _appended(command.arguments, name, value)
    if len(made) > MOST_WORDS or sum(map(len, made)) > MOST_LETTERS:
        raise CommandError(f"the command has more than {MOST_WORDS} words or {MOST_LETTERS} letters")
    if any("\0" in word for word in made):
        raise CommandError("a word of the command holds NUL, which no program can be given")
    return made


def variables(command: Command, parameters: Mapping[str, Any], places: Places) -> Dict[str, str]:
    """The command's own variables, placeholders filled.

    Raises:
        CommandError: a placeholder has nothing to stand for, or a value cannot be a text.
    """
    found = {name: _filled(text, parameters, places) for name, text in command.environment.items()}
    for name, text in found.items():
        if "\0" in text:
            raise CommandError(f"variable {name} holds NUL, which no program can be given")
    return found


def parameters_text(command: Command, parameters: Mapping[str, Any]) -> str:
    """The content of the file that ``{parameters_file}`` names: JSON, or the same as YAML reads it.

    A parameter without a value is left out, as it is from appended ones: a script has its own default then.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    if command.parameters_format == "json":
        return json.dumps(given, indent=1) + "\n"
    return "".join(f"{_yaml(name)}: {_yaml(value)}\n" for name, value in given.items()) or "{}\n"


def verbatim(word: str) -> str:
    """A word of a command that is ``word`` itself, whatever braces it has."""
    return word.replace("{", "{{").replace("}", "}}") if "{" in word else word


def needs_file(command: Command) -> bool:
    """Whether a command is told its parameters by a file."""
    return PARAMETERS_FILE in placeholders(command)


def _texts(command: Command) -> Iterator[str]:
    yield from command.words
    yield from command.environment.values()


def _names(text: str) -> Iterator[str]:
    return (found[1] for found in _PLACEHOLDER.finditer(text) if found[1])


def _have(what: str, names: Mapping[str, Any]) -> str:
    return f"{what}: {', '.join(sorted(names))}" if names else f"there are no {what}"


def _filled(text: str, parameters: Mapping[str, Any], places: Places) -> str:
    def put(found: re.Match[str]) -> str:
        name = found[1]
        if not name:  # the end of nested JSON is none of two that were doubled
            return found[0][0] if "{{" in text else found[0]
        if name.startswith(INPUT):
            value: Any = places.inputs.get(name[len(INPUT) :])
        elif name in RESERVED:
            value = getattr(places, name, None)
        else:
            value = parameters.get(name)
            if value is None and name in parameters:
                return ""
        if value is None:
            raise CommandError(f"nothing fills {{{name}}}")
        return _text(name, value)

    return _PLACEHOLDER.sub(put, text)


def _text(name: str, value: Any) -> str:
    """A value as a word has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise CommandError(
        f"{name} is a {'table' if isinstance(value, dict) else 'list'}, which no part of a word can be; "
        "pass it by {parameters_file}"
        + ("" if isinstance(value, dict) else ", or make {NAME} a word of its own")
    )


def _appended(style: str, name: str, value: Any) -> List[str]:
    if style == "hydra":
        return [f"{name}={_hydra(value)}"]
    if style == "papermill":
        if isinstance(value, (dict, list)):
            return ["-y", json.dumps({name: value})]
        return [
            "-r" if isinstance(value, str) else "-p",
            name,
            value if isinstance(value, str) else str(value),
        ]
    option = f"--{name}" if len(name) > 1 else f"-{name}"
    if isinstance(value, bool):
        return [option] if value else []
    if isinstance(value, list):
        return [option, *(_text(name, item) for item in value)]
    text = _text(name, value)
    # what begins with a dash would be taken for an option
    return [f"{option}={text}"] if text.startswith("-") and len(name) > 1 else [option, text]


def _hydra(value: Any) -> str:
    """A value in the grammar of hydra's overrides (hydra.cc, "Extended Override syntax")."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ",".join(_hydra(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_hydra(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        if _HYDRA_PLAIN.fullmatch(value) and not _means_something_else(value):
            return value
        return "'" + _BEFORE_QUOTE.sub(lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value) + "'"
    return str(value)


def _means_something_else(text: str) -> bool:
    """Whether a text without quotes would be taken for a number, a flag or nothing."""
    if text.lower() in ("null", "true", "false", "nan", "inf", "-inf"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def _yaml(value: Any) -> str:
    """JSON that YAML 1.1 reads alike: there a number such as 1e-05 is a text, for it has no point.

    Nor has it JSON's way to write a letter beyond U+FFFF as two.
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_yaml(str(key))}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, float) and math.isfinite(value):
        return _POINTLESS.sub(r"\1.0\2", repr(value)) if "." not in repr(value) else repr(value)
    if isinstance(value, str):
        return (
            '"' + "".join(f"\\U{ord(c):08x}" if ord(c) > 0xFFFF else json.dumps(c)[1:-1] for c in value) + '"'
        )
    return json.dumps(value)
