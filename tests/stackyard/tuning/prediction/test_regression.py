from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard.tuning.prediction import regression
from stackyard.tuning.prediction.regression import BOUND, ROUGH, SEEN, Known


def line(count: int, noise: float = 0.0, seed: int = 0) -> Known:
    """Values 3 + 2 a - b over a square."""
    rng = np.random.default_rng(seed)
    points = [(float(a), float(b)) for a, b in rng.random((count, 2))]
    values = [3 + 2 * a - b + noise * float(rng.normal()) for a, b in points]
    return Known(tuple(points), (0, 1), tuple(values), (SEEN,) * count)


def test_a_line_is_found_beyond_the_points_that_show_it() -> None:
    found = regression.guess(line(25), (1.3, -0.2))
    assert found is not None
    assert found.value == pytest.approx(5.8, abs=0.05)
    assert found.low <= found.value <= found.high


def test_noise_is_in_the_bounds_and_not_in_the_value() -> None:
    found = regression.guess(line(100, noise=0.3), (0.5, 0.5))
    assert found is not None
    assert found.value == pytest.approx(3.5, abs=0.15)
    # 90 % of such noise lies within 1.64 of its spreads
    assert 0.35 < (found.high - found.low) / 2 < 0.75


def test_bounds_of_values_lift_what_lies_beyond_and_rough_ones_do_not_narrow() -> None:
    seen = line(20)
    lifted = Known((*seen.points, (0.5, 0.5)), (0, 1), (*seen.values, 9.0), (*seen.kinds, BOUND))
    base, found = (regression.guess(known, (0.5, 0.5)) for known in (seen, lifted))
    assert base is not None
    assert found is not None
    assert found.value > base.value + 0.5
    few = Known(seen.points, (0, 1), seen.values, (SEEN,) * 3 + (ROUGH,) * 17)
    assert regression.guess(few, (0.5, 0.5)) is None
    assert regression.spread(few) == math.inf


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 1), st.floats(0, 1), st.floats(-50, 50), st.sampled_from([SEEN, BOUND, ROUGH])
        ),
        max_size=14,
    )
)
def test_whatever_is_known_the_answer_is_absent_or_finite_and_in_order(
    rows: list[tuple[float, float, float, str]],
) -> None:
    known = Known(
        tuple((a, b) for a, b, _, _ in rows),
        (0, 0),
        tuple(value for _, _, value, _ in rows),
        tuple(kind for *_, kind in rows),
    )
    found = regression.guess(known, (0.3, 0.9))
    if known.kinds.count(SEEN) < regression.LEAST_VALUES:
        assert found is None
    else:
        assert found is not None
        assert all(map(math.isfinite, (found.low, found.value, found.high)))
        assert found.low <= found.value <= found.high
