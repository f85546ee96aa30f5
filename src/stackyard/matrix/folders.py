"""The folders that travel with a scenario's commands: looked at before anything starts, and put into archives.

May import scenarios, workloads.folder and runs. Reads files, and writes archives only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stackyard.errors import BadInputError
from stackyard.matrix.runs import PlannedFolder
from stackyard.scenarios import Preparation, Scenario
from stackyard.scenarios.references import DATASET, PREPARED
from stackyard.scenarios.shape import WorkloadSpec

if TYPE_CHECKING:
    from stackyard.workloads.folder import Folder


def of_commands(scenario: Scenario, beside: Path, leave_out: Iterable[Path] = ()) -> dict[str, Folder]:
    """What travels with each command that has a folder, by the workload's name.

    Args:
        scenario: whose commands.
        beside: the folder of the scenario file, which names are seen from.
        leave_out: what does not travel although it lies inside, such as the run folder.

    Raises:
        BadInputError: a folder is not there, or something in it cannot travel.
    """
    seen: dict[tuple[Path, frozenset[Path]], Folder] = {}
    found: dict[str, Folder] = {}
    specs: list[WorkloadSpec | Preparation] = [*scenario.workloads.values(), *scenario.preparations]
    for spec in specs:
        if spec.command is None or spec.command.code is None:
            continue
        place = beside / spec.command.code
        if not place.is_dir():
            raise BadInputError(f"{_key(spec)}.code is {spec.command.code!r}: there is no folder {place}")
        apart = frozenset([*leave_out, *_inputs(spec, beside)])
        if (place, apart) not in seen:
            from stackyard.workloads import folder

            seen[place, apart] = folder.looked_at(place, leave_out=apart)
        found[spec.workload] = seen[place, apart]
    return found


def planned(found: Mapping[str, Folder]) -> dict[str, PlannedFolder]:
    """The folders as a plan has them."""
    return {
        name: PlannedFolder(
            one.digest, {file: facts.sha256 for file, facts in one.files.items()}, one.commit, one.dirty
        )
        for name, one in found.items()
    }


def archived(found: Mapping[str, Folder], home: Path) -> dict[str, Path]:
    """The archive of each folder, made where it is not there.

    Raises:
        StackyardError: one cannot be written, or its folder changed meanwhile.
    """
    if not found:
        return {}
    from stackyard.workloads import folder

    return {name: folder.archived(one, home) for name, one in found.items()}


def _inputs(spec: WorkloadSpec | Preparation, beside: Path) -> list[Path]:
    """The inputs that are plain paths: they travel by themselves."""
    return [beside / text for text in spec.inputs.values() if not text.startswith((PREPARED, DATASET))]


def _key(spec: WorkloadSpec | Preparation) -> str:
    return f"{'prepare' if isinstance(spec, Preparation) else 'workloads'}.{spec.name}"
