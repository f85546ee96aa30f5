"""The folders that travel with a scenario's commands: looked at before anything starts, and put into archives.

May import scenarios, workloads.folder and runs. Reads files, and writes archives only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from stackyard.errors import BadInputError
from stackyard.matrix.plan import PlannedFolder
from stackyard.scenarios import Preparation, Scenario
from stackyard.scenarios.shape import WorkloadSpec
from stackyard.workloads import code_folders, folder, repository
from stackyard.workloads.folder import Folder

#: Stands for the files of a folder that is worked in.
DIFFERENCE = "how its files differ from its commit"


def of_commands(scenario: Scenario, beside: Path, leave_out: Iterable[Path] = ()) -> dict[str, Folder]:
    """What travels with each command that has a folder, by the key of what runs it.

    Args:
        scenario: whose commands.
        beside: the folder of the scenario file, which names are seen from.
        leave_out: what does not travel although it lies inside, such as the run folder.

    Raises:
        BadInputError: a folder or a file of requirements is not there, or something in a folder cannot travel.
    """
    seen: dict[tuple[str, frozenset[str]], Folder] = {}
    found: dict[str, Folder] = {}
    specs: list[WorkloadSpec | Preparation] = [*scenario.workloads.values(), *scenario.preparations]
    for spec in specs:
        reason = None if spec.command is None else code_folders.why_not(spec.command, beside)
        if reason is not None:
            raise BadInputError(f"{_table(spec)}: {reason}")
        if spec.command is None or spec.command.code is None:
            continue
        alike = (
            spec.command.code,
            frozenset(spec.inputs.values()),
        )  # what several run of one folder is read once
        if alike not in seen:
            one = code_folders.looked_at(spec.command, beside, spec.inputs, _table(spec), leave_out)
            assert one is not None
            seen[alike] = one
        found[spec.key] = seen[alike]
    return found


def planned(found: Mapping[str, Folder], scenario: Scenario, beside: Path) -> dict[str, PlannedFolder]:
    """The folders as a plan has them: those that travel, and of those worked in what git says of them.

    Args:
        found: what travels.
        scenario: whose commands.
        beside: the folder of the scenario file.
    """
    plans = {name: PlannedFolder(one.digest, one.marks, one.commit, one.dirty) for name, one in found.items()}
    specs: list[WorkloadSpec | Preparation] = [*scenario.workloads.values(), *scenario.preparations]
    for spec in specs:
        if spec.command is not None and spec.command.folder is not None:
            plans[spec.key] = _worked_in((beside / spec.command.folder).resolve())
    return plans


def _worked_in(place: Path) -> PlannedFolder:
    """A folder that nothing is copied of: its commit, and in place of its files how they differ from that."""
    found = repository.Git().looked_at(place)
    if found is None or found.commit is None:
        return PlannedFolder(None, {})
    if found.diff is None:
        return PlannedFolder(None, {}, found.commit, True if found.diff_cut else None)
    marks = {DIFFERENCE: hashlib.sha256(found.diff).hexdigest()} if found.diff else {}
    return PlannedFolder(None, marks, found.commit, bool(found.diff))


def keep_diffs(found: Mapping[str, Folder], place: Path) -> None:
    """Write how each folder differs from its commit into the run folder, as NAME.diff.

    Raises:
        OSError: it cannot be written.
    """
    for name, one in found.items():
        if one.diff:
            place.mkdir(exist_ok=True)
            (place / f"{name}.diff").write_bytes(one.diff)


def archived(found: Mapping[str, Folder], home: Path) -> dict[str, Path]:
    """The archive of each folder, made where it is not there.

    Raises:
        StackyardError: one cannot be written, or its folder changed meanwhile.
    """
    return {name: folder.archived(one, home) for name, one in found.items()}


def _table(spec: WorkloadSpec | Preparation) -> str:
    return f"{'prepare' if isinstance(spec, Preparation) else 'workloads'}.{spec.name}"
