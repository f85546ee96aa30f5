"""Metrics against hand-computed values and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.detector import metrics
from stackyard_detector.detector.metrics import (
    Confusion,
    confusion,
    detected_at_share,
    early_detection_rate,
    missing_class,
    projected_f1_interval,
    recall_at_share,
)


def test_ratios_of_a_known_table():
    counts = Confusion(true_positives=8, false_positives=2, true_negatives=88, false_negatives=2)
    assert counts.precision == pytest.approx(0.8)
    assert counts.recall == pytest.approx(0.8)
    assert counts.specificity == pytest.approx(88 / 90)
    assert counts.false_positive_rate == pytest.approx(2 / 90)
    assert counts.f1 == pytest.approx(0.8)
    assert counts.mcc == pytest.approx((8 * 88 - 2 * 2) / (10 * 10 * 90 * 90) ** 0.5)


def test_projected_f1_weighs_each_false_positive():
    """One false positive in 11,151 normals stands for 49.6 of 553,366."""
    counts = Confusion(16838, 1, 11150, 0)
    assert counts.projected_f1(553_366) == pytest.approx(2 * 16838 / (2 * 16838 + 553_366 / 11_151))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_counts_and_f1_agree_with_brute_force(pairs):
    labels, verdicts = [int(a) for a, _ in pairs], [b for _, b in pairs]
    counts = confusion(labels, verdicts)
    assert counts.true_positives == sum(a and b for a, b in pairs)
    assert counts.false_positives == sum(b and not a for a, b in pairs)
    assert counts.malicious + counts.benign == len(pairs)
    if counts.precision and counts.recall:
        harmonic = 2 / (1 / counts.precision + 1 / counts.recall)
        assert counts.f1 == pytest.approx(harmonic)


def test_without_an_attack_only_the_false_alarm_rate_is_defined():
    counts = confusion([0, 0, 0, 0], [False, True, False, False])
    assert (counts.precision, counts.recall, counts.f1, counts.mcc) == (None, None, None, None)
    assert counts.false_positive_rate == 0.25
    assert "No attack in the test set (all 4 labelled sessions" in missing_class([0, 0, 0, 0])


def test_without_a_benign_session_the_false_alarm_rate_is_not_defined():
    counts = confusion([1, 1], [True, False])
    assert (counts.specificity, counts.false_positive_rate, counts.mcc) == (None, None, None)
    assert counts.recall == 0.5
    assert "No benign session" in missing_class([1, 1])
    assert missing_class([1, 0]) is None
    assert "no labelled session" in missing_class([])


def test_a_verdict_per_label_is_required():
    with pytest.raises(ValueError, match="2 verdicts for 3 labels"):
        confusion([0, 1, 0], [True, False])


def test_early_detection_counts_the_event_that_raised_the_alarm():
    """Events analysed: 1 of 4 and 10 of 10; the false alarm and the miss do not enter."""
    first, lengths = np.array([0, 9, 3, -1]), np.array([4, 10, 5, 8])
    assert early_detection_rate(first, lengths, [1, 1, 0, 1]) == pytest.approx((0.25 + 1.0) / 2)
    assert early_detection_rate(np.array([-1, 2]), np.array([4, 4]), [1, 0]) is None


def test_recall_at_a_share_sees_the_events_rounded_up():
    first, lengths = np.array([1, 2, 9, -1]), np.array([10, 10, 10, 10])
    labels = [1, 1, 1, 1]
    assert detected_at_share(first, lengths, 0.2).tolist() == [True, False, False, False]
    assert recall_at_share(first, lengths, labels, 0.2) == 0.25
    assert recall_at_share(first, lengths, labels, 0.21) == 0.5
    assert recall_at_share(first, lengths, labels, 1.0) == 0.75
    assert recall_at_share(np.array([0]), np.array([3]), [1], 0.2) == 1.0


def test_early_detection_counts_from_the_first_malicious_event():
    detections, lengths, starts = np.array([4, 1, -1]), np.array([10, 4, 4]), np.array([2, 2, 0])
    # Three of eight events of the first attack; the second alarm came before its attack.
    assert metrics.early_detection_rate(detections, lengths, [1, 1, 1], starts) == pytest.approx(3 / 8)
    assert metrics.detection_delay(detections, [1, 1, 1], starts) == 2
    assert metrics.recall_at_share(detections, lengths, [1, 1, 1], 0.25, starts) == 0
    assert metrics.recall_at_share(detections, lengths, [1, 1, 1], 0.5, starts) == pytest.approx(1 / 3)
    assert metrics.detection_delay(detections, [0, 0, 1], starts) is None


def test_an_alarm_before_the_attack_is_a_false_one():
    counts = metrics.Confusion(3, 1, 10, 1, early_alarms=2)
    assert counts.precision == 3 / 6
    assert counts.recall == 3 / 4
    assert counts.f1 == 6 / (6 + 1 + 2 + 1)
    assert counts.false_positive_rate == 1 / 11


def test_the_bootstrap_interval_agrees_with_resampling_sessions_one_by_one():
    counts = Confusion(true_positives=90, false_positives=5, true_negatives=495, false_negatives=10)
    low, high = projected_f1_interval(counts, 5000, draws=4000, seed=3)
    assert (low, high) == projected_f1_interval(counts, 5000, draws=4000, seed=3)
    generator = np.random.default_rng(1)
    malicious, benign = np.repeat([1, 0], [90, 10]), np.repeat([1, 0], [5, 495])
    slow = []
    for _ in range(2000):
        found = generator.choice(malicious, 100).sum()
        false = generator.choice(benign, 500).sum()
        slow.append(2 * found / (found + false * 10 + 100))
    assert np.quantile(slow, [0.025, 0.975]) == pytest.approx([low, high], abs=0.02)
    assert low < counts.projected_f1(5000) < high


def test_no_interval_where_the_figure_is_not_defined():
    assert projected_f1_interval(Confusion(0, 1, 9, 0), 100) is None


def test_results_are_flat_and_keep_undefined_as_none():
    results = confusion([0, 0], [False, False]).to_results("rules_")
    assert results["rules_fpr"] == 0.0
    assert results["rules_f1"] is None
    assert all(value is None or isinstance(value, (int, float)) for value in results.values())
