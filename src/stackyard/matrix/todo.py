"""What is left of a plan: runs that stand, runs that an earlier runner left under way, runs still to make.

May import runs and the records of the seam. Starts nothing; runs that do not count are moved to ``abandoned/``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stackyard.matrix.plan import Plan, PlannedBlock
from stackyard.matrix.runs import RunFolder, counts_as_done
from stackyard.scenarios import Cell
from stackyard_task.records import RunRecord


@dataclass(frozen=True)
class Kept:
    """A run that is there and stands."""

    cell: Cell
    #: Name of its run folder.
    name: str
    record: RunRecord


@dataclass(frozen=True)
class Due:
    """A run to make."""

    block: PlannedBlock
    cell: Cell
    #: An earlier runner began it, and where it runs it may be at work still.
    begun: bool


@dataclass
class Todo:
    """What a runner finds: runs that stand, and the others in the order to make them in."""

    kept: list[Kept] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)
    #: Why a record that is there cannot be read; its run is made again.
    unreadable: list[str] = field(default_factory=list)


def todo_of(
    plan: Plan, folder: RunFolder, cells: Mapping[str, Cell], can_be_taken_up: Callable[[Cell], bool]
) -> Todo:
    """What is left of a plan in a folder.

    What an earlier runner left on a server comes first: it may be at work, and nothing shall disturb it.

    Args:
        plan: all runs.
        folder: where they lie.
        cells: name -> cell.
        can_be_taken_up: whether runs of a cell go on without their runner and can be found again.
    """
    found = Todo()
    for block in plan.blocks:
        for name in block.order:
            cell, place = cells[name], folder.run(block.name, name)
            record = folder.record(place)
            if record is not None and counts_as_done(record):
                found.kept.append(Kept(cell, place.name, record))
                continue
            unreadable = folder.why_unreadable(place) if record is None else None
            if unreadable is not None:
                found.unreadable.append(unreadable)
            if record is not None or unreadable is not None or not can_be_taken_up(cell):
                folder.set_aside(place)
            found.due.append(Due(block, cell, begun=place.exists()))
    found.due.sort(key=lambda due: not due.begun)  # a stable sort: otherwise the order of the plan
    return found
