"""Calibration as one value, and the flat results of an evaluation."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stackyard_detector.detector import evaluation
from stackyard_detector.detector.ranks import Ranks

TRAINING = [[0, 1, 2, 0], [0, 1, 2, 2, 0]] * 10
VALIDATION = [[0, 1, 2, 0], [0, 1, 2, 2, 0]]
EVENTS = 3


def ranks(*sessions: list) -> Ranks:
    offsets = np.cumsum([0, *map(len, sessions)])
    return Ranks(
        np.array([rank for session in sessions for rank in session], dtype=np.int32),
        offsets.astype(np.int64),
        0,
    )


@pytest.fixture
def calibrated() -> evaluation.Calibrated:
    return evaluation.calibrate(TRAINING, VALIDATION, ranks([1, 1, 2, 1], [1, 1, 1, 2, 1]), EVENTS)


#: Four sessions: benign and quiet, malicious seen by both, by the network only, by the rules only.
SESSIONS = [[0, 1, 2, 0], [3, 1, 2, 0], [0, 2, 1, 0], [0, 0]]
LABELS = [0, 1, 1, 1]
RANKS = ranks([1, 1, 1, 1], [4, 1, 1, 1], [1, 3, 1, 1], [1, 1])


def test_calibration_uses_benign_sessions_only_and_says_what_they_gave(calibrated):
    assert calibrated.k == 2
    assert calibrated.validation_false_alarm_rate == 0.0
    assert calibrated.validation_sessions == 2
    assert calibrated.combination.k == 2


def test_an_evaluation_names_what_each_detector_found(calibrated):
    results = evaluation.evaluate(SESSIONS, LABELS, RANKS, calibrated.k, calibrated)
    assert results["recall"] == pytest.approx(2 / 3)
    assert results["rules_recall"] == pytest.approx(2 / 3)
    assert results["combined_recall"] == 1.0
    assert results["lstm_only_detections"] == 1
    assert results["fpr"] == results["rules_fpr"] == results["combined_fpr"] == 0.0
    # First misses with event 1 of 4 and 2 of 4.
    assert results["early_detection_rate"] == pytest.approx((0.25 + 0.5) / 2)
    assert results["recall_at_20_percent"] == pytest.approx(1 / 3)
    assert results["recall_at_50_percent"] == pytest.approx(2 / 3)
    assert {"f1_at_k_1", "f1_at_k_2", "f1_at_k_3", "f1_at_k_4"} <= set(results)
    assert results["f1_at_k_2"] == results["f1"]
    assert "note" not in results


def test_results_are_what_a_record_can_hold(calibrated):
    results = evaluation.evaluate(SESSIONS, LABELS, RANKS, calibrated.k, calibrated)
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    assert not any(isinstance(value, (dict, list)) for value in results.values())


def test_no_attack_is_said_and_metrics_are_none(calibrated):
    results = evaluation.evaluate(SESSIONS[:1], [0], ranks([1, 1, 1, 1]), 2, calibrated)
    assert "No attack in the test set" in results["note"]
    assert results["f1"] is None
    assert results["early_detection_rate"] is None
    assert results["fpr"] == 0.0


def test_sessions_without_label_are_counted_and_left_out(calibrated):
    labels = [0, 1, None, None]
    results = evaluation.evaluate(SESSIONS, labels, RANKS, 2)
    assert results["sessions_without_label"] == 2
    assert results["alarms"] == 2
    assert results["recall"] == 1.0
    assert "rules_f1" not in results


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="4 sessions, 1 labels and 4 ranks"):
        evaluation.evaluate(SESSIONS, [0], RANKS, 2)


def test_a_calibration_survives_json(calibrated):
    again = evaluation.Calibrated.from_json(json.loads(json.dumps(calibrated.to_json())))
    assert evaluation.evaluate(SESSIONS, LABELS, RANKS, 2, again) == evaluation.evaluate(
        SESSIONS, LABELS, RANKS, 2, calibrated
    )


def test_a_calibration_with_a_missing_part_is_refused(calibrated):
    value = calibrated.to_json()
    del value["combination"]
    with pytest.raises(ValueError, match="lacks 'combination'"):
        evaluation.Calibrated.from_json(value)


def test_training_ranks_make_the_combination_stricter():
    validation_ranks = ranks([1], [1])
    plain = evaluation.calibrate(TRAINING, VALIDATION, validation_ranks, EVENTS)
    safer = evaluation.calibrate(TRAINING, VALIDATION, validation_ranks, EVENTS, training_ranks=ranks([3]))
    assert (plain.combination.k, safer.combination.k) == (1, 3)
    assert plain.k == safer.k == 1
