"""A study's watcher that also writes down what happens, for the task on a server that shows it.

Each line is a ``StudyLine``; whoever reads the file keeps how far they have read. A continued study writes on, in the
same file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from stackyard.cli.study_watcher import TrialWatcher
from stackyard.tuning import fronts, progress, scalars
from stackyard.tuning.folder import StudyFolder, name_of
from stackyard.tuning.study import Study
from stackyard.tuning.trial import Trial
from stackyard_task import records
from stackyard_task.studies import StudyLine, TrialTold


class TellingWatcher:
    """Passes on to another watcher, and writes lines.

    Args:
        watcher: the other.
        study: what is searched.
        folder: where it lies; trials' tasks are read from their records there.
        file: where to write.
    """

    def __init__(self, watcher: TrialWatcher, study: Study, folder: StudyFolder, file: Path) -> None:
        self._watcher, self._study, self._folder, self._file = watcher, study, folder, file
        self._percent: int | None = None
        self._best: list[str] = []
        self._wall_seconds = 0.0
        self._write(StudyLine(study.name))

    def message(self, text: str) -> None:
        """One line worth knowing."""
        self._watcher.message(text)

    def begun(self, trial: Trial) -> None:
        """A trial begins."""
        self._watcher.begun(trial)

    def look(self, running: Sequence[Trial], trials: Sequence[Trial], wall_seconds: float) -> None:
        """Trials are under way."""
        self._watcher.look(running, trials, wall_seconds)
        self._wall_seconds = wall_seconds
        percent = self._new_percent(trials)
        if percent is not None:
            self._write(StudyLine(self._study.name, percent))

    def over(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """A trial ended, or was skipped."""
        self._watcher.over(trial, trials)
        best = [name_of(one.number) for one in fronts.front(trials, self._study.directions)]
        line = StudyLine(
            self._study.name,
            self._new_percent(trials),
            scalars.of(trial, trials, self._study),
            TrialTold(
                name_of(trial.number),
                trial.state,
                trial.parameters,
                trial.values,
                self._task_of(trial),
                None if trial.reason is None else trial.reason.message,
            ),
            None if best == self._best else best,
        )
        self._best = best
        self._write(line)

    def _new_percent(self, trials: Sequence[Trial]) -> int | None:
        """How far the study is, if that is not as before."""
        study = self._study
        share, _ = progress.share(study.budget, study.combinations, trials, self._wall_seconds)
        percent = int(100 * share)
        if percent == self._percent:
            return None
        self._percent = percent
        return percent

    def _task_of(self, trial: Trial) -> str | None:
        record = self._folder.runs.record(self._folder.run_of(trial)) if trial.folder else None
        return None if record is None or record.dispatch is None else record.dispatch.task_id

    def _write(self, line: StudyLine) -> None:
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(records.to_json(line)) + "\n")
