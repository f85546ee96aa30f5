"""What a trial will use, before it starts: from what earlier trials of the study used. Pure.

``scales`` says on which scale amounts are compared, ``regression`` how a value and its bounds come about, and
``calibration`` how the bounds are held to their promise.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.tuning.prediction import calibration, regression, scales
from stackyard.tuning.prediction.regression import BOUND, ROUGH, SEEN, Known
from stackyard.tuning.space import Space
from stackyard.tuning.trial import QUANTITIES, Interval, Trial

#: Points kept of one space, so that each is reckoned once.
_MOST_POINTS = 20_000
#: Exponents that are taken back from logarithms: beyond, a number is too great to be meant.
_MOST_LOG = 200.0


def before(
    space: Space,
    parameters: Mapping[str, Any],
    trials: Sequence[Trial],
    quantities: Sequence[str] = QUANTITIES,
) -> dict[str, Interval]:
    """What a trial will use, by quantity, each with bounds that hold it in 90 % of cases.

    Args:
        space: of the study.
        parameters: of the trial.
        trials: all so far, in order of their numbers. Completed ones count with what they used; stopped ones, and
            those that died of memory, with what they had used by then, as a lower bound.
        quantities: of QUANTITIES.

    Returns:
        A quantity of which fewer than ``regression.LEAST_VALUES`` completed trials know something is absent, as is
        one that was 0 in some of them; one that was 0 in all of them is 0.
    """
    point = point_of(space, parameters)
    found = {}
    for quantity in quantities:
        if _always_nothing(trials, quantity):
            found[quantity] = Interval(0.0, 0.0, 0.0)
            continue
        known = of_trials(space, trials, quantity)
        guess = None if known is None else scales.guess(known, point)
        if guess is not None:
            told = Interval(guess.value, guess.low, guess.high)
            found[quantity] = calibration.widened(told, calibration.factor(trials, quantity))
    return found


def of_trials(space: Space, trials: Sequence[Trial], quantity: str) -> Known | None:
    """What earlier trials say of a quantity; ``None``: it cannot be taken from them."""
    points, values, kinds, had = [], [], [], _points(space)
    for trial in trials:
        used, kind = _used(trial, quantity)
        if used is None:
            continue
        if used <= 0:
            if kind == SEEN:
                return None
            continue
        points.append(_point(space, trial.parameters, had))
        values.append(used)
        kinds.append(kind)
    return Known(tuple(points), groups(space), tuple(values), tuple(kinds))


def _always_nothing(trials: Sequence[Trial], quantity: str) -> bool:
    used = [t.used[quantity] for t in trials if t.state == "completed" and quantity in t.used]
    return len(used) >= regression.LEAST_VALUES and not any(used)


def point_of(space: Space, parameters: Mapping[str, Any]) -> tuple[float, ...]:
    """``space.unit``, kept."""
    return _point(space, parameters, _points(space))


def _point(
    space: Space, parameters: Mapping[str, Any], had: dict[Any, tuple[float, ...]]
) -> tuple[float, ...]:
    values = tuple(parameters[name] for name in space.names)
    key = (values, tuple(map(type, values)))
    found = had.get(key)
    if found is None:
        if len(had) >= _MOST_POINTS:
            had.clear()
        found = had[key] = space.unit(parameters)
    return found


@functools.lru_cache(maxsize=16)
def _points(space: Space) -> dict[Any, tuple[float, ...]]:
    """The points reckoned of a space so far."""
    return {}


def groups(space: Space) -> tuple[int, ...]:
    """Of each coordinate of ``space.unit``, which dimension it belongs to."""
    return tuple(index for index, dimension in enumerate(space.dimensions) for _ in range(dimension.width))


def interval(guess: regression.Guess, base: float = 1.0) -> Interval:
    """A guess in logarithms as an interval.

    Args:
        guess: logarithms.
        base: what its exponentials are factors of.
    """
    low, value, high = (
        base * math.exp(min(max(x, -_MOST_LOG), _MOST_LOG)) for x in (guess.low, guess.value, guess.high)
    )
    return Interval(value, low, high)


def _used(trial: Trial, quantity: str) -> tuple[float | None, str]:
    """What a trial says of a quantity, and as what."""
    used = trial.used.get(quantity)
    if trial.state == "completed":
        return used, SEEN
    died_of_memory = (
        trial.state == "failed" and trial.reason is not None and trial.reason.kind == "out_of_memory"
    )
    if trial.state != "stopped" and not died_of_memory:
        return None, BOUND
    if quantity == "step_seconds":
        # the mean of the steps that it made: no bound
        return used, ROUGH
    early = trial.predicted_early.get(quantity)
    if early is not None and trial.early_share is not None and (used is None or early.value > used):
        return early.value, ROUGH
    return used, BOUND
