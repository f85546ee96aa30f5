"""The median rule and successive halving, both Optuna's, told of CPU time as the step.

Median: Golovin et al., 2017 (Vizier). Successive halving: Li et al., 2020 (ASHA). Trials tell their values at any
moment, so a course is read off at fixed amounts of CPU time, where a trial has the best value that it had by then.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard import extras
from stackyard.tuning.trial import Trial

#: Where courses are read off: the first amount of CPU, and by how much the next is greater.
_FIRST_SECONDS, _GROWTH = 0.1, 1.1
#: What takes longer is compared with nothing.
_LONGEST_SECONDS = 1e7
#: What successive halving counts resources in.
_RESOURCE_SECONDS = 0.1


class LibraryPruner:
    """One of Optuna's pruners.

    Args:
        kind: "median" or "successive-halving".
        maximise: whether more of the first objective is better.
        settings: ``warm_up_cpu_seconds`` before which no trial is ended, ``start_trials`` that the median needs,
            ``reduction_factor`` of successive halving.

    Raises:
        NotRunnableError: Optuna is not installed.
    """

    def __init__(self, kind: str, maximise: bool, settings: Mapping[str, float]) -> None:
        extras.check("tuning", f"the pruner {kind} is Optuna's")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._kind, self._maximise = kind, maximise
        self._warm_up = settings["warm_up_cpu_seconds"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "median":
                pruner: Any = optuna.pruners.MedianPruner(
                    n_startup_trials=int(settings["start_trials"]), n_warmup_steps=_tick(self._warm_up) + 1
                )
            else:
                pruner = optuna.pruners.SuccessiveHalvingPruner(
                    min_resource=max(1, math.ceil(self._warm_up / _RESOURCE_SECONDS)),
                    reduction_factor=max(2, round(settings["reduction_factor"])),
                )
        self._study = optuna.create_study(direction="maximize" if maximise else "minimize", pruner=pruner)
        #: Number of a trial -> Optuna's, and how many points of its course it was told.
        self._open: dict[int, tuple[Any, int, int]] = {}
        self._told: set[int] = set()

    def why_stop(self, trial: Trial, trials: Sequence[Trial]) -> str | None:
        """Why Optuna would end a trial now; ``None``: it goes on."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for other in trials:
                if other.over and other.number != trial.number:
                    self._close(other)
            prune = self._follow(trial)
        if not prune or not trial.course:
            return None
        at = trial.course[-1].cpu_seconds or 0.0
        rule = (
            "is worse than the median of the completed trials"
            if self._kind == "median"
            else "is not among the best that came so far"
        )
        return f"after {at:.1f} s of CPU its best value {self._best(trial):.6g} {rule} at equal CPU time"

    def _best(self, trial: Trial) -> float:
        values = [point.value for point in trial.course]
        return max(values) if self._maximise else min(values)

    def _close(self, trial: Trial) -> None:
        import optuna

        if trial.number in self._told or trial.state == "skipped":
            return
        self._follow(trial)
        self._told.add(trial.number)
        own, _, tick = self._open.pop(trial.number)
        whole = trial.state == "completed" and bool(trial.course)
        if whole and self._kind == "median":  # what it found stands beside whatever takes longer
            for later in range(tick + 1, _tick(_LONGEST_SECONDS)):
                own.report(self._best(trial), later)
        state = optuna.trial.TrialState.COMPLETE if whole else optuna.trial.TrialState.PRUNED
        self._study.tell(own, trial.course[-1].value if whole else None, state=state)

    def _follow(self, trial: Trial) -> bool:
        """Tell what of a course was not told yet; answers whether the trial would be ended at its last point."""
        own, told, tick = self._open.get(trial.number) or (self._study.ask(), 0, -1)
        prune = False
        best: float | None = None
        for index, point in enumerate(trial.course):
            better = best is None or (point.value > best if self._maximise else point.value < best)
            best = point.value if better else best
            if index < told or point.cpu_seconds is None:
                continue
            assert best is not None
            if self._kind == "median":
                now = _tick(point.cpu_seconds)
            else:  # loading and start-up are no resource that a trial was given to get better
                begun = trial.course[0].cpu_seconds or 0.0
                now = int((point.cpu_seconds - begun) / _RESOURCE_SECONDS) + 1
            if now <= tick:
                continue
            # between two points the earlier value holds: what Optuna compares are equal ticks
            for passed in range(tick + 1, now) if self._kind == "median" and index else ():
                own.report(self._before(trial, index), passed)
            own.report(best, now)
            tick = now
            prune = bool(own.should_prune())
        self._open[trial.number] = (own, len(trial.course), tick)
        return prune

    def _before(self, trial: Trial, index: int) -> float:
        values = [point.value for point in trial.course[:index]]
        return max(values) if self._maximise else min(values)


def _tick(cpu_seconds: float) -> int:
    """The last of the fixed amounts of CPU that is not beyond ``cpu_seconds``; -1: none is."""
    if cpu_seconds < _FIRST_SECONDS:
        return -1
    return int(math.log(cpu_seconds / _FIRST_SECONDS) / math.log(_GROWTH) + 1e-9)
