"""Scales on which a cost may be a simple figure of the parameters: which are likely, going by the known amounts. Pure.

A cost that multiplies is a line in the logarithm, one that adds up is a line as it stands, and a large base with a
power on top is a line in the logarithm of what lies above the base. Between known amounts all of them say much the
same. Beyond the known ones they part, and the wrong one is off by half. So each is weighed by how well it predicts
every known amount from the others, and bounds reach as far as those of any scale that is not much less likely than the
best. That is a choice among transformations by their likelihood, as in Box and Cox (1964).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stackyard.tuning.prediction import regression
from stackyard.tuning.prediction.regression import SEEN, Guess, Known

#: What is taken off before the logarithm, in the least known amount; ``None``: amounts as they stand.
SHIFTS: tuple[float | None, ...] = (0.0, None, -1.0, 0.5, 0.9, 0.98)
#: A scale counts while the logarithm of its likelihood is at most so far below that of the best.
_MARGIN = 4.0
#: By so much the plain logarithm is taken to be likelier than each of the others, before anything is known.
_OPINION = 2.0
#: Beyond the known amounts bounds are at least this share of the way back to those from the value.
_AWAY = 0.15
#: Where a line runs below nothing: values and bounds are at least these shares of the least known amount.
_LEAST_VALUE, _LEAST_BOUND = 1e-2, 1e-3
#: Logarithms are kept above this and below that.
_LOW_LOG, _HIGH_LOG = -14.0, 200.0


@dataclass(frozen=True)
class _Scale:
    shift: float | None
    least: float

    def of(self, amount: float) -> float:
        if self.shift is None:
            return amount / self.least
        return math.log(max(amount / self.least - self.shift, math.exp(_LOW_LOG)))

    def back(self, place: float) -> float:
        if self.shift is None:
            return self.least * place
        return self.least * (self.shift + math.exp(min(place, _HIGH_LOG)))

    def slope(self, amount: float) -> float:
        """Logarithm of the derivative of ``of``, but for what all scales share."""
        return 0.0 if self.shift is None else -self.of(amount)


def guess(known: Known, point: Sequence[float]) -> Guess | None:
    """An amount at a point.

    Args:
        known: amounts above 0 elsewhere.
        point: coordinates of the unit cube.

    Returns:
        Its bounds are above 0. ``None``: fewer than ``regression.LEAST_VALUES`` are known.
    """
    seen = [amount for amount, kind in zip(known.values, known.kinds, strict=True) if kind == SEEN]
    if len(seen) < regression.LEAST_VALUES:
        return None
    found = list(_on_each(known, point, min(seen) < max(seen)))
    if not found:
        return None
    best = max(likely for likely, _ in found)
    kept = [(math.exp(likely - best), told) for likely, told in found if likely >= best - _MARGIN]
    whole = sum(weight for weight, _ in kept)
    value = math.exp(sum(weight * math.log(told.value) for weight, told in kept) / whole)
    away = _AWAY * max(value - max(seen), min(seen) - value, 0.0)
    low = min(value - away, *(told.low for _, told in kept))
    high = max(value + away, *(told.high for _, told in kept))
    return Guess(value, max(low, _LEAST_BOUND * min(seen)), high)


def _on_each(known: Known, point: Sequence[float], differ: bool) -> Iterator[tuple[float, Guess]]:
    """On each scale the logarithm of its likelihood, and what it says; equal amounts do not tell scales apart."""
    least = min(a for a, kind in zip(known.values, known.kinds, strict=True) if kind != regression.BOUND)
    for shift in SHIFTS if differ else SHIFTS[:1]:
        scale = _Scale(shift, least)
        own = Known(known.points, known.groups, tuple(map(scale.of, known.values)), known.kinds)
        told = regression.guess(own, point)
        if told is None:
            continue
        likely = regression.likelihood(own, [scale.slope(amount) for amount in known.values])
        likely -= 0.0 if shift == 0.0 else _OPINION
        low, value, high = (scale.back(place) for place in (told.low, told.value, told.high))
        value = max(value, _LEAST_VALUE * least)
        yield likely, Guess(value, min(max(low, _LEAST_BOUND * least), value), max(high, value))
