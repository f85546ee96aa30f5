"""Where runs are stopped, as people write it in TOML: one table, each limit checked where it is taken.

Scenario files call it [stop], study files [limits]. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackyard.toml_tables import Fields
from stackyard_task import criteria
from stackyard_task.criteria import IDLE_BYTES, Criteria

#: Key -> the criterion that it sets; the first ones are sizes such as "2 GB".
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
KEYS = (*_SIZES, *_NUMBERS)


def read(fields: Fields, table: Mapping[str, Any], where: str) -> Criteria:
    """The criteria of a table; none of an empty one.

    Args:
        fields: the file, for messages.
        table: as the file has it.
        where: its key.

    Raises:
        BadInputError: a key is unknown, or a value is not allowed.
    """
    fields.keys(table, where, KEYS)
    found = Criteria()
    for key, name in _SIZES.items():
        if key in table:
            size = fields.size(table[key], f"{where}.{key}")
            if name.startswith("ram") and size < IDLE_BYTES:
                least = criteria.amount(IDLE_BYTES, "bytes")
                raise fields.bad(
                    f"{where}.{key}",
                    f"is {table[key]!r}",
                    f"at least {least}, which an idle interpreter needs",
                )
            setattr(found, name, size)
    for key, name in _NUMBERS.items():
        setattr(found, name, fields.positive(table, where, key, None))
    if found.slowing is not None and found.slowing <= 1:
        raise fields.bad(f"{where}.slowing", f"is {table['slowing']!r}", "a factor above 1, such as 2.0")
    return found


def contradiction(
    criteria_of_runs: Criteria, time_limit_seconds: float | None, memory_bytes: int | None
) -> str | None:
    """Why a limit can never be reached, for another one ends the run before; ``None``: each one can.

    Args:
        criteria_of_runs: where runs are stopped.
        time_limit_seconds: when they fail.
        memory_bytes: what they may have at most before they fail.
    """
    wall, ram = criteria_of_runs.wall_seconds, criteria_of_runs.ram_bytes
    if wall is not None and time_limit_seconds is not None and wall >= time_limit_seconds:
        return f"max_wall_seconds is {wall:g}, and a run fails at its time limit of {time_limit_seconds:g} s"
    if ram is not None and memory_bytes is not None and ram >= memory_bytes:
        have = criteria.amount(memory_bytes, "bytes")
        return f"max_ram is {criteria.amount(ram, 'bytes')}, and a run fails at its memory of {have}"
    return None
