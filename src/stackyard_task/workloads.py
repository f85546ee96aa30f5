"""The shapes of a workload's declaration: its entry and its typed, described parameters, and their validation.

Pure data: this module knows no workload. Our side reads declarations (``workloads.toml`` beside a package) to check a
scenario before anything starts. A task carries the declaration of its workload (``records.TaskSpec.declared``), so the
task's side finds the function to call, and checks what people typed into a form, without any list of its own.

A workload is what is executed, what it takes, and how it reports. It is declared, a function of the user's own that
declares nothing, or a command (``commands``). The entry of one that is no command is a function
``(parameters, channel, output_folder) -> None`` that reports through ``channel.Channel`` and writes files only below
``output_folder``, a ``pathlib.Path``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from stackyard_task.commands import Command
from stackyard_task.shapes import RecordError, from_json, parse

#: What a parameter may be. "data": {"sources": [...]} as ``readers`` takes it; "model": a model folder; "json": a list
#: or a table of any values.
KINDS = ("integer", "number", "text", "flag", "choice", "data", "model", "json")


#: Beyond it a number is refused; NaN and infinity are, too.
_GREATEST = sys.float_info.max


class ParameterError(ValueError):
    """A parameter is unknown or has a value that is not allowed; the message names both."""


@dataclass(frozen=True)
class Parameter:
    """One typed, described parameter of a workload."""

    name: str
    kind: str
    default: Any
    help: str
    low: Optional[float] = None
    high: Optional[float] = None
    choices: Tuple[str, ...] = ()
    required: bool = False
    #: Under which heading a form shows it, beside those it belongs with.
    section: str = "Parameters"

    @property
    def description(self) -> str:
        """What a form says beside the field: the help, and what may be typed."""
        allowed = []
        if self.choices:
            allowed.append("one of " + ", ".join(self.choices))
        elif self.low is not None and self.high is not None:
            allowed.append(f"{self.low:g} to {self.high:g}")
        elif self.low is not None:
            allowed.append(f"at least {self.low:g}")
        elif self.high is not None:
            allowed.append(f"at most {self.high:g}")
        if self.required:
            allowed.append("needed")
        elif self.default is not None:
            allowed.append(f"default {as_text(self.default)}")
        said = "; ".join(allowed)
        return f"{self.help} ({said})" if allowed and self.help else self.help or said


@dataclass(frozen=True)
class Workload:
    """A workload: where it lives and what it takes."""

    name: str
    #: "package.module:function", imported only in the child; empty where ``command`` says what is executed.
    entry: str
    help: str
    parameters: Tuple[Parameter, ...] = ()
    #: ClearML's kind of task.
    type: str = "custom"
    #: Whether a template of it is published.
    template: bool = True
    #: What is executed; ``None``: the entry, a function, is called.
    command: Optional[Command] = None
    #: The module of its package that checks and tries sources of data (docs/workloads.md); empty: nobody does.
    trial: str = ""


def entry_of(reference: str) -> str:
    """The "module:function" to import for a function of the user's own, named so or as "path/to/FILE.py:function"."""
    place, _, function = reference.rpartition(":")
    if place.endswith(".py"):
        place = place.rpartition("/")[2][: -len(".py")]
    return f"{place}:{function}"


def inferred(values: Mapping[str, Any]) -> Tuple[Parameter, ...]:
    """Parameters that nobody declared, typed from their defaults: of a command, whose file gives the values only."""
    return tuple(Parameter(name, _kind_of(value), value, "") for name, value in values.items())


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) else "number"
    return "text" if isinstance(value, str) else "json"


def checked(workload: Workload, given: Mapping[str, Any]) -> Dict[str, Any]:
    """All parameters of a run: ``given`` checked against what ``workload`` declares, defaults filled in.

    Raises:
        ParameterError: an unknown name, a missing required one, or a value of the wrong kind or range.
    """
    declared = {p.name: p for p in workload.parameters}
    for name in given:
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            raise ParameterError(f"{workload.name} has no parameter {name!r}; it has: {known}")
    values: Dict[str, Any] = {}
    for parameter in workload.parameters:
        if parameter.name in given:
            values[parameter.name] = _checked_value(workload.name, parameter, given[parameter.name])
        elif parameter.required:
            raise ParameterError(f"{workload.name} needs parameter {parameter.name!r} ({parameter.help})")
        else:
            values[parameter.name] = parameter.default
    return values


def _checked_value(workload: str, parameter: Parameter, value: Any) -> Any:
    where = f"{workload}: parameter {parameter.name!r}"
    if value is None and not parameter.required and parameter.default is None:
        return None
    # a whole number beyond what a float holds is no number that any tool would take
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _GREATEST
    fits = {
        "integer": is_number and value == int(value),
        "number": is_number,
        "text": isinstance(value, str),
        "flag": isinstance(value, bool),
        "choice": value in parameter.choices,
        "data": isinstance(value, dict) and isinstance(value.get("sources"), list) and bool(value["sources"]),
        "model": isinstance(value, str) and bool(value),
        "json": isinstance(value, (list, dict)),
    }.get(parameter.kind)
    if fits is None:
        raise ParameterError(f"{where} is of kind {parameter.kind!r}, expected one of {', '.join(KINDS)}")
    if not fits:
        raise ParameterError(f"{where} is {value!r}, expected {_expected(parameter)}")
    bounded = parameter.kind in ("integer", "number")
    if bounded and parameter.low is not None and value < parameter.low:
        raise ParameterError(f"{where} is {value!r}, expected at least {parameter.low:g}")
    if bounded and parameter.high is not None and value > parameter.high:
        raise ParameterError(f"{where} is {value!r}, expected at most {parameter.high:g}")
    return int(value) if parameter.kind == "integer" else value


def _expected(parameter: Parameter) -> str:
    """What a value of the parameter's kind looks like, for people."""
    return {
        "choice": "one of " + ", ".join(parameter.choices),
        "data": 'a table with a non-empty list "sources"',
        "model": "the path of a model folder",
        "flag": "true or false",
        "integer": "a whole number",
        "number": "a number",
        "text": "a text",
        "json": "a list or a table, as JSON",
    }[parameter.kind]


def as_text(value: Any) -> str:
    """A parameter's value as a form shows it; nothing chosen is the empty text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value)


def from_text(parameter: Parameter, text: str) -> Any:
    """The value that ``text`` typed into a form means; empty is the default, or nothing where there is none.

    Raises:
        ParameterError: the text is not of the parameter's kind.
    """
    typed = text.strip()
    if not typed:
        return None if parameter.default is None else parameter.default
    if parameter.kind == "flag":
        if typed.lower() in ("true", "false"):
            return typed.lower() == "true"
    elif parameter.kind in ("integer", "number", "data", "json"):
        try:  # NaN, and what is nested too deeply, no task could carry
            return from_json(Any, parse(typed, parameter.name))
        except RecordError:
            pass
    else:
        return typed
    raise ParameterError(
        f"{parameter.section}/{parameter.name} is {typed[:80]!r}, expected {_expected(parameter)}"
    )
