"""Declarations of workloads: ``workloads.toml`` beside a package or a scenario -> what each runs and takes.

A workload is a function or a command, whose keys are ``command_tables``'. A declaration is data: reading it imports
nothing of the package. docs/workloads.md says what may stand in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackyard import command_tables, toml_tables
from stackyard.errors import BadInputError
from stackyard.toml_tables import Fields
from stackyard_task import workloads
from stackyard_task.workloads import KINDS, Parameter, ParameterError, Workload

#: How an input begins that only one scenario or pipeline knows.
_OF_ONE_FILE = ("prepared:", "step:", "model:", "data:")
#: Name of a file that declares workloads.
FILE = "workloads.toml"
#: ClearML's kinds of task that a workload may be shown as.
TYPES = (
    "training",
    "testing",
    "inference",
    "data_processing",
    "application",
    "monitor",
    "service",
    "qc",
    "custom",
)
#: Keys of every workload, and beside them those of a function; a command's are ``command_tables.KEYS``.
_WORKLOAD = ("help", "type", "template", "parameters")
_FUNCTION = ("entry", "trial")
_PARAMETER = ("kind", "default", "help", "low", "high", "choices", "required", "section")
_WITH_BOUNDS = ("integer", "number")
#: Sections of a form that are not for parameters: the run's own, what a command reads, and ClearML's notes.
_SECTIONS_TAKEN = ("Run", "Inputs", "properties", "Datasets")
#: A parameter of a command, which may be of Hydra's.
_COMMANDS_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def read(path: Path) -> dict[str, Workload]:
    """The workloads that a file declares, by name, in the file's order.

    Raises:
        BadInputError: it cannot be read, is not TOML, or a key is unknown, missing or has a value that is not allowed.
    """
    return _Reader(str(path), toml_tables.read(path)).workloads()


class _Reader(Fields):
    """Reads one document; every method answers a checked part of it."""

    def workloads(self) -> dict[str, Workload]:
        found = {}
        for name, table in self.document.items():
            if not isinstance(table, dict):
                raise self.bad(name, f"is {table!r}", f"a table [{name}]")
            found[self.name(name, name)] = self.workload(name, table)
        return found

    def workload(self, name: str, table: dict[str, Any]) -> Workload:
        if command_tables.is_command(table):
            return self.command(name, table)
        self.keys(table, name, [*_FUNCTION, *_WORKLOAD, *command_tables.KINDS])
        entry = self.text(table, name, "entry")
        module, _, function = entry.partition(":")
        named = all(part.isidentifier() for part in module.split("."))
        if not function.isidentifier() or not named or module.endswith(".py"):
            raise self.bad(f"{name}.entry", f"is {entry!r}", '"module:function"')
        return Workload(
            name=name,
            entry=entry,
            help=self.text(table, name, "help"),
            parameters=tuple(
                self.parameter(f"{name}.parameters.{self.identifier(name, key)}", key, inner)
                for key, inner in self.inner(table, name, "parameters").items()
            ),
            type=self.type(table, name),
            template=self.flag(table, name, "template", True),
            trial=self.module(table, name, "trial"),
        )

    def module(self, table: Mapping[str, Any], name: str, key: str) -> str:
        """The dotted name of a module, or the empty text."""
        module = self.text(table, name, key) if key in table else ""
        if module and not all(part.isidentifier() for part in module.split(".")):
            raise self.bad(f"{name}.{key}", f"is {module!r}", 'a module, such as "package.readers.trial"')
        return module

    def command(self, name: str, table: dict[str, Any]) -> Workload:
        """A workload that is a command: its parameters are declared as a function's, or are their defaults alone."""
        self.keys(table, name, [*command_tables.KEYS, *_WORKLOAD])
        command = command_tables.read(self, table, name)
        for key, text in command.inputs.items():
            if text.startswith(_OF_ONE_FILE):
                said = (
                    "a path or a data set; a scenario or pipeline that runs it may name what another run left"
                )
                raise self.bad(f"{name}.inputs.{key}", f"is {text!r}", said)
        parameters = []
        for key, given in self.inner(table, name, "parameters").items():
            where = f"{name}.parameters.{key}"
            if not _COMMANDS_PARAMETER.fullmatch(key):
                raise self.bad(where, f"is named {key!r}", "letters, digits, _, - and ., a letter first")
            if isinstance(given, dict):
                parameters.append(self.parameter(where, key, given))
            else:
                self.free(given, where)
                parameters += workloads.inferred({key: given})
        declared = Workload(
            name=name,
            entry="",
            help=self.text(table, name, "help"),
            parameters=tuple(parameters),
            type=self.type(table, name),
            template=self.flag(table, name, "template", True),
            command=command,
        )
        command_tables.checked(self, name, declared, {p.name: p.default for p in parameters})
        return declared

    def type(self, table: Mapping[str, Any], name: str) -> str:
        kind = self.text(table, name, "type", "custom")
        if kind not in TYPES:
            raise self.bad(f"{name}.type", f"is {kind!r}", self.one_of(kind, TYPES))
        return kind

    def parameter(self, where: str, name: str, table: Any) -> Parameter:
        if not isinstance(table, dict):
            raise self.bad(where, f"is {table!r}", "a table with kind and help")
        self.keys(table, where, _PARAMETER)
        kind = self.text(table, where, "kind")
        if kind not in KINDS:
            raise self.bad(f"{where}.kind", f"is {kind!r}", self.one_of(kind, KINDS))
        choices = self.texts(table, where, "choices") or ()
        if bool(choices) != (kind == "choice"):
            raise self.bad(
                f"{where}.choices",
                f"is {list(choices)!r}",
                'a list of texts with kind "choice", and only there',
            )
        section = self.text(table, where, "section", "Parameters")
        if section in _SECTIONS_TAKEN:
            raise self.bad(
                f"{where}.section", f"is {section!r}", "another name: a form has that section already"
            )
        parameter = Parameter(
            name=name,
            kind=kind,
            default=table.get("default"),
            help=self.text(table, where, "help"),
            low=self.bound(table, where, "low", kind),
            high=self.bound(table, where, "high", kind),
            choices=choices,
            required=self.flag(table, where, "required", False),
            section=section,
        )
        if parameter.low is not None and parameter.high is not None and parameter.low > parameter.high:
            raise self.bad(
                f"{where}.low", f"is {parameter.low!r}", f"at most high, which is {parameter.high!r}"
            )
        if parameter.default is not None:
            if parameter.required:
                raise self.bad(
                    f"{where}.default", f"is {parameter.default!r}", "none: the parameter is required"
                )
            try:
                workloads.checked(Workload("default", "", "", (parameter,)), {name: parameter.default})
            except ParameterError as error:
                raise BadInputError(f"{self.file}: {where}.default: {error}") from error
        return parameter

    def identifier(self, workload: str, name: str) -> str:
        if not name.isidentifier():
            raise self.bad(f"{workload}.parameters.{name}", f"is named {name!r}", "letters, digits and _")
        return name

    def bound(self, table: Mapping[str, Any], where: str, key: str, kind: str) -> float | None:
        if key not in table:
            return None
        value = table[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.bad(f"{where}.{key}", f"is {value!r}", "a number")
        if kind not in _WITH_BOUNDS:
            raise self.bad(f"{where}.{key}", f"is {value!r}", f"none: a {kind} has no bounds")
        return value
