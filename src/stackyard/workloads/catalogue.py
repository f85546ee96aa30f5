"""What can be run: the workloads that packages declare, and functions and commands of the user's own beside a file.

A package is a guest: it names itself under the entry point group ``stackyard.workloads`` and lays a ``workloads.toml``
beside its modules. Its code travels with every snapshot. Nothing of it is imported here. A command brings no code to a
snapshot: its folder travels by itself (``code_folders``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stackyard.errors import BadInputError, StackyardError
from stackyard.workloads import code_folders, declarations, own, packages, snapshot
from stackyard_task.records import Code
from stackyard_task.workloads import Workload


@dataclass(frozen=True)
class Catalogue:
    """The workloads there are, seen from one folder."""

    #: Declared workloads by name: the packages', then those of the folder's own ``workloads.toml``.
    declared: Mapping[str, Workload]
    #: Folders of the packages that every snapshot holds.
    packages: tuple[Path, ...]
    #: Where functions of the user's own are looked for; ``None``: nowhere.
    folder: Path | None = None
    #: Packages that cannot be used -> why.
    faults: Mapping[str, str] = field(default_factory=dict)

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

    def says_shard(self, reference: str) -> bool:
        """Whether the code of a workload says the word shard anywhere, or comes with a package, which declares it.

        Raises:
            BadInputError: it cannot be run.
        """
        sources = self._own(reference)
        return not sources or own.says(sources, "shard")

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
        workload = self.declared.get(reference)
        if workload is None and (":" not in reference or self.folder is None):
            raise BadInputError(
                f"there is no workload {reference!r}; there are: {', '.join(sorted(self.declared))}"
                f"{self.unread()}"
            )
        if workload is not None and workload.command is not None:
            reason = code_folders.why_not(workload.command, self.folder or Path())
            if reason is not None:
                raise BadInputError(reason)
            return ()
        entry = reference if workload is None else workload.entry
        try:
            if self.folder is None and entry.partition(":")[0].partition(".")[0] not in self._packaged():
                raise BadInputError("it is in no package that travels with every task")
            return own.found(entry, (self.folder or Path()).resolve(), self.packages).sources
        except BadInputError as error:
            if workload is None:
                raise
            raise BadInputError(f"its entry is {entry!r}: {error}") from error

    def _packaged(self) -> set[str]:
        return {package.name for package in self.packages}

    def unread(self) -> str:
        """Words that follow a name that is not declared: packages that may declare it, but cannot be used."""
        return "".join(f" (and package {name!r} cannot be used: {why})" for name, why in self.faults.items())


def load(folder: Path | None = None) -> Catalogue:
    """The workloads of the installed packages and, with a folder, what lies there.

    A package that cannot be used is left out; ``Catalogue.faults`` says why.

    Raises:
        BadInputError: the folder's declarations cannot be used, or declare a name that a package has.
        StackyardError: the harness is gone.
    """
    guests = packages.found()
    usable = [guest for guest in guests if guest.fault is None and guest.folder is not None]
    folders = (packages.harness(), *(guest.folder for guest in usable if guest.folder is not None))
    declared = {name: workload for guest in usable for name, workload in guest.declared.items()}
    faults = {guest.name: guest.fault for guest in guests if guest.fault is not None}
    places = {guest.folder for guest in guests}
    if folder is not None and folder.resolve() not in places:
        file = folder / declarations.FILE
        for name, workload in (declarations.read(file) if file.is_file() else {}).items():
            if name in declared:
                whose = next(guest.name for guest in usable if name in guest.declared)
                raise BadInputError(
                    f"{file}: workload {name!r} is declared already, by package {whose!r}; choose another name"
                )
            if workload.trial:
                raise BadInputError(
                    f"{file}: {name}.trial is {workload.trial!r}; expected none: only an installed package's is called"
                )
            declared[name] = workload
    return Catalogue(declared, folders, folder, faults)
