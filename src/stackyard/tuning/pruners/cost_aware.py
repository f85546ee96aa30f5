"""Stops a trial that will not become the best, as far as the courses of others tell: our own rule.

Where a trial will end is its last value and what others gained from the same place of their courses on, those nearest
in value first. The trial is stopped where even the optimistic end of that (LEVEL of cases) is no better than the best
so far. The idea of ending on a predicted course is Domhan, Springenberg and Hutter's (2015); that courses are
foretold from one another's without a form of curve follows Baker, Gupta, Raskar and Naik (2018).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stackyard.tuning.trial import Trial

Array = NDArray[np.float64]

#: Of cases in which a trial ends no better than is taken for the best that it may become.
LEVEL = 0.98
#: Completed trials without which nothing is stopped.
_LEAST = 3
#: Completed trials whose gains count: those nearest in value.
_NEAREST = 12


class CostAwarePruner:
    """Compares where a trial is likely to end with the best so far.

    Args:
        maximise: whether more of the first objective is better.
        settings: ``warm_up_cpu_seconds`` before which no trial is ended, ``start_trials`` that must have completed.
    """

    def __init__(self, maximise: bool, settings: Mapping[str, float]) -> None:
        self._sign = -1.0 if maximise else 1.0
        self._warm_up = settings.get("warm_up_cpu_seconds", 0.0)
        self._courses: dict[int, tuple[Array, Array, Array]] = {}
        self._least = max(_LEAST, int(settings.get("start_trials", _LEAST)))

    def why_stop(self, trial: Trial, trials: Sequence[Trial]) -> str | None:
        """Why a trial is to end now; ``None``: it goes on."""
        if not trial.course or (trial.course[-1].cpu_seconds or 0.0) < self._warm_up:
            return None
        whole = [self._learned(t) for t in trials if t.state == "completed" and t.course]
        if len(whole) < self._least:
            return None
        here = trial.course[-1]
        last = self._sign * here.value
        best = min(float(after[0]) for _, _, after in whole)
        found = []
        for steps, values, after in whole:
            place = min(int(np.searchsorted(steps, here.step, side="right")) - 1, len(steps) - 1)
            if place >= 0:
                found.append((abs(values[place] - last), values[place] - after[place]))
        gains = [gain for _, gain in sorted(found)[:_NEAREST]]
        if len(gains) < self._least or last - float(np.quantile(gains, LEVEL)) < best:
            return None
        end = self._sign * (last - float(np.quantile(gains, LEVEL)))
        return (
            f"at step {here.step:g} its value is {here.value:.6g}; in {LEVEL:.0%} of cases that ends at {end:.6g} or "
            f"worse, and the best so far is {self._sign * best:.6g}"
        )

    def _learned(self, trial: Trial) -> tuple[Array, Array, Array]:
        """Steps of a completed trial, its values (small is good), and the best from each of them on."""
        if trial.number not in self._courses:
            values = self._sign * np.array([point.value for point in trial.course])
            after = np.minimum.accumulate(values[::-1])[::-1]
            self._courses[trial.number] = (np.array([point.step for point in trial.course]), values, after)
        return self._courses[trial.number]
