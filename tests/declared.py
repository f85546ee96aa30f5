"""A guest's declared workloads, read as our side reads them, in any Python that runs these tests."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, Dict

from stackyard_task.workloads import Parameter, Workload

try:
    import tomllib  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # before Python 3.11; pytest brings it
    import tomli as tomllib  # type: ignore[no-redef,import-not-found,unused-ignore]


def workloads(package: ModuleType) -> Dict[str, Workload]:
    """The workloads of a package, by name."""
    file = Path(str(package.__file__)).with_name("workloads.toml")
    return {
        name: _workload(name, table)
        for name, table in tomllib.loads(file.read_text(encoding="utf-8")).items()
    }


def _parameter(name: str, table: Dict[str, Any]) -> Parameter:
    return Parameter(name=name, **{"default": None, **table, "choices": tuple(table.get("choices", ()))})


def _workload(name: str, table: Dict[str, Any]) -> Workload:
    parameters = tuple(_parameter(key, inner) for key, inner in table["parameters"].items())
    return Workload(name, table["entry"], table["help"], parameters)
