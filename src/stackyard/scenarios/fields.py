"""What scenario and pipeline files have in common: their data and their workloads' parameters, checked. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from stackyard import command_tables
from stackyard.errors import BadInputError
from stackyard.scenarios import references
from stackyard.toml_tables import Fields
from stackyard_task import workloads
from stackyard_task.workloads import Workload


class ScenarioFields(Fields):
    """What scenario and pipeline files have in common beside plain values: data, and parameters of workloads."""

    def sources(self, name: str, table: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """The sources of a table [data.NAME]."""
        where = f"data.{name}"
        self.keys(table, where, ["sources"])
        value = table.get("sources")
        if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
            raise self.bad(
                f"{where}.sources", f"is {value!r}", 'a list of tables with "path" and "format" (or "preset")'
            )
        for index, source in enumerate(value):
            kind = "format" if source.get("preset") is None else "preset"
            for key in ("path", kind):
                if not isinstance(source.get(key), str) or not source[key]:
                    raise self.bad(f"{where}.sources[{index}].{key}", f"is {source.get(key)!r}", "a text")
        self.free(value, f"{where}.sources")
        return tuple(value)

    def parameters(self, table: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The table of a workload's parameters, each one that a task can carry."""
        found = self.inner(table, where, "parameters")
        self.free(found, f"{where}.parameters")
        return found

    def command(
        self,
        name: str,
        table: dict[str, Any],
        where: str,
        beside: Iterable[str] = (),
        further: Iterable[Mapping[str, Any]] = (),
    ) -> tuple[dict[str, Any], Workload]:
        """The parameters of a table that is a command, and the workload that it declares.

        Args:
            name: the workload's.
            table: as the file has it.
            where: its key.
            beside: keys that the table has beside its command's.
            further: other values that its parameters may have.
        """
        self.keys(table, where, [*command_tables.KEYS, "parameters", *beside])
        given = self.parameters(table, where)
        typed = command_tables.typed(self, f"{where}.parameters", given, further)
        return given, Workload(name, "", "", typed, command=command_tables.read(self, table, where))

    def declared_command(
        self, table: dict[str, Any], where: str, declared: Workload | None
    ) -> Workload | None:
        """The command that a table runs which names it as a declared workload; ``None``: it is a function."""
        if declared is None and "inputs" in table:
            said = "parameters: the workload is a function, which has no inputs"
            raise self.bad(f"{where}.inputs", "stands beside a workload", said)
        found = None if declared is None else command_tables.with_inputs(self, table, where, declared)
        return None if found is None or found.command is None else found

    def runnable(
        self,
        name: str,
        key: str,
        declared: Collection[str],
        why_not: Callable[[str], str | None],
        unread: str = "",
    ) -> None:
        """Refuse a workload that is neither declared nor a function of the user's own, or cannot be called."""
        if name not in declared and ":" not in name:
            if name.endswith(".py"):
                raise self.bad(key, f"is {name!r}", f'a function in it, such as "{name}:main"')
            raise self.bad(key, f"is {name!r}", self.one_of(name, declared) + unread)
        reason = why_not(name)
        if reason is not None:
            raise BadInputError(f"{self.file}: {key} is {name!r}: {reason}")

    def workload_parameters(
        self,
        declared: Workload | None,
        given: Mapping[str, Any],
        expanded: Mapping[str, Any],
        where: str,
        data: Mapping[str, Any],
    ) -> None:
        """Check parameters against what the workload declares, and that the data they name is defined.

        Args:
            declared: the workload; ``None``: a function of the user's own, which takes what it is given.
            given: as the file has them; what is unknown is looked for here.
            expanded: what is checked, with references to data replaced where the file's kind does that.
            where: the table, for messages.
            data: the tables [data.NAME].
        """
        for text in references.strings(expanded):
            if text.startswith(references.DATA):
                name = text[len(references.DATA) :]
                raise self.bad(where, f"refers to {text!r}", self.one_of(name, data, "[data.NAME] with NAME"))
        self.free(expanded, where)  # data may stand deep inside
        if declared is None:
            return
        try:
            workloads.checked(declared, expanded)
        except workloads.ParameterError as error:
            known = [p.name for p in declared.parameters]
            unknown = next((key for key in given if key not in known), None)
            near = difflib.get_close_matches(str(unknown), known, 1) if unknown is not None else []
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise BadInputError(f"{self.file}: {where}: {error}{hint}") from error
