"""Axes of the charts of a study's report: where a value stands between two ends, and which values are marked. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from stackyard.tuning.report import wording

#: Values that spread over more than this factor, all above 0, are drawn on a log scale.
LOG_FROM = 100.0
#: Stretches between marked values at most.
_STRETCHES = 5
#: Room beyond the values, as a share of their spread.
_MARGIN = 0.04
_SIZES = {
    "s": ((3600.0 * 2, 3600.0, "h"), (600.0, 60.0, "min"), (0.1, 1.0, "s"), (0.0, 1e-3, "ms")),
    "B": ((1e12, 1e12, "TB"), (1e9, 1e9, "GB"), (1e6, 1e6, "MB"), (0.0, 1e3, "kB")),
    "J": ((1e4, 1e3, "kJ"), (0.0, 1.0, "J")),
    "": ((0.0, 1.0, ""),),
}


@dataclass(frozen=True)
class Tick:
    """A marked value."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """One axis; places are points of a drawing."""

    title: str
    low: float
    high: float
    #: Where ``low`` and ``high`` stand.
    start: float
    end: float
    log: bool
    ticks: tuple[Tick, ...]

    def place(self, value: float) -> float:
        """Where a value stands, never beyond the ends."""
        return _place(value, self.low, self.high, self.start, self.end, self.log)


def axis(
    values: Iterable[float],
    name: str,
    start: float,
    end: float,
    *,
    zero: bool = False,
    log: bool | None = None,
    margin: bool = False,
) -> Axis:
    """An axis that holds all of some values.

    Args:
        values: finite ones.
        name: of a quantity, which gives the unit; else of a workload's own figure.
        start: where the least stands.
        end: where the greatest stands.
        zero: whether 0 is on it, where it is linear.
        log: whether it is on a log scale; ``None``: where they spread far.
        margin: whether there is some room beyond the least and the greatest.
    """
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    positive = low > 0
    log = positive and (high / low > LOG_FROM if log is None else log)
    if zero and not log:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        wide = abs(low) * 0.05 or 0.5
        low, high = (low / 1.05, high * 1.05) if log else (low - wide, high + wide)
    if margin and log:
        by = (high / low) ** _MARGIN
        low, high = low / by, high * by
    elif margin:
        wide = _MARGIN * (high - low)
        # nothing is below 0 where no value is
        low, high = low if low == 0 else max(0.0, low - wide) if low > 0 else low - wide, high + wide
    size, unit = _unit(max(abs(low), abs(high)), wording.UNITS.get(name, ""))
    marked = _log_marks(low, high) if log else _marks(low / size, high / size)
    ticks = tuple(
        Tick(round(_place(mark if log else mark * size, low, high, start, end, log), 1), text)
        for mark, text in ((mark, f"{mark / size:g}" if log else _plain(mark)) for mark in marked)
    )
    label = wording.label(name)
    return Axis(f"{label}, {unit}" if unit else label, low, high, start, end, log, ticks)


def _place(value: float, low: float, high: float, start: float, end: float, log: bool) -> float:
    if log:
        value, low, high = (math.log(max(one, 1e-300)) for one in (value, low, high))
    share = (value - low) / (high - low) if high > low else 0.5
    return start + min(1.0, max(0.0, share)) * (end - start)


def _plain(mark: float) -> str:
    """No trace of how a sum of steps was rounded."""
    return f"{round(mark, 12) + 0.0:.6g}"


def _unit(greatest: float, unit: str) -> tuple[float, str]:
    for least, size, name in _SIZES[unit]:
        if greatest >= least:
            return size, name
    return 1.0, unit


def _marks(low: float, high: float) -> list[float]:
    """Round values from ``low`` to ``high``: multiples of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    rough = span / _STRETCHES
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999999)
    if step <= abs(high) * 1e-14:
        return [low]
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_marks(low: float, high: float) -> list[float]:
    """Powers of ten; where there are few, twice and five times them too."""
    low, high = max(low, 1e-300), min(high, 1e300)
    first, last = math.floor(math.log10(low) - 1e-9), math.ceil(math.log10(high) + 1e-9)
    every = max(1, -(-(last - first) // 6))
    for factors in ((1,), (1, 3), (1, 2, 5)):
        found = [
            factor * 10.0**power
            for power in range(first, last + 1, every)
            for factor in factors
            if low * (1 - 1e-9) <= factor * 10.0**power <= high * (1 + 1e-9)
        ]
        if len(found) >= 3:
            return found
    return found or [low, high]
