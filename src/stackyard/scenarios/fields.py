"""Reading single values of a scenario file, each checked, each refusal in one sentence. Pure."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from stackyard.errors import BadInputError
from stackyard.scenarios import references
from stackyard_task import workloads
from stackyard_task.workloads import Workload

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kKMGT]i?)?B\s*")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


class Fields:
    """A parsed document, and ways to take checked values out of it; ``where`` is the table's dotted name."""

    def __init__(self, file: str, document: dict[str, Any]) -> None:
        self.file = file
        self.document = document

    def bad(self, key: str, seen: str, allowed: str) -> BadInputError:
        """The refusal of a value."""
        return BadInputError(f"{self.file}: {key} {seen}, expected {allowed}")

    def one_of(self, seen: Any, allowed: Iterable[str], what: str = "one of") -> str:
        """What is allowed, in words, with the nearest name where one is near."""
        names = list(allowed)
        near = difflib.get_close_matches(str(seen), names, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        if not names:
            return "none: the file defines none" if what != "one of" else "nothing: there is none"
        return f"{what} {', '.join(names)}" + hint

    def keys(self, table: Mapping[str, Any], where: str, allowed: Collection[str], what: str = "key") -> None:
        """Refuse a table with a key that is not allowed."""
        for key in table:
            if key not in allowed:
                full = f"{where}.{key}" if where else key
                raise self.bad(full, f"is an unknown {what}", self.one_of(key, allowed))

    def table(self, key: str) -> dict[str, Any]:
        """A table of the document; empty where absent."""
        value = self.document.get(key, {})
        if not isinstance(value, dict):
            raise self.bad(key, f"is {value!r}", f"a table [{key}]")
        return value

    def tables(self, key: str) -> dict[str, dict[str, Any]]:
        """A table of named tables, names checked."""
        found = self.table(key)
        for name, inner in found.items():
            self.name(name, f"{key}.{name}")
            if not isinstance(inner, dict):
                raise self.bad(f"{key}.{name}", f"is {inner!r}", f"a table [{key}.{name}]")
        return found

    def inner(self, table: Mapping[str, Any], where: str, key: str) -> dict[str, Any]:
        """A table inside a table; empty where absent."""
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise self.bad(f"{where}.{key}", f"is {value!r}", "a table")
        return value

    def name(self, value: str, key: str) -> str:
        """A name that may stand in a folder's name."""
        if not _NAME.fullmatch(value):
            raise self.bad(key, f"is named {value!r}", "a name of letters, digits and . _ + - (60 at most)")
        return value

    def text(self, table: Mapping[str, Any], where: str, key: str, default: str | None = None) -> str:
        """A text that is not empty."""
        full = f"{where}.{key}" if where else key
        if key not in table and default is not None:
            return default
        if key not in table:
            raise self.bad(full, "is missing", "a text")
        value = table[key]
        if not isinstance(value, str) or not value.strip():
            raise self.bad(full, f"is {value!r}", "a text")
        return value

    def whole(
        self,
        table: Mapping[str, Any],
        where: str,
        key: str,
        default: int,
        low: int | None = None,
        high: int | None = None,
    ) -> int:
        """A whole number within bounds."""
        value = table.get(key, default)
        full = f"{where}.{key}" if where else key
        in_range = isinstance(value, int) and not isinstance(value, bool)
        if not in_range or (low is not None and value < low) or (high is not None and value > high):
            bounds = "" if low is None else f" from {low}" + ("" if high is None else f" to {high}")
            raise self.bad(full, f"is {value!r}", f"a whole number{bounds}")
        return value

    def positive(self, table: Mapping[str, Any], where: str, key: str, default: float | None) -> float | None:
        """A finite number above 0."""
        if key not in table:
            return default
        value = table[key]
        full = f"{where}.{key}" if where else key
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value <= 0:
            raise self.bad(full, f"is {value!r}", "a number above 0")
        return float(value)

    def size(self, value: Any, key: str) -> int:
        """Bytes of "2 GB", "512 MiB" or a plain number of bytes; GB = 10^9, GiB = 2^30."""
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if not match or float(match.group(1)) <= 0:
            raise self.bad(key, f"is {value!r}", 'a size above 0 such as "2 GB" or "512 MiB"')
        unit = match.group(2) or ""
        return int(
            float(match.group(1)) * (1024 if unit.endswith("i") else 1000) ** _POWERS[unit.rstrip("i")]
        )

    def environment(self, table: Mapping[str, Any], where: str) -> dict[str, str]:
        """Environment variables, their values as text."""
        found: dict[str, str] = {}
        for key, value in table.items():
            if not _VARIABLE.fullmatch(key):
                raise self.bad(f"{where}.{key}", "is not a variable's name", "letters, digits and _")
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                raise self.bad(f"{where}.{key}", f"is {value!r}", "a text or number")
            found[key] = str(value)
        return found

    def sources(self, name: str, table: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """The sources of a table [data.NAME]."""
        where = f"data.{name}"
        self.keys(table, where, ["sources"])
        value = table.get("sources")
        if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
            raise self.bad(f"{where}.sources", f"is {value!r}", 'a list of tables with "path" and "format"')
        for index, source in enumerate(value):
            for key in ("path", "format"):
                if not isinstance(source.get(key), str) or not source[key]:
                    raise self.bad(f"{where}.sources[{index}].{key}", f"is {source.get(key)!r}", "a text")
        return tuple(value)

    def runnable(
        self, name: str, key: str, declared: Collection[str], why_not: Callable[[str], str | None]
    ) -> None:
        """Refuse a workload that is neither declared nor a function of the user's own that can be called."""
        if name in declared:
            return
        if ":" not in name:
            raise self.bad(key, f"is {name!r}", self.one_of(name, declared))
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
