"""Where a study stands: trials by state, what is used and left, what is under way, the best so far. Reads files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stackyard.tuning import fronts, progress
from stackyard.tuning.folder import StudyFile, StudyFolder, name_of
from stackyard.tuning.prediction import readings
from stackyard.tuning.report import recorded, settings
from stackyard.tuning.trial import STATES, Trial
from stackyard_task import records
from stackyard_task.records import Progress

#: Trials under way that are told of.
MOST_UNDER_WAY = 64


def of(study: StudyFile, trials: Sequence[Trial], place: StudyFolder) -> dict[str, Any]:
    """How far a study is, as JSON.

    Args:
        study: as its file has it.
        trials: all so far.
        place: where it lies; what trials under way have used is read from their runs there.

    Raises:
        BadInputError: its file says what no tuner writes.
    """
    said = settings.read(study)
    stopped: dict[str, int] = {}
    for trial in trials:
        if trial.state == "stopped" and trial.reason is not None:
            name = trial.reason.quantity or trial.reason.kind
            stopped[name] = stopped.get(name, 0) + 1
    going = _under_way(study, trials, place)
    # the file of a trial under way does not have what it uses yet
    now = [
        replace(trial, used={**trial.used, **readings.of(going[trial.number]).used})
        if trial.number in going
        else trial
        for trial in trials
    ]
    first = next(iter(said.objectives), "")
    return {
        "name": study.name,
        "title": study.title,
        "state": study.state,
        "message": study.message,
        "trials": len(trials),
        **{state: sum(t.state == state for t in trials) for state in STATES},
        "stopped_by": stopped,
        "cpu_seconds": sum(trial.spent_cpu_seconds for trial in now),
        "wall_seconds": study.wall_seconds,
        "budget": study.study.get("budget", {}),
        "left": progress.left(said.budget, said.combinations, now, study.wall_seconds),
        "under_way": [_going(trial, going[trial.number], first) for trial in now if trial.number in going],
        "notes": recorded.notes_of(place, trials),
        "changes": study.changes,
        "best": [as_json(trial) for trial in best(study, trials)],
    }


def best(study: StudyFile, trials: Sequence[Trial]) -> list[Trial]:
    """The best trial, or with several objectives those that no other beats in all of them.

    Raises:
        BadInputError: the study's file says what no tuner writes.
    """
    directions = settings.read(study).directions
    return fronts.front(trials, directions) if directions else []


def as_json(trial: Trial) -> dict[str, Any]:
    """A trial as JSON, with its name."""
    return {"name": name_of(trial.number), **records.to_json(trial)}


def _under_way(study: StudyFile, trials: Sequence[Trial], place: StudyFolder) -> dict[int, Progress]:
    """What trials under way have done, as their runs tell, by number."""
    found = {}
    for trial in [trial for trial in trials if trial.state == "running"][:MOST_UNDER_WAY]:
        try:
            told = records.read_json(Progress, place.run_of(trial) / records.PROGRESS_FILE)
        except (records.RecordError, OSError):
            if study.state != "running":
                continue  # nobody is at it any more
            told = Progress()
        found[trial.number] = told
    return found


def _going(trial: Trial, told: Progress, first: str) -> dict[str, Any]:
    """One trial under way; ``None``: not told yet."""
    reading, point = readings.of(told), told.metrics.get(first)
    return {
        "name": name_of(trial.number),
        "number": trial.number,
        "parameters": trial.parameters,
        "share": reading.share,
        "objective": first,
        "value": None if point is None else point.value,
        "cpu_seconds": reading.used.get("cpu_seconds"),
    }
