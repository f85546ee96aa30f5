"""Which trial is not begun, as it is predicted to break a limit; and which of those is begun all the same. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from stackyard.tuning.prediction import accuracy
from stackyard.tuning.study import Search
from stackyard.tuning.trial import Interval, Reason, Trial
from stackyard_task import criteria

#: A trial is skipped when a limit is so many times further below the predicted value than its lower bound is. The
#: bound alone would be wrong in one of twenty at the edge.
STRICTNESS = 1.75
#: However narrow the interval, by so much the limit has to be exceeded.
_LEAST_EXCESS = 1.01
#: How much stricter it gets with each trial that was found to be skipped wrongly.
_STRICTER = 1.5
#: Share of the skipped that may be skipped wrongly.
_WRONGLY = 0.01


def why_skip(
    limits: Mapping[str, float],
    predicted: Mapping[str, Interval],
    trials: Sequence[Trial] = (),
    said: str = "skipped",
) -> Reason | None:
    """Why a trial is not worth its start; ``None``: it may keep every limit.

    Args:
        limits: quantity -> greatest that a trial may use.
        predicted: what it will use.
        trials: those so far: where trials that were to be skipped ran and kept their limits, more is demanded.
        said: what is done about it, in words.

    Returns:
        Of the limit that is furthest exceeded, with the predicted value in its sentence.
    """
    strict = strictness(trials)
    worst: tuple[float, str] | None = None
    for quantity, limit in limits.items():
        told = predicted.get(quantity)
        if told is None or not 0 < told.low <= told.value or limit <= 0:
            continue
        excess = told.value * (told.low / told.value) ** strict / limit
        if excess > _LEAST_EXCESS and (worst is None or excess > worst[0]):
            worst = (excess, quantity)
    if worst is None:
        return None
    quantity = worst[1]
    told, limit = predicted[quantity], limits[quantity]
    value, low, high, most = (
        criteria.amount_of(one, quantity) for one in (told.value, told.low, told.high, limit)
    )
    message = f"{said}: its {criteria.WORDS[quantity]} would be {value} (90 % interval {low} to {high}), {most} allowed"
    return Reason("predicted", message, quantity, limit, told.value)


def strictness(trials: Sequence[Trial]) -> float:
    """How many times further than the lower bound a limit has to lie, given how the skipped fared that were run."""
    seen = accuracy.of_skipped(trials)
    wrongly = max(0, seen.wrongly - int(_WRONGLY * seen.checked))
    return STRICTNESS * _STRICTER ** min(wrongly, 6)


def is_checked(seed: int, number: int, share: float = Search.check_share) -> bool:
    """Whether a trial that would be skipped is begun all the same: a share of them, the same at every run.

    Args:
        seed: of the study.
        number: of the trial.
        share: from 0 to 1.
    """
    return random.Random(f"check {seed} {number}").random() < share
