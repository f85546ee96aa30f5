"""How a parameter is edited: which kind of field fits its type and its value. Pure.

Types are what clients write down: Python's (int, float, bool, str), or words like integer and number. A value that does
not fit the field of its type (a reference, several lines) gets a plain one, so that nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..rules import queue_policy

INTEGERS = frozenset({"int", "integer"})
NUMBERS = frozenset({"float", "number", "double"})
FLAGS = frozenset({"bool", "boolean", "flag"})
#: Fields that a form shows; what is left out is copied as it is.
MOST_FIELDS = 500
#: A value longer than this gets several lines.
LONGEST_LINE = 80
#: The other one, written alike.
OTHER = {"true": "false", "True": "False", "false": "true", "False": "True"}
#: What a browser's number field can hold (HTML, "valid floating-point number").
INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
NUMBER = re.compile(r"-?([0-9]+|[0-9]*\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
#: A parameter's field in a form: this, the section, the separator, the name.
PREFIX, SEPARATOR = "p:", "\x1f"
#: Of the box that removes it.
REMOVAL = "x:"


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter in a form."""

    #: The name of its form field.
    key: str
    name: str
    value: str
    type: str
    description: str
    control: Literal["line", "lines", "integer", "number", "choice"]
    choices: tuple[str, ...] = ()


def key_of(section: str, name: str) -> str:
    """The name of a parameter's form field."""
    return f"{PREFIX}{section}{SEPARATOR}{name}"


def removal_key_of(section: str, name: str) -> str:
    """The name of the form field that removes a parameter."""
    return f"{REMOVAL}{section}{SEPARATOR}{name}"


def field(section: str, name: str, parameter: dict[str, Any], typed: str | None = None) -> Field:
    """How a parameter is edited; ``typed`` is what stood in the form before, if it comes back."""
    value = str(parameter.get("value") or "") if typed is None else typed
    kind = str(parameter.get("type") or "")
    description = str(parameter.get("description") or "")
    control, choices = control_of(kind, value)
    return Field(key_of(section, name), name, value, kind, description, control, choices)


def sections(
    hyperparams: Mapping[str, Mapping[str, dict[str, Any]]], typed: Mapping[str, str], last: str = ""
) -> tuple[dict[str, list[Field]], int]:
    """The fields of a form by section, the first of them, and how many are left out.

    Args:
        hyperparams: A task's parameters by section and name.
        typed: What stood in the form before, by its fields' names.
        last: A section that comes after all others.
    """
    shown, room = {}, MOST_FIELDS
    for section, items in sorted(hyperparams.items(), key=lambda item: (item[0] == last, by_section(item))):
        names = sorted(items)[:room]
        room -= len(names)
        if names:
            shown[section] = [
                field(section, name, items[name], typed.get(key_of(section, name))) for name in names
            ]
    return shown, sum(map(len, hyperparams.values())) - (MOST_FIELDS - room)


def by_section(item: tuple[str, Any]) -> tuple[bool, str]:
    """What sorts sections: by name, how the task is run last."""
    return item[0] == queue_policy.TASK_TIME_LIMIT[0], item[0]


def control_of(
    kind: str, value: str
) -> tuple[Literal["line", "lines", "integer", "number", "choice"], tuple[str, ...]]:
    """The control for a type and the value it holds, and what may be chosen."""
    word = kind.strip().lower()
    if word in FLAGS and value.lower() in ("true", "false"):
        return "choice", (value, OTHER.get(value, "True"))
    if word in INTEGERS and (not value or INTEGER.fullmatch(value)):
        return "integer", ()
    if word in NUMBERS and (not value or NUMBER.fullmatch(value)):
        return "number", ()
    return ("lines" if "\n" in value or len(value) > LONGEST_LINE else "line"), ()
