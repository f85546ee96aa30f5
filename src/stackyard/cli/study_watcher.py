"""What a terminal shows of a study while it goes on: each trial in a line, and below them how far it is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from stackyard.cli.lines import Lines, Watcher, lines
from stackyard.cli.study_shown import line
from stackyard.tuning import fronts, progress
from stackyard.tuning.folder import name_of
from stackyard.tuning.report import wording
from stackyard.tuning.study import Study
from stackyard.tuning.trial import Trial, best


class TrialWatcher(Watcher):
    """One line per trial, with a star where it is the best so far, or on the front; below them how far it is."""

    def __init__(self, lines: Lines, study: Study) -> None:
        super().__init__(lines)
        self._study = study

    def begun(self, trial: Trial) -> None:
        """Trials are told when they end."""

    def look(self, running: Sequence[Trial], trials: Sequence[Trial], wall_seconds: float) -> None:
        """How far it is, what runs, and the best so far."""
        study, first = self._study, self._study.objectives[0]
        done, words = progress.share(study.budget, study.combinations, trials, wall_seconds)
        found = best(trials, first.name, first.maximise)
        value = "" if found is None else wording.amount(found.values[first.name], first.name)
        said = "" if found is None else f"  best {first.name} {value} ({name_of(found.number)})"
        self._lines.show(f"{words}  {', '.join(name_of(t.number) for t in running)}{said}", done, 1.0)

    def over(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """One line."""
        front = fronts.front(trials, self._study.directions)
        self.message(line(trial) + (" *" if any(one is trial for one in front) else ""))


def watcher(console: Console, study: Study) -> TrialWatcher:
    """The watcher that suits where ``console`` prints to."""
    return TrialWatcher(lines(console), study)
