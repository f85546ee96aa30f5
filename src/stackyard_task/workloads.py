"""The workloads a task can run: their names, entry points and typed, described parameters.

Pure data and its validation: importing this module imports no workload. Our side reads it to check a
scenario before anything starts; the child reads it to find the function to call.

A workload's entry is a function ``(parameters, channel, output_folder) -> None`` that reports through
``channel.Channel`` and writes files only below ``output_folder``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

#: What a parameter may be. "data": {"sources": [...]} as ``readers`` takes it; "model": a model folder.
KINDS = ("integer", "number", "text", "flag", "choice", "data", "model")


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


@dataclass(frozen=True)
class Workload:
    """A workload: where it lives and what it takes."""

    name: str
    #: "package.module:function", imported only in the child.
    entry: str
    help: str
    parameters: Tuple[Parameter, ...] = ()


WORKLOADS: Dict[str, Workload] = {}


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
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = {
        "integer": is_number and float(value).is_integer(),
        "number": is_number and value == value,
        "text": isinstance(value, str),
        "flag": isinstance(value, bool),
        "choice": value in parameter.choices,
        "data": isinstance(value, dict) and isinstance(value.get("sources"), list) and bool(value["sources"]),
        "model": isinstance(value, str) and bool(value),
    }[parameter.kind]
    if not fits:
        allowed = {
            "choice": "one of " + ", ".join(parameter.choices),
            "data": 'a table with a non-empty list "sources"',
            "model": "the path of a model folder",
            "flag": "true or false",
            "integer": "a whole number",
            "number": "a number",
            "text": "a text",
        }[parameter.kind]
        raise ParameterError(f"{where} is {value!r}, expected {allowed}")
    if parameter.low is not None and value < parameter.low:
        raise ParameterError(f"{where} is {value!r}, expected at least {parameter.low:g}")
    if parameter.high is not None and value > parameter.high:
        raise ParameterError(f"{where} is {value!r}, expected at most {parameter.high:g}")
    return int(value) if parameter.kind == "integer" else value
