"""Moments of a trial under way, kept few: what it had done and used by then. Pure."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

from stackyard.tuning.trial import Reading
from stackyard_task.records import Progress

#: A reading is kept when the trial has gone on by this factor since the one kept before.
GROWTH = 1.2
#: Readings kept at most.
MOST_READINGS = 60
#: Quantity -> field of ``Progress``, which has no energy.
_FIELDS = {
    "ram_bytes": "most_rss_bytes",
    "ram_minus_shared_bytes": "rss_minus_shared_bytes",
    "gpu_memory_bytes": "gpu_memory_bytes",
    "step_seconds": "step_seconds",
    "cpu_seconds": "cpu_seconds",
    "wall_seconds": "elapsed_seconds",
}
#: Those that only grow: memory, of which a reading has the most so far, and sums.
GROWING = tuple(name for name in _FIELDS if name != "step_seconds")


def of(progress: Progress) -> Reading:
    """What a run's progress says, as a reading; what is no finite number of 0 or more is left out."""
    used = {name: _number(getattr(progress, key)) for name, key in _FIELDS.items()}
    done, total = _number(progress.done), _number(progress.total)
    steps = _number(progress.steps)
    return Reading(
        None if done is None or not total else min(1.0, done / total),
        None if steps is None else int(steps),
        {name: value for name, value in used.items() if value is not None},
    )


def keep(readings: list[Reading], now: Reading) -> None:
    """Take in a reading: the latest is always the last; one that is hardly later than another takes its place.

    Memory is the greatest so far. A reading whose share or time goes backwards is left out.

    Args:
        readings: of one trial, in order; changed.
        now: the next one.
    """
    if readings:
        last = readings[-1]
        if _behind(last.share, now.share) or _behind(
            last.used.get("wall_seconds"), now.used.get("wall_seconds")
        ):
            return
        for name in GROWING:
            if name in last.used:
                now.used[name] = max(last.used[name], now.used.get(name, 0.0))
        if not last.share:
            # of those before any work was done the last alone stays
            if not now.share:
                readings.pop()
        elif len(readings) >= 2 and last.share < GROWTH * (readings[-2].share or 0.0):
            readings.pop()
    readings.append(now)
    if len(readings) > MOST_READINGS:
        del readings[len(readings) // 2]


def at_share(readings: Sequence[Reading], share: float) -> Reading | None:
    """What a trial had used at a share of its work, between two readings in proportion.

    Returns:
        The first reading that has a share where that is later; ``None``: none has, or all are earlier.
    """
    told = [reading for reading in readings if reading.share is not None]
    place = bisect.bisect_left(told, share, key=lambda reading: reading.share or 0.0)
    if place == len(told):
        return None
    after = told[place]
    if place == 0 or after.share == share:
        return after
    before = told[place - 1]
    begun, ended = before.share or 0.0, after.share or 0.0
    part = (share - begun) / (ended - begun)

    def between(a: float, b: float) -> float:
        return a + part * (b - a)

    steps = None if before.steps is None or after.steps is None else round(between(before.steps, after.steps))
    both = before.used.keys() & after.used.keys()
    return Reading(share, steps, {name: between(before.used[name], after.used[name]) for name in both})


def at_start(readings: Sequence[Reading]) -> Reading | None:
    """The last reading before anything of the work was done; ``None``: there is none."""
    found = None
    for reading in readings:
        if reading.share:
            break
        found = reading
    return found


def _behind(last: float | None, now: float | None) -> bool:
    return last is not None and (now is None or now < last)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
