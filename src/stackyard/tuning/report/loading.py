"""Reads a study's folder for its report: study.json, every trial, and of the runs' records how they were measured.

Beside ``recorded`` the only file of this report that reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from stackyard.reports import facts
from stackyard.reports.cells import arrange
from stackyard.reports.loading import Run, Study
from stackyard.tuning.folder import StudyFolder
from stackyard.tuning.report import recorded, settings
from stackyard.tuning.report.report import Found
from stackyard.tuning.study import TRIAL_AXIS
from stackyard_task import records
from stackyard_task.records import RunRecord


@dataclass(frozen=True)
class _Plan:
    """What of a study's plan.json its report reads."""

    axes: dict[str, list[str]]


def load(folder: Path) -> Found:
    """What lies in a study's folder.

    Raises:
        BadInputError: it holds no study, or a trial cannot be read.
    """
    place = StudyFolder(folder)
    study, trials = place.needed(), place.trials()
    said = settings.read(study)
    ran = recorded.ran(trials)
    found = recorded.read(place, recorded.spread(ran, recorded.MOST_RECORDS))
    whole = [_as_of_one_cell(record) for record in found if record.status in ("completed", "stopped")]
    matrix = arrange(Study(tuple(Run(record, 0, record.run_id) for record in whole)))
    return Found(
        study,
        said,
        trials,
        _axes(folder, whole),
        facts.methods(matrix),
        facts.environment(matrix),
        len(whole),
        len(ran),
        simulated(whole),
        recorded.noted(found),
    )


def simulated(found: Sequence[RunRecord]) -> list[str]:
    """Quantities of runs that were measured by simulated counters."""

    def is_said(text: str | None) -> bool:
        return "simulated" in (text or "").lower()

    names = {
        "energy_joules": any(is_said(record.measurement.energy_method) for record in found),
        "gpu_memory_bytes": any(
            is_said(gpu.peak_memory_method) or is_said(gpu.name)
            for record in found
            for gpu in record.measurement.gpus
        ),
    }
    return [name for name, said in names.items() if said]


def _as_of_one_cell(record: RunRecord) -> RunRecord:
    """A run's record as that of a cell's completed run: a stopped one was measured as one that came to its end."""
    cell = {axis: level for axis, level in record.cell.items() if axis != TRIAL_AXIS}
    return replace(record, status="completed", cell=cell)


def _axes(folder: Path, found: Sequence[RunRecord]) -> dict[str, str]:
    """What is the same in all trials: as the plan says, else as a record does."""
    axes: dict[str, str] = {}
    with suppress(records.RecordError, OSError):
        plan = records.read_json(_Plan, folder / records.PLAN_FILE, records.LIST_BYTES)
        axes = {axis: ", ".join(levels) for axis, levels in plan.axes.items()}
    if not axes and found:
        axes = dict(found[0].cell)
    axes.pop(TRIAL_AXIS, None)
    return axes
