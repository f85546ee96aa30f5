"""Packages of workloads: which are installed, what each declares, and why one cannot be used.

A package names itself under the entry point group ``stackyard.workloads``. A broken one is a fault of its own: what
uses none of its workloads goes on without it. Nothing of a package is imported.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stackyard.errors import BadInputError, StackyardError
from stackyard.workloads import code_folders, declarations, snapshot
from stackyard_task.workloads import Workload

#: Entry point group in which a package that declares workloads names itself.
GROUP = "stackyard.workloads"
#: The distribution whose packages come first: of two that declare one name, the guest is at fault.
_OURS = "stackyard"


@dataclass(frozen=True)
class Package:
    """A package of workloads as it was found."""

    #: As its distribution names it.
    name: str
    #: Where it lies; ``None``: it cannot be found.
    folder: Path | None = None
    #: What it declares, by name; empty where it cannot be used.
    declared: Mapping[str, Workload] = field(default_factory=dict)
    #: Why it cannot be used, in one sentence; ``None``: it can.
    fault: str | None = None


def found() -> tuple[Package, ...]:
    """The packages that name themselves: our own, then the others by name."""
    points = importlib.metadata.entry_points(group=GROUP)
    ours = {point.value for point in points if point.dist is not None and point.dist.name == _OURS}
    packages: list[Package] = []
    for name in sorted({point.value for point in points}, key=lambda name: (name not in ours, name)):
        packages.append(_read(name, packages))
    return tuple(packages)


def folders() -> tuple[Path, ...]:
    """Where the packages lie that every snapshot holds: the harness, then the guests that can be used.

    Raises:
        StackyardError: the harness is gone.
    """
    usable = (package.folder for package in found() if package.fault is None)
    return (harness(), *(folder for folder in usable if folder is not None))


def harness() -> Path:
    """Where the package lies that runs a task.

    Raises:
        StackyardError: it is gone.
    """
    return folder_of(snapshot.HARNESS)


def folder_of(name: str) -> Path:
    """Where a package lies; found, not imported.

    Raises:
        StackyardError: it is no package, or it is gone.
    """
    try:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise StackyardError(f"package {name!r}, which declares workloads, cannot be found; install it again")
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def _read(name: str, earlier: list[Package]) -> Package:
    folder = None
    try:
        folder = folder_of(name)
        file = folder / declarations.FILE
        if not file.is_file():
            raise BadInputError(f"package {name!r} holds no {declarations.FILE}; install it again")
        # whatever names one of them lies elsewhere
        declared = {w.name: code_folders.absolute(w, folder) for w in declarations.read(file).values()}
    except StackyardError as error:
        return Package(name, folder, fault=str(error))
    for other in earlier:
        for workload in declared:
            if workload in other.declared:
                fault = (
                    f"package {name!r} declares workload {workload!r}, which package {other.name!r} declares too; "
                    "rename it there or uninstall the package"
                )
                return Package(name, folder, fault=fault)
    return Package(name, folder, declared)
