"""What a trial under way will have used at its end: from its own first steps, and from earlier trials. Pure.

There are a few ways of reckoning: start-up and then a steady rate; the recent steps' time for those that are left; what
it has used so far; nothing of its own. Each is tried on earlier trials at the same share of their work. The factor by
which it was off there is itself predicted (``regression``: its level, and how it depends on the parameters), and the
way that was off least is taken. So start-up, validation at the end, or epochs that get slower are learned from the
study.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stackyard.tuning.prediction import ahead, calibration, readings, regression
from stackyard.tuning.prediction.regression import SEEN, Known
from stackyard.tuning.space import Space
from stackyard.tuning.trial import QUANTITIES, Interval, Reading, Trial

#: Share of a trial after which its early prediction is made.
EARLY_SHARE = 0.05
#: Trials that it takes into account at most: the latest. What is learned of them is kept until so many are new.
MOST_TRIALS, _NEW_TRIALS = 80, 40
#: Shares at which earlier trials are looked at grow by this factor.
_SHARES = 1.25
#: With too few earlier trials nothing was learned of how far off a way is: then by this factor, on one side or both.
_UNLEARNED = {"step_seconds": 1.5, "ram_bytes": 1.5, "ram_minus_shared_bytes": 1.5, "gpu_memory_bytes": 1.5}
_UNLEARNED_SUM = 3.0
#: Factors of what a way reckons lie on a coordinate of this length in the logarithm.
_COORDINATE = 3.0
#: The first reading of its work tells a rate where it lies before this share of the work done by now.
_FAR = 0.6
_SUMS = ("cpu_seconds", "wall_seconds", "energy_joules")


@dataclass(frozen=True)
class Seen:
    """What a trial under way has shown."""

    #: The last moment before any of its work was done; the first after some was, if that is long enough ago.
    start: Reading | None
    first: Reading | None
    now: Reading


#: From what a trial has shown of a quantity, what the end will be; ``None``: it cannot be said.
Way = Callable[[str, Seen], float | None]


def during(space: Space, trial: Trial, trials: Sequence[Trial]) -> dict[str, Interval]:
    """What a trial under way will have used at its end, by quantity, each with bounds that hold it in 90 % of cases.

    Args:
        space: of the study.
        trial: under way; the last of its readings is that of now.
        trials: all so far, in order of their numbers; the trial itself is left out.

    Returns:
        A quantity of which nothing can be said is absent: it is not measured, or the trial does not tell what share
        of its work is done and no earlier one helps.
    """
    if not trial.readings:
        return {}
    now = trial.readings[-1]
    others = [other for other in trials if other.number != trial.number]
    completed = [other for other in others if other.state == "completed"]
    completed = completed[max(0, len(completed) - MOST_TRIALS) // _NEW_TRIALS * _NEW_TRIALS :]
    point = ahead.point_of(space, trial.parameters)
    ways_before = ahead.before(space, trial.parameters, others)
    found = {}
    for quantity in QUANTITIES:
        told = _learned(space, quantity, point, trial.readings, completed)
        if told is not None:
            told = calibration.widened(told, calibration.factor(others, quantity, early=True))
        else:
            told = _unlearned(quantity, _seen(trial.readings, now)) or ways_before.get(quantity)
        if told is not None:
            found[quantity] = _at_least(told, _sure(quantity, now))
    return found


def _learned(
    space: Space,
    quantity: str,
    point: Sequence[float],
    own_readings: Sequence[Reading],
    completed: Sequence[Trial],
) -> Interval | None:
    """By the way that was off least on earlier trials; ``None``: too few of them."""
    best: tuple[float, Known, float, tuple[float, ...]] | None = None
    now = own_readings[-1]
    share = None if now.share is None else _rounded(now.share)
    if share is not None:
        # it and the others are looked at alike
        now = readings.at_share(own_readings, share) or now
    seen = _seen(own_readings, now)
    for way in WAYS[quantity]:
        own = way(quantity, seen)
        if own is None or own <= 0:
            continue
        points, values, level = [], [], None
        for other in completed:
            used = other.used.get(quantity)
            theirs = None if not used or used <= 0 else _theirs(way, quantity, share, other)
            if not used or theirs is None or theirs <= 0:
                continue
            level = math.log(theirs) if level is None else level
            points.append((*ahead.point_of(space, other.parameters), _place(theirs, level)))
            values.append(math.log(used / theirs))
        if level is None:
            continue
        of = (*ahead.groups(space), len(space.dimensions))
        known = Known(tuple(points), of, tuple(values), (SEEN,) * len(values))
        spread = regression.spread(known)
        if math.isfinite(spread) and (best is None or spread < best[0]):
            best = (spread, known, own, (*point, _place(own, level)))
    if best is None:
        return None
    _, known, own, place = best
    guess = regression.guess(known, place)
    if guess is None:
        return None
    # the best of several looks better than it is, the more so the fewer trials chose it
    return calibration.widened(ahead.interval(guess, own), 1 + len(WAYS[quantity]) / len(known.values))


def _place(reckoned: float, level: float) -> float:
    """What a way reckons, as a coordinate: what it is off by may depend on it."""
    return 0.5 + (math.log(reckoned) - level) / _COORDINATE


def _theirs(way: Way, quantity: str, share: float | None, other: Trial) -> float | None:
    """What a way would have reckoned in an earlier trial at this share."""
    if way is _nothing_of_its_own:
        return 1.0
    then = None if share is None else readings.at_share(other.readings, share)
    return None if then is None else way(quantity, _seen(other.readings, then))


def _unlearned(quantity: str, seen: Seen) -> Interval | None:
    """By the trial's own first steps alone."""
    for way in WAYS[quantity]:
        own = None if way is _nothing_of_its_own else way(quantity, seen)
        if own is not None and own > 0:
            off = _UNLEARNED.get(quantity, _UNLEARNED_SUM)
            return Interval(own, own / off, own * off)
    return None


def _sure(quantity: str, now: Reading) -> float:
    """What the end will be at least."""
    return now.used.get(quantity, 0.0) if quantity in readings.GROWING else 0.0


def _at_least(told: Interval, least: float) -> Interval:
    return Interval(max(told.value, least), max(told.low, least), max(told.high, least))


def _rounded(share: float) -> float:
    """The share at which earlier trials are looked at: the same for trials that are nearly as far."""
    if share <= 0:
        return 0.0
    return min(
        1.0, EARLY_SHARE * _SHARES ** math.floor(math.log(share / EARLY_SHARE) / math.log(_SHARES) + 1e-9)
    )


def _seen(those: Sequence[Reading], now: Reading) -> Seen:
    """What readings up to one of them show."""
    first = next((reading for reading in those if reading.share), None)
    far = first is not None and first.share and now.share and first.share <= _FAR * now.share
    return Seen(readings.at_start(those), first if far else None, now)


def _steady(quantity: str, seen: Seen) -> float | None:
    """What the start-up took, and the same rate from there on."""
    start, now = seen.start, seen.now
    if start is None or not now.share or quantity not in start.used or quantity not in now.used:
        return None
    begun = start.used[quantity]
    return begun + (now.used[quantity] - begun) / now.share


def _rate(quantity: str, seen: Seen) -> float | None:
    """What was used so far, and the rate since the first reading of its work: the start-up need not be known."""
    first, now = seen.first, seen.now
    if (
        first is None
        or not first.share
        or not now.share
        or not first.used.keys() & now.used.keys() & {quantity}
    ):
        return None
    rate = (now.used[quantity] - first.used[quantity]) / (now.share - first.share)
    return now.used[quantity] + (1 - now.share) * rate


def _proportional(quantity: str, seen: Seen) -> float | None:
    """As much for every part of the work as for the first."""
    used = seen.now.used.get(quantity)
    return None if used is None or not seen.now.share else used / seen.now.share


def _by_steps(quantity: str, seen: Seen) -> float | None:
    """What was used so far, and the recent steps' time for each step that is left."""
    now = seen.now
    step, wall, used = (now.used.get(name) for name in ("step_seconds", "wall_seconds", quantity))
    if not now.share or not now.steps or not step or not wall or used is None:
        return None
    left = now.steps * (1 - now.share) / now.share
    return used + left * step * (1.0 if quantity == "wall_seconds" else used / wall)


def _level(quantity: str, seen: Seen) -> float | None:
    """What it is by now."""
    return seen.now.used.get(quantity)


def _mean_step(quantity: str, seen: Seen) -> float | None:
    """The mean of all its steps so far, with what lies between them."""
    wall = seen.now.used.get("wall_seconds")
    begun = 0.0 if seen.start is None else seen.start.used.get("wall_seconds", 0.0)
    return None if wall is None or not seen.now.steps else (wall - begun) / seen.now.steps


def _nothing_of_its_own(quantity: str, seen: Seen) -> float | None:
    """From earlier trials alone."""
    return 1.0


#: Quantity -> ways of reckoning its end, the first preferred where nothing was learned.
WAYS: dict[str, tuple[Way, ...]] = {
    quantity: (_steady, _rate, _by_steps, _proportional, _nothing_of_its_own)
    if quantity in _SUMS
    else (_level, _mean_step, _nothing_of_its_own)
    if quantity == "step_seconds"
    else (_level, _nothing_of_its_own)
    for quantity in QUANTITIES
}
