"""Declarations of workloads: ``workloads.toml`` beside a package or a scenario -> what each runs and takes.

A declaration is data: reading it imports nothing of the package. docs/workloads.md says what may stand in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackyard import toml_tables
from stackyard.errors import BadInputError
from stackyard.toml_tables import Fields
from stackyard_task import workloads
from stackyard_task.workloads import KINDS, Parameter, ParameterError, Workload

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
_WORKLOAD = ("entry", "help", "type", "template", "parameters")
_PARAMETER = ("kind", "default", "help", "low", "high", "choices", "required", "section")
_WITH_BOUNDS = ("integer", "number")


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
        self.keys(table, name, _WORKLOAD)
        entry = self.text(table, name, "entry")
        module, _, function = entry.partition(":")
        named = all(part.isidentifier() for part in module.split("."))
        if not function.isidentifier() or not named or module.endswith(".py"):
            raise self.bad(f"{name}.entry", f"is {entry!r}", '"module:function"')
        kind = self.text(table, name, "type", "custom")
        if kind not in TYPES:
            raise self.bad(f"{name}.type", f"is {kind!r}", self.one_of(kind, TYPES))
        return Workload(
            name=name,
            entry=entry,
            help=self.text(table, name, "help"),
            parameters=tuple(
                self.parameter(f"{name}.parameters.{key}", key, inner)
                for key, inner in self.inner(table, name, "parameters").items()
            ),
            type=kind,
            template=self.flag(table, name, "template", True),
        )

    def parameter(self, where: str, name: str, table: Any) -> Parameter:
        if not name.isidentifier():
            raise self.bad(where, f"is named {name!r}", "letters, digits and _")
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
        parameter = Parameter(
            name=name,
            kind=kind,
            default=table.get("default"),
            help=self.text(table, where, "help"),
            low=self.bound(table, where, "low", kind),
            high=self.bound(table, where, "high", kind),
            choices=choices,
            required=self.flag(table, where, "required", False),
            section=self.text(table, where, "section", "Parameters"),
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

    def bound(self, table: Mapping[str, Any], where: str, key: str, kind: str) -> float | None:
        if key not in table:
            return None
        value = table[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.bad(f"{where}.{key}", f"is {value!r}", "a number")
        if kind not in _WITH_BOUNDS:
            raise self.bad(f"{where}.{key}", f"is {value!r}", f"none: a {kind} has no bounds")
        return value
