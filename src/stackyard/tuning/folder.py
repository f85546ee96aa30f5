"""The folder of a study: a run folder with ``study.json`` and a file for every trial beside its run.

    OUT/plan.json scenario.toml prepared/ code/ abandoned/    as of a matrix (docs/scenarios.md)
    OUT/study.json                                            what is searched, since when, from which file
    OUT/runs/t0001/                                           the run of a trial, as any other run
    OUT/runs/t0001.json                                       the trial: parameters, state, values, what it used, why

Every file is written whole or not at all, so a controller that is killed at any moment leaves what it decided last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackyard.errors import BadInputError
from stackyard.matrix.runs import RunFolder
from stackyard.scenarios import differences
from stackyard.tuning import damage
from stackyard.tuning.trial import Trial
from stackyard_task import records
from stackyard_task.studies import STUDY_FILE

KIND = "stackyard study"
#: Of what a study is continued by, what may differ: how much it may cost, and how trials are packed. The bounds of a
#: trial follow from its limits, which are compared, and from what the plan holds.
_MAY_DIFFER = ("budget", "packing", "bounds")
_MOST_SHOWN = 5
#: Name of a trial's file.
_FILE = re.compile(r"t[0-9]+\.json")


@dataclass
class StudyFile:
    """What ``study.json`` holds."""

    name: str
    title: str
    #: The study file as it was called, and the command that continues it.
    file: str
    started_at: str
    #: As ``study.plain`` has it.
    study: dict[str, Any] = field(default_factory=dict)
    #: Wall seconds of the runs of the tuner so far.
    wall_seconds: float = 0.0
    #: How it ended last: "running", "finished", "interrupted" or "failed", and why.
    state: str = "running"
    message: str = ""
    #: What changed since it began and was accepted, each with how many trials there were.
    changes: list[str] = field(default_factory=list)
    kind: str = KIND
    api_version: int = records.API_VERSION


class StudyFolder:
    """One study's folder.

    Args:
        path: where.
        again: the command that continues it, but for ``--out`` and ``--resume``.
    """

    def __init__(self, path: Path, again: str | None = None) -> None:
        self.path = path
        self.runs = RunFolder(path, again)

    @property
    def study_path(self) -> Path:
        """Where study.json lies."""
        return self.path / STUDY_FILE

    def study(self) -> StudyFile | None:
        """What lies here; ``None``: nothing.

        Raises:
            BadInputError: it is no study of ours, or cannot be read.
        """
        if not self.study_path.exists():
            return None
        try:
            found = records.read_json(StudyFile, self.study_path, records.LIST_BYTES)
        except records.RecordError as error:
            raise BadInputError(f"{error}; choose another folder") from error
        if found.kind != KIND:
            raise BadInputError(f"{self.study_path}: not a study of stackyard; choose another folder")
        return found

    def needed(self) -> StudyFile:
        """As ``study``.

        Raises:
            BadInputError: there is none, too.
        """
        found = self.study()
        if found is None:
            raise BadInputError(f"{self.path}: holds no study; start one with: stackyard tune run FILE")
        return found

    def refuse_other(self, old: StudyFile, now: dict[str, Any]) -> None:
        """Refuse to continue a study as another.

        Raises:
            BadInputError: with the keys that differ.
        """
        was = {key: value for key, value in old.study.items() if key not in _MAY_DIFFER}
        lines = differences(was, {key: value for key, value in now.items() if key not in _MAY_DIFFER})
        if lines:
            more = f"; and {len(lines) - _MOST_SHOWN} more" if len(lines) > _MOST_SHOWN else ""
            raise BadInputError(
                f"{self.path}: the study is not the one that began there ({'; '.join(lines[:_MOST_SHOWN])}{more}); "
                "give the same one, or search anew: stackyard tune run FILE --fresh, or with another --out"
            )

    def write_study(self, study: StudyFile) -> None:
        """Keep what the study is."""
        records.write_json(study, self.study_path)

    def sweep(self) -> None:
        """Remove what a tuner that was killed while it wrote has left half-written; the folder must be held."""
        for file in (self.path / "runs").glob(".t*.json.*"):
            file.unlink(missing_ok=True)

    # -- trials ------------------------------------------------------------------------------------

    def run_of(self, trial: Trial) -> Path:
        """The folder of a trial's run."""
        return self.path / "runs" / name_of(trial.number)

    def write(self, trial: Trial) -> None:
        """Keep a trial as it stands."""
        records.write_json(trial, self._file(trial.number))

    def trials(self) -> list[Trial]:
        """Every trial in order of its number.

        Raises:
            BadInputError: one cannot be read, says what no tuner writes, or is missing between others.
        """
        found = []
        study = self.study()
        space = None if study is None else damage.kept_space(study.study)
        for path in sorted((self.path / "runs").glob("t*.json")):
            if not is_trial(path.name):
                continue
            try:
                trial = records.read_json(Trial, path)
                wrong = damage.problem(trial, space)
            except records.RecordError as error:
                wrong = str(error)
            if wrong is not None:
                file = "" if wrong.startswith(str(path)) else f"{path}: "
                raise BadInputError(
                    f"{file}{wrong}; a trial's file was damaged: mend it, or replace the study with --fresh"
                )
            found.append(trial)
        found.sort(key=lambda trial: trial.number)
        for place, trial in enumerate(found):
            if trial.number != place:
                raise BadInputError(
                    f"{self._file(place)}: is missing though later trials are there; bring it back, or replace the "
                    "study with --fresh"
                )
        return found

    def _file(self, number: int) -> Path:
        return self.path / "runs" / f"{name_of(number)}.json"


def is_trial(file: str) -> bool:
    """Whether a file beside the runs is a trial's, by its name."""
    return _FILE.fullmatch(file) is not None


def name_of(number: int) -> str:
    """A trial's name in folders, cells and tables: t0001 for the first."""
    return f"t{number + 1:04d}"


def numbered(name: str, trials: Sequence[Trial]) -> Trial:
    """The trial of this name, or number.

    Raises:
        BadInputError: there is none.
    """
    digits = name[1:] if name[:1] in ("t", "T") else name
    if digits.isascii() and digits.isdigit() and 1 <= int(digits) <= len(trials):
        return trials[int(digits) - 1]
    raise BadInputError(
        f"trial {name!r}: there is none; the trials are t0001 to {name_of(len(trials) - 1)}"
        if trials
        else f"trial {name!r}: the study has no trial yet"
    )
