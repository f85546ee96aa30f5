"""How much wider or narrower bounds have to be, going by how earlier ones held. Pure.

Adaptive conformal inference (Gibbs and Candès 2021), with the width itself followed in steps, as in conformal control
(Angelopoulos, Candès and Tibshirani 2023): each miss widens what follows, each hit narrows it a little, so that in the
long run LEVEL of the bounds hold, whatever a search makes of the order in which trials come.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from stackyard.tuning.prediction.regression import LEVEL
from stackyard.tuning.trial import Interval, Trial

#: A miss widens by the exponential of this times LEVEL.
_GAIN = 0.1
#: Widths stay within this factor, either way.
_MOST = 8.0
#: Ends of bounds are kept to numbers that bear reckoning with.
_TINY, _MOST_LOG = 1e-300, 300.0


def factor(trials: Iterable[Trial], quantity: str, early: bool = False) -> float:
    """What the width of bounds is to be multiplied by.

    Args:
        trials: all so far, in order of their numbers.
        quantity: of QUANTITIES.
        early: whether those of predictions while a trial runs are meant.
    """
    log = 0.0
    for trial in trials:
        told = (trial.predicted_early if early else trial.predicted).get(quantity)
        held = None if told is None else holds(told, trial, quantity)
        if held is not None:
            log += _GAIN * ((0.0 if held else 1.0) - (1 - LEVEL))
            log = min(max(log, -math.log(_MOST)), math.log(_MOST))
    return math.exp(log)


def holds(told: Interval, trial: Trial, quantity: str) -> bool | None:
    """Whether bounds held what came; ``None``: nobody knows what would have come."""
    used = trial.used.get(quantity)
    if used is None:
        return None
    if trial.state == "completed":
        # figures are kept in decimal: a difference in the last digits is none
        margin = 1e-9 * abs(used)
        return told.low - margin <= used <= told.high + margin
    if trial.state == "stopped" and quantity != "step_seconds" and used > told.high:
        return False
    return None


def widened(told: Interval, by: float) -> Interval:
    """Bounds further from the value, or nearer to it, in the logarithm.

    Args:
        told: the bounds; those of 0 stay.
        by: factor.
    """
    if told.value <= 0:
        return told
    low, high = (
        told.value * math.exp(min(max(by * math.log(max(end, _TINY) / told.value), -_MOST_LOG), _MOST_LOG))
        for end in (told.low, told.high)
    )
    return Interval(told.value, low, high)
