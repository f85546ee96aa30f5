"""Areas under curves, against their plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.detector.curves import (
    area_under_roc,
    areas,
    average_precision,
    curve,
    difference,
    recall_at,
)

PAIRS = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40)


def columns(pairs):
    labels, scores = zip(*pairs)
    return np.array(labels), np.array(scores, dtype=np.float64)


@given(PAIRS)
def test_areas_are_those_of_the_definitions(pairs):
    labels, scores = columns(pairs)
    high, low = scores[labels], scores[~labels]
    if len(high):
        gains = [(np.mean(labels[scores >= t]), np.sum(high == t) / len(high)) for t in np.unique(scores)]
        assert average_precision(labels, scores) == pytest.approx(sum(p * g for p, g in gains))
    else:
        assert average_precision(labels, scores) is None
    if len(high) and len(low):
        wins = (high[:, None] > low).mean() + (high[:, None] == low).mean() / 2
        assert area_under_roc(labels, scores) == pytest.approx(wins)
    else:
        assert area_under_roc(labels, scores) is None


def test_known_areas():
    assert average_precision([1, 0, 1, 0], np.array([4, 3, 2, 1])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([1, 0, 0, 0], np.ones(4)) == 0.25
    assert area_under_roc([1, 0, 1, 0], np.array([4, 3, 2, 1])) == 0.75


def test_intervals_hold_the_value_and_narrow_with_more_sessions():
    generator = np.random.default_rng(3)

    def width(sessions):
        labels = generator.random(sessions) < 0.3
        found = areas(labels, generator.normal(size=sessions) + labels, draws=200)
        for value, low, high in found.values():
            assert low <= value <= high
        return found["auprc"][2] - found["auprc"][1]

    assert width(4000) < width(100) / 3
    assert areas([0, 0], np.zeros(2)) == {"auprc": None, "auroc": None}


def test_a_difference_is_paired():
    """Two scores that rank alike differ by nothing in every resample, however few sessions there are."""
    labels = np.array([1, 0, 1, 0, 0, 0])
    scores = np.array([3.0, 2.0, 1.0, 0.0, 0.5, 2.5])
    assert difference(labels, scores, 10 * scores, draws=50) == (0.0, 0.0, 0.0)
    value, low, high = difference(np.array([1, 0] * 50), np.array([1.0, 0] * 50), np.zeros(100), draws=50)
    assert value == pytest.approx(0.5)
    assert low > 0.3
    assert high < 0.7
    assert difference([0, 0], np.zeros(2), np.zeros(2)) is None


@given(PAIRS, st.floats(0, 1, width=16))
def test_recall_at_a_rate_is_that_of_the_loosest_threshold_within_it(pairs, rate):
    labels, scores = columns(pairs)
    high, low = scores[labels], scores[~labels]
    if not len(high) or not len(low):
        assert recall_at(labels, scores, rate) is None
        return
    within = [np.mean(high >= t) for t in np.unique(scores) if np.mean(low >= t) <= rate + 1e-9]
    assert recall_at(labels, scores, rate) == pytest.approx(max(within, default=0))


@given(PAIRS)
def test_a_curve_ends_where_everything_alarms_and_never_falls_back(pairs):
    labels, scores = columns(pairs)
    points = curve(labels, scores)
    assert [p["threshold"] for p in points] == sorted({float(s) for s in scores}, reverse=True)
    assert points[-1]["recall"] == float(labels.any())
    assert points[-1]["fpr"] == float(not labels.all())
    for name in ("recall", "fpr"):
        assert np.all(np.diff([p[name] for p in points]) >= 0)


def test_a_long_curve_is_thinned():
    generator = np.random.default_rng(0)
    points = curve(generator.random(5000) < 0.01, generator.random(5000), most=50)
    assert len(points) <= 50
    assert points[-1]["recall"] == points[-1]["fpr"] == 1.0
