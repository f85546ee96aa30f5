"""Reads a study's folder for its report: study.json, every trial, and of the runs' records how they were measured.

The only file of this report that reads.
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
from stackyard.tuning.report import told
from stackyard.tuning.report.report import Found
from stackyard.tuning.study import TRIAL_AXIS
from stackyard.tuning.trial import Trial
from stackyard_task import records
from stackyard_task.records import RunRecord

#: Records that are read for the facts of where and how; of more runs some that lie evenly among them.
MOST_RECORDS = 100
#: Notes that are told, and characters of one.
MOST_NOTES, MOST_LETTERS = 20, 400


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
    said = told.read(study)
    ran = [trial for trial in trials if trial.folder is not None and trial.over]
    found = read_records(place, spread(ran, MOST_RECORDS))
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
        noted(found),
    )


def spread(items: Sequence[Trial], most: int) -> Sequence[Trial]:
    """At most so many of them, evenly among all, the first and the last included."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def simulated(found: Sequence[RunRecord]) -> list[str]:
    """What of runs was measured by simulated counters, in words."""

    def is_said(text: str | None) -> bool:
        return "simulated" in (text or "").lower()

    names = {
        "energy": any(is_said(record.measurement.energy_method) for record in found),
        "GPU memory": any(
            is_said(gpu.peak_memory_method) or is_said(gpu.name)
            for record in found
            for gpu in record.measurement.gpus
        ),
    }
    return [name for name, said in names.items() if said]


def noted(found: Sequence[RunRecord]) -> dict[str, int]:
    """What runs note, and in how many of them; at most so many notes, the first."""
    notes: dict[str, int] = {}
    for record in found:
        for text in dict.fromkeys(record.notes):
            note = "".join(letter if letter.isprintable() else " " for letter in text[:MOST_LETTERS])
            if note in notes or len(notes) < MOST_NOTES:
                notes[note] = notes.get(note, 0) + 1
    return notes


def read_records(place: StudyFolder, trials: Sequence[Trial]) -> list[RunRecord]:
    """The records of trials' runs; what cannot be read is left out."""
    found = []
    for trial in trials:
        with suppress(records.RecordError, OSError):
            found.append(records.read_json(RunRecord, place.run_of(trial) / records.RECORD_FILE))
    return found


def _as_of_one_cell(record: RunRecord) -> RunRecord:
    """A run's record as that of a cell's completed run: a stopped one was measured as one that came to its end."""
    cell = {axis: level for axis, level in record.cell.items() if axis != TRIAL_AXIS}
    return replace(record, status="completed", cell=cell)


def _axes(folder: Path, found: Sequence[RunRecord]) -> dict[str, str]:
    """What is the same in all trials: as the plan says, else as a record does."""
    axes: dict[str, str] = {}
    with suppress(records.RecordError, OSError):
        plan = records.read_json(_Plan, folder / "plan.json", records.LIST_BYTES)
        axes = {axis: ", ".join(levels) for axis, levels in plan.axes.items()}
    if not axes and found:
        axes = dict(found[0].cell)
    axes.pop(TRIAL_AXIS, None)
    return axes
