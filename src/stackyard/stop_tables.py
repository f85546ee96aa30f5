"""Limits at which a run is stopped, as people write them in TOML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackyard.toml_tables import Fields
from stackyard_task import criteria
from stackyard_task.criteria import Criteria

_SIZES = {
    "max_ram": "ram_bytes",
    "max_ram_minus_shared": "ram_minus_shared_bytes",
    "max_gpu_memory": "gpu_memory_bytes",
}
_NUMBERS = {
    "max_step_seconds": "step_seconds",
    "max_cpu_seconds": "cpu_seconds",
    "max_wall_seconds": "wall_seconds",
    "max_energy_joules": "energy_joules",
    "slowing": "slowing",
}


def read(fields: Fields, table: Mapping[str, Any], where: str) -> Criteria:
    """The limits of a table.

    Raises:
        BadInputError: a key is unknown, or a value is not allowed.
    """
    fields.keys(table, where, [*_SIZES, *_NUMBERS])
    found = Criteria()
    for key, name in _SIZES.items():
        if key in table:
            setattr(found, name, fields.size(table[key], f"{where}.{key}"))
    for key, name in _NUMBERS.items():
        if key in table:
            setattr(found, name, fields.positive(table, where, key, None))
    problem = criteria.problem(found)
    if problem is not None:
        raise fields.bad(where, f"asks for what cannot be: {problem}", "limits that a run can keep")
    return found
