"""What was predicted of trials, beside what came: errors, how often the bounds held, what was skipped wrongly. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stackyard.tuning.prediction import calibration
from stackyard.tuning.trial import QUANTITIES, Trial


@dataclass(frozen=True)
class Accuracy:
    """How near predictions of one quantity came. Percentages; ``None``: there is nothing to count."""

    quantity: str
    #: Completed trials that had a prediction.
    trials: int
    #: Of the used amount.
    median_error_percent: float | None
    p90_error_percent: float | None
    #: Predictions of which is known whether the bounds held: of trials that completed, or went beyond the bounds.
    decided: int
    coverage_percent: float | None


@dataclass(frozen=True)
class Skipped:
    """What became of what was predicted to break a limit."""

    skipped: int
    #: Run all the same, and ended by a limit or by itself.
    checked: int
    #: Of those, the ones that kept every limit.
    wrongly: int

    @property
    def wrongly_percent(self) -> float | None:
        """Of those checked; ``None``: none was."""
        return 100 * self.wrongly / self.checked if self.checked else None


def of_quantity(trials: Sequence[Trial], quantity: str, early: bool = False) -> Accuracy:
    """How near predictions of a quantity came.

    Args:
        trials: of one or several studies.
        quantity: of QUANTITIES.
        early: those that were made while trials ran, not those before their start.
    """
    errors, held = [], []
    for trial in trials:
        told = (trial.predicted_early if early else trial.predicted).get(quantity)
        if told is None:
            continue
        holds = calibration.holds(told, trial, quantity)
        if holds is not None:
            held.append(holds)
        used = trial.used.get(quantity)
        if trial.state == "completed" and used:
            errors.append(100 * abs(told.value - used) / used)
    return Accuracy(
        quantity,
        len(errors),
        float(np.median(errors)) if errors else None,
        float(np.quantile(errors, 0.9)) if errors else None,
        len(held),
        100 * sum(held) / len(held) if held else None,
    )


def table(trials: Sequence[Trial], early: bool = False) -> list[Accuracy]:
    """``of_quantity`` for each quantity that was predicted and is known of any trial."""
    found = (of_quantity(trials, quantity, early) for quantity in QUANTITIES)
    return [one for one in found if one.trials or one.decided]


def of_skipped(trials: Sequence[Trial]) -> Skipped:
    """What became of what was predicted to break a limit."""
    checked = [trial for trial in trials if trial.checks_prediction and trial.kept_limits is not None]
    return Skipped(
        sum(trial.state == "skipped" for trial in trials),
        len(checked),
        sum(trial.kept_limits is True for trial in checked),
    )
