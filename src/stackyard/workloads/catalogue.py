"""What can be run: the workloads that packages declare, and functions of the user's own beside a file.

A package is a guest: it names itself under the entry point group ``stackyard.workloads`` and lays a ``workloads.toml``
beside its modules. Its code travels with every snapshot. Nothing of it is imported here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stackyard.errors import BadInputError, StackyardError
from stackyard.workloads import declarations, own, snapshot
from stackyard_task.records import Code
from stackyard_task.workloads import Workload

#: Entry point group in which a package that declares workloads names itself.
GROUP = "stackyard.workloads"


@dataclass(frozen=True)
class Catalogue:
    """The workloads there are, seen from one folder."""

    #: Declared workloads by name: the packages', then those of the folder's own ``workloads.toml``.
    declared: Mapping[str, Workload]
    #: Folders of the packages that every snapshot holds.
    packages: tuple[Path, ...]
    #: Where functions of the user's own are looked for; ``None``: nowhere.
    folder: Path | None = None

    def why_not(self, reference: str) -> str | None:
        """Why a reference, a declared name or "FILE.py:FUNCTION", cannot be run, or ``None``."""
        try:
            self._own(reference)
        except BadInputError as error:
            return str(error)
        return None

    def sources(self, references: Iterable[str]) -> list[Path]:
        """The code of the user's own that these workloads need: files and folders of packages.

        Raises:
            BadInputError: one cannot be run, or two of them bring different modules of the same name.
        """
        found: dict[str, Path] = {}
        for reference in references:
            for source in self._own(reference):
                # work.py and work/ are one name to Python
                if found.setdefault(source.stem, source) != source:
                    raise BadInputError(
                        f"{found[source.stem]} and {source} would travel under one name; rename one"
                    )
        return list(found.values())

    def taken(self, home: Path, references: Iterable[str] = ()) -> tuple[Path, Code]:
        """A snapshot with the packages and the user's own code that these workloads need, and which code that is.

        Raises:
            BadInputError: one cannot be run.
            StackyardError: the snapshot cannot be written.
        """
        sources = self.sources(references)
        try:
            return snapshot.taken(home, self.packages, sources)
        except OSError as error:
            raise StackyardError(
                f"{home}: cannot be written ({error.strerror}); set STACKYARD_HOME to a folder that can"
            ) from error

    def code(self, references: Iterable[str] = ()) -> Code:
        """Which code ``taken`` would take; nothing is written.

        Raises:
            BadInputError: one cannot be run.
            StackyardError: something of it cannot be read.
        """
        try:
            return snapshot.code_of(self.packages, self.sources(references))
        except OSError as error:
            raise StackyardError(f"{error.filename}: cannot be read ({error.strerror})") from error

    def _own(self, reference: str) -> tuple[Path, ...]:
        name = reference
        if reference in self.declared:
            name = self.declared[reference].entry
            if name.partition(":")[0].partition(".")[0] in {package.name for package in self.packages}:
                return ()
        if ":" not in name or self.folder is None:
            raise BadInputError(
                f"there is no workload {reference!r}; there are: {', '.join(sorted(self.declared))}"
            )
        return own.found(name, self.folder.resolve(), self.packages).sources


def load(folder: Path | None = None) -> Catalogue:
    """The workloads of the installed packages and, with a folder, what lies there.

    Raises:
        BadInputError: a declaration cannot be used, or a name is declared twice.
    """
    packages = installed()
    files = [package / declarations.FILE for package in packages]
    if folder is not None and folder.resolve() not in packages:
        files.append(folder / declarations.FILE)
    declared: dict[str, Workload] = {}
    for file in files:
        if not file.is_file():
            continue
        for name, workload in declarations.read(file).items():
            if name in declared:
                raise BadInputError(f"{file}: workload {name!r} is declared already; choose another name")
            declared[name] = workload
    return Catalogue(declared, packages, folder)


def installed() -> tuple[Path, ...]:
    """The folders of the packages that every snapshot holds: the harness, then its guests by name."""
    guests = {point.value for point in importlib.metadata.entry_points(group=GROUP)}
    return tuple(_folder(name) for name in (snapshot.HARNESS, *sorted(guests)))


def _folder(package: str) -> Path:
    """Where a package lies; found, not imported.

    Raises:
        StackyardError: it is gone.
    """
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise StackyardError(
            f"package {package!r}, which declares workloads, cannot be found; install it again"
        )
    return Path(next(iter(spec.submodule_search_locations))).resolve()
