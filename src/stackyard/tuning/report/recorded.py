"""What the records of trials' runs say beside their figures, bounded: notes. Reads files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from stackyard.tuning import notes
from stackyard.tuning.folder import StudyFolder
from stackyard.tuning.trial import Trial
from stackyard_task import records
from stackyard_task.records import RunRecord

#: Records that are read of a study; of more runs some that lie evenly among them.
MOST_RECORDS = 100


def noted(runs: Sequence[RunRecord]) -> dict[str, int]:
    """What runs note, and in how many of them; at most so many notes, the first."""
    found: dict[str, int] = {}
    for record in runs:
        for text in dict.fromkeys(record.notes):
            note = notes.shown(text)
            if note in found or len(found) < notes.MOST_NOTES:
                found[note] = found.get(note, 0) + 1
    return found


def notes_of(place: StudyFolder, trials: Sequence[Trial]) -> dict[str, int]:
    """What the runs of some trials note, and in how many of the records that are read."""
    return noted(read(place, spread(ran(trials), MOST_RECORDS)))


def read(place: StudyFolder, trials: Sequence[Trial]) -> list[RunRecord]:
    """The records of trials' runs; what cannot be read is left out."""
    found = []
    for trial in trials:
        with suppress(records.RecordError, OSError):
            found.append(records.read_json(RunRecord, place.run_of(trial) / records.RECORD_FILE))
    return found


def ran(trials: Sequence[Trial]) -> list[Trial]:
    """Those whose run is over."""
    return [trial for trial in trials if trial.folder is not None and trial.over]


def spread(items: Sequence[Trial], most: int) -> Sequence[Trial]:
    """At most so many of them, evenly among all, the first and the last included."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]
