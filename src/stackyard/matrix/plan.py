"""What a matrix is going to do, as ``plan.json`` has it. Shapes only; may import the records of the seam."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stackyard_task import records
from stackyard_task.records import Code, StackPin
from stackyard_task.workloads import Workload

#: Of the file, so that no other is taken for a plan.
KIND = "stackyard plan"


@dataclass
class PlannedCell:
    """One cell of the matrix: its folder name, its axis values and, where it cannot run here, why."""

    name: str
    axes: dict[str, str]
    workload: str
    #: ``None``: the cell can run here.
    reason: str | None = None


@dataclass
class PlannedBlock:
    """One block: the names of its cells in the order they run."""

    name: str
    number: int
    warm_up: bool
    order: list[str] = field(default_factory=list)


@dataclass
class PlannedFolder:
    """The folder that a command works in, or a copy of it, as it was when the matrix began."""

    #: SHA-256 over all files, their names and modes; ``None``: nothing travels, for it works in the folder itself.
    digest: str | None
    #: Name -> what differs where the file does: its SHA-256, and its mode. Of one that nothing travels of, one entry
    #: for all that git sees to differ from the commit.
    files: dict[str, str]
    #: Commit of the repository that the folder is in, and whether the folder differs from it.
    commit: str | None = None
    dirty: bool | None = None


@dataclass
class Change:
    """Why the cells of a workload began anew."""

    #: What the workload was called before.
    of: str
    #: What differed, one line each.
    differs: list[str]


@dataclass
class Plan:
    """What a matrix is going to do, as ``plan.json``: enough for a report and for resuming."""

    name: str
    title: str
    started_at: str
    repeats: int
    warm_up_runs: int
    seed: int
    axes: dict[str, list[str]]
    #: Cells that run here.
    cells: list[PlannedCell]
    #: Cells that cannot run here, with reasons; counted, never filled in.
    not_runnable: list[PlannedCell]
    #: Number of cells that the file excludes.
    excluded: int
    blocks: list[PlannedBlock]
    preparations: list[str]
    #: The scenario as read, in plain values.
    scenario: dict[str, Any]
    #: Axis -> values asked for with ``--only``; empty: all.
    only: dict[str, list[str]]
    #: Stack name -> its pin.
    stacks: dict[str, StackPin]
    #: Version, dirtiness and digest of the measured code.
    code: Code
    #: Reference of a data set -> bytes of its file.
    inputs: dict[str, int]
    #: The declarations of the workloads it uses, by name; ``None``: the plan is older than this key.
    declared: dict[str, Workload] | None = None
    #: How every run is measured (a method of ``stackyard_task.run``); ``None``: as the supervisor's environment says.
    measure: str | None = None
    #: Workloads whose code nowhere says shard, though the axis workers shares out their work.
    undivided: list[str] = field(default_factory=list)
    #: The folders that travel with commands, by the key of what runs them.
    folders: dict[str, PlannedFolder] = field(default_factory=dict)
    #: Path that a command reads -> what differs where it does.
    read: dict[str, str] = field(default_factory=dict)
    #: Workload as the file names it -> what its cells are called since its code, packages or inputs changed.
    renamed: dict[str, str] = field(default_factory=dict)
    #: Stack that the scenario adds -> the packages that it has beyond its base's, by version; as far as resolved.
    added: dict[str, dict[str, str]] = field(default_factory=dict)
    #: What a workload is called whose cells began anew -> why they did.
    changes: dict[str, Change] = field(default_factory=dict)
    kind: str = KIND
    api_version: int = records.API_VERSION

    @property
    def runs_total(self) -> int:
        """Runs of the matrix, warm-up runs included, preparations not."""
        return sum(len(block.order) for block in self.blocks)
