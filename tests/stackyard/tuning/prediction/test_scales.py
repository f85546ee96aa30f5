from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from stackyard.tuning.prediction import scales
from stackyard.tuning.prediction.regression import BOUND, SEEN, Known

LIMIT = 300.0


def stopped_at_the_limit(amount: Callable[[float], float], seed: int) -> Known:
    """Twelve trials over a square: those beyond the limit tell that they would use a little more than it."""
    rng = np.random.default_rng(seed)
    points = [(float(a), float(b)) for a, b in rng.random((12, 2))]
    true = [amount(a) * float(rng.lognormal(0, 0.003)) for a, _ in points]
    values = [
        min(value, LIMIT * float(rng.uniform(1.03, 1.12))) if value > LIMIT else value for value in true
    ]
    return Known(
        tuple(points), (0, 1), tuple(values), tuple(BOUND if value > LIMIT else SEEN for value in true)
    )


@pytest.mark.parametrize(
    ("amount", "most_off"),
    [
        (lambda a: 21 + 390 * a, 0.05),
        (lambda a: 140 + 260 * a, 0.05),
        (lambda a: 20 * 20**a, 0.1),
        (lambda a: 100 + 16 * 32**a, 0.3),
    ],
    ids=["adds up", "adds up to a base", "multiplies", "multiplies above a base"],
)
def test_beyond_a_limit_values_come_near_and_bounds_hold(
    amount: Callable[[float], float], most_off: float
) -> None:
    off, held = [], []
    for seed in range(10):
        known = stopped_at_the_limit(amount, seed)
        for a in (0.85, 0.95, 1.0):
            told, true = scales.guess(known, (a, 0.5)), amount(a)
            if told is not None and true > LIMIT:
                off.append(math.log(told.value / true))
                held.append(told.low <= true <= told.high)
    assert abs(float(np.median(off))) <= most_off
    assert np.mean(held) >= 0.85


def test_amounts_that_are_all_equal_are_borne_and_bounds_stay_above_nothing() -> None:
    points = tuple((n / 9, 0.5) for n in range(10))
    equal = scales.guess(Known(points, (0, 1), (3.0,) * 10, (SEEN,) * 10), (0.5, 0.5))
    assert equal is not None
    assert (equal.low, equal.value, equal.high) == pytest.approx((3, 3, 3))
    falling = Known(points, (0, 1), tuple(100.0 - 10 * n for n in range(10)), (SEEN,) * 10)
    told = scales.guess(falling, (1.4, 0.5))
    assert told is not None
    assert 0 < told.low <= told.value <= told.high


def test_too_few_amounts_tell_nothing() -> None:
    few = Known(((0.1,), (0.5,), (0.9,)), (0,), (1.0, 2.0, 3.0), (SEEN,) * 3)
    assert scales.guess(few, (0.3,)) is None
