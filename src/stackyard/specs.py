"""Plain values that several rooms speak of: stacks, hardware, workloads, cells. Pure; below their users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class StackSpec:
    """A pinned stack as ``agents/stacks/<name>/`` defines it."""

    name: str
    #: "3.9", "3.11"...
    python: str
    #: torch's version as the lock pins it, without a local tag.
    torch: str
    #: CUDA version of the build ("10.2"), or "cpu".
    cuda: str
    #: SHA-256 of the lock file's content and of what else decides the environment.
    digest: str
    folder: Path
    #: Where wheels come from, tried in order: "wheels" (a local folder), "default" (pip's own), or a URL.
    indexes: tuple[str, ...] = ("wheels", "default")
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Variables that change speed but not results; visible in the record and usable as an axis.
    tunables: Mapping[str, str] = field(default_factory=dict)
    #: GPU compute capabilities the build has code for, e.g. (3.7, 7.5); ``None`` for CPU builds.
    capability_range: tuple[float, float] | None = None
    #: One sentence for people: what this stack is for.
    about: str = ""
    #: Size of the built environment; ``None``: not known.
    installed_bytes: int | None = None


@dataclass(frozen=True)
class HardwareSpec:
    """A class of machine, or a limit on one."""

    name: str
    #: CPU limit in cores, fractions allowed; ``None``: all of the machine.
    cores: float | None = None
    memory_bytes: int | None = None
    #: Number of GPUs needed; 0 = CPU only.
    gpus: int = 0


@dataclass(frozen=True)
class WorkloadSpec:
    """A workload with its parameters, under the name a scenario file gave it."""

    name: str
    workload: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One scenario of a matrix: a value for every axis."""

    #: Axis name -> value name, in axis order: deployment, stack, hardware, workload, then further axes.
    axes: Mapping[str, str]

    @property
    def slug(self) -> str:
        """A name for folders and logs, stable across runs."""
        return "-".join(value.replace("/", "_").replace(" ", "_") for value in self.axes.values())
