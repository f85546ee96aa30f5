"""What hardware a run is to have: a class of machine, or a limit on one. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HardwareSpec:
    """A class of machine, or a limit on one."""

    name: str
    #: CPU limit in cores, fractions allowed; ``None``: all of the machine.
    cores: float | None = None
    memory_bytes: int | None = None
    #: Number of GPUs needed; 0 = CPU only.
    gpus: int = 0
