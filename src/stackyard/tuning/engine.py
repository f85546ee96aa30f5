"""What to run next, and what to end: the decisions of a study. Pure: no clock, file or process.

The controller asks ``next`` whenever there is room, and ``why_end`` whenever a trial under way has told something. The
bench asks the same of trials that it reads off tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stackyard.tuning import prediction, pruners, samplers, skipping
from stackyard.tuning.samplers import Question
from stackyard.tuning.study import Study
from stackyard.tuning.trial import Reason, Trial

#: Suggestions that are skipped one after the other before the search is taken to be over.
MOST_SKIPPED_IN_A_ROW = 500
#: Trials that may fail at the beginning, with none completed, before the study gives up.
MOST_FAILED_FIRST = 3
#: A value is judged while the trial has used no more CPU since it was told, in seconds or as a share of what it had.
_FRESH_SECONDS, _FRESH_SHARE = 1.0, 0.1


@dataclass(frozen=True)
class Over:
    """Nothing more is to be begun."""

    #: "budget", "space" (nothing is left to try), "skipped" (all suggestions would break a limit), or "failed".
    kind: str
    #: One sentence.
    message: str


class Engine:
    """Decides for one study.

    Args:
        study: what is searched.

    Raises:
        NotRunnableError: what the sampler or the pruner needs is not installed.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._bounds = study.bounds()
        question = Question(study.space, study.directions, study.search.seed, self._bounds)
        self._sampler = samplers.made(study.search.sampler, question)
        self._pruner = pruners.made(
            study.search.pruner, study.objectives[0].maximise, study.search.pruner_settings
        )

    def next(self, trials: Sequence[Trial], wall_seconds: float = 0.0) -> Trial | Over:
        """The next trial, planned or skipped; or why there is none. The caller keeps it, skipped ones too.

        Args:
            trials: all so far, in order of their numbers; those under way with what they used by now.
            wall_seconds: since the study began.
        """
        over = self.spent(trials, wall_seconds) or self._failing(trials) or self._all_skipped(trials)
        if over is not None:
            return over
        parameters = self._sampler.ask(trials)
        if parameters is None:
            return Over("space", "every combination of the space was tried")
        trial = Trial(len(trials), dict(parameters))
        trial.predicted = prediction.before(self.study.space, trial.parameters, trials)
        if self.study.search.skip:
            reason = skipping.why_skip(self._bounds, trial.predicted, trials)
            if reason is not None and skipping.is_checked(
                self.study.search.seed, trial.number, self.study.search.check_share
            ):
                trial.checks_prediction = True
            elif reason is not None:
                trial.state, trial.reason = "skipped", reason
        return trial

    def why_end(self, trial: Trial, trials: Sequence[Trial], wall_seconds: float = 0.0) -> Reason | None:
        """Why a trial under way is to end now; ``None``: it goes on. Limits are not asked here: the run holds them."""
        over = self.spent([t for t in trials if t.number != trial.number] + [trial], wall_seconds, begun=True)
        if over is not None:
            return Reason("budget", over.message)
        foreseen = self._breaks_early(trial, trials)
        if foreseen is not None:
            return foreseen
        # what was told a while ago says little of what the trial has come to since
        at = trial.course[-1].cpu_seconds if trial.course else None
        age = None if at is None else trial.used.get("cpu_seconds", at) - at
        if self._pruner is None or age is None or age > max(_FRESH_SECONDS, _FRESH_SHARE * (at or 0.0)):
            return None
        message = self._pruner.why_stop(trial, trials)
        return None if message is None else Reason("pruner", message)

    def foresee(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """Predict once, after its first steps, what a trial under way will have used, and whether it is to show it."""
        share = trial.readings[-1].share if trial.readings else None
        if trial.early_share is None and share is not None and share >= prediction.EARLY_SHARE:
            trial.early_share = share
            trial.predicted_early = prediction.during(self.study.space, trial, trials)
            if self._breaks_early(trial, trials) is not None:
                search = self.study.search
                trial.checks_prediction |= skipping.is_checked(search.seed, trial.number, search.check_share)

    def _breaks_early(self, trial: Trial, trials: Sequence[Trial]) -> Reason | None:
        """Why a trial will break a limit, as its first steps say; ``None``: it may keep them, or is to show it."""
        if not self.study.search.skip or trial.checks_prediction:
            return None
        return skipping.why_skip(self._bounds, trial.predicted_early, trials, "ended early")

    def spent(self, trials: Sequence[Trial], wall_seconds: float, begun: bool = False) -> Over | None:
        """Why the budget allows no further trial; with ``begun`` none of those under way either. ``None``: it does."""
        budget = self.study.budget
        count = sum(trial.state != "skipped" for trial in trials)
        if not begun and budget.trials is not None and count >= budget.trials:
            skipped = len(trials) - count
            beside = f"; {skipped} skipped ones are not counted" if skipped else ""
            return Over("budget", f"the budget of {budget.trials} trials is used up{beside}")
        used = sum(trial.spent_cpu_seconds for trial in trials)
        if budget.cpu_seconds is not None and used >= budget.cpu_seconds:
            return Over("budget", f"the budget of {budget.cpu_seconds:g} CPU seconds is used up")
        if budget.wall_seconds is not None and wall_seconds >= budget.wall_seconds:
            return Over("budget", f"the budget of {budget.wall_seconds:g} s is used up")
        return None

    def _failing(self, trials: Sequence[Trial]) -> Over | None:
        failed = [trial for trial in trials if trial.state == "failed"]
        tried = [trial for trial in trials if trial.over and trial.state != "skipped"]
        if len(failed) < MOST_FAILED_FIRST or len(failed) < len(tried):
            return None
        reason = failed[0].reason
        said = "" if reason is None else f" (the first: {reason.message})"
        return Over("failed", f"the first {len(failed)} trials failed and none completed{said}")

    def _all_skipped(self, trials: Sequence[Trial]) -> Over | None:
        last = trials[-MOST_SKIPPED_IN_A_ROW:]
        if len(last) < MOST_SKIPPED_IN_A_ROW or any(trial.state != "skipped" for trial in last):
            return None
        return Over("skipped", f"the last {len(last)} suggestions are predicted to break a limit")
