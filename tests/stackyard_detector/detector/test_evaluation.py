"""The flat results of an evaluation, and its curves."""

from __future__ import annotations

import json

import pytest

from stackyard_detector.detector import calibrated as c
from stackyard_detector.detector import evaluation
from tests.stackyard_detector.detector.test_calibrated import RANKS, SESSIONS, calibrated_here, ranks

LABELS = [0, 1, 1, 1]


@pytest.fixture
def chosen() -> c.Calibrated:
    return calibrated_here()


def evaluate(chosen, labels=LABELS, starts=None, rows=4):
    own = ranks(*[RANKS.of(row).tolist() for row in range(rows)])
    found = c.judge(chosen.scores(SESSIONS[:rows], own), chosen.thresholds, starts)
    return evaluation.evaluate(SESSIONS[:rows], labels, found, own, chosen.k, starts)


def test_an_evaluation_names_what_each_detector_found(chosen):
    results = evaluate(chosen)
    assert results["recall"] == pytest.approx(2 / 3)
    assert results["rules_recall"] == pytest.approx(2 / 3)
    assert results["combined_recall"] == 1.0
    assert results["lstm_only_detections"] == 1
    assert results["fpr"] == results["rules_fpr"] == results["combined_fpr"] == 0.0
    # First alarms with event 1 of 4 and 2 of 4.
    assert results["early_detection_rate"] == pytest.approx((0.25 + 0.5) / 2)
    assert results["recall_at_20_percent"] == pytest.approx(1 / 3)
    assert results["recall_at_50_percent"] == pytest.approx(2 / 3)
    assert {"f1_at_k_1", "f1_at_k_2", "f1_at_k_3", "f1_at_k_4"} <= set(results)
    assert "note" not in results


def test_baselines_stand_beside_the_network(chosen):
    results = evaluate(chosen)
    assert results["unseen_event_recall"] == pytest.approx(1 / 3)
    assert results["unseen_pair_f1"] == results["combined_f1"] == 1.0
    assert results["combined_auprc"] == 1.0
    assert results["auprc_low"] <= results["auprc"] <= results["auprc_high"]
    assert {f"{name}_auprc" for name in ("transition", "counts", "length", "unseen_triple")} <= set(results)


def test_detection_counts_from_the_first_malicious_event(chosen):
    results = evaluate(chosen, starts=[None, 2, 1, 0])
    # The unknown event before the second session's attack is a false alarm, and the attack itself goes unseen.
    assert results["early_alarms"] == 1
    assert results["recall"] == pytest.approx(1 / 3)
    assert results["precision"] == pytest.approx(1 / 2)
    assert results["early_detection_rate"] == pytest.approx(1 / 3)
    assert results["detection_delay_events"] == 0


def test_results_are_what_a_record_can_hold(chosen):
    results = evaluate(chosen)
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    assert not any(isinstance(value, (dict, list)) for value in results.values())


def test_no_attack_is_said_and_metrics_are_none(chosen):
    results = evaluate(chosen, labels=[0], rows=1)
    assert "No attack in the test set" in results["note"]
    assert results["f1"] is None
    assert results["auprc"] is None
    assert results["early_detection_rate"] is None
    assert results["fpr"] == 0.0


def test_sessions_without_label_are_counted_and_left_out(chosen):
    results = evaluate(chosen, labels=[0, 1, None, None])
    assert results["sessions_without_label"] == 2
    assert results["network_alarms"] == 2
    assert results["recall"] == 1.0


def test_the_network_can_be_judged_by_rank_alone():
    judged = {"network": evaluation.by_rank(RANKS, 2)}
    results = evaluation.evaluate(SESSIONS, LABELS, judged, RANKS, 2)
    assert results["recall"] == pytest.approx(2 / 3)
    assert results["f1_at_k_2"] == results["f1"]
    assert "rules_f1" not in results


def test_by_rank_too_an_alarm_before_the_attack_is_no_detection():
    own = ranks([3, 1, 3], [3, 1, 1])
    found = evaluation.by_rank(own, 2, [1, 1])
    assert found.first_alarms.tolist() == [0, 0]
    assert found.detections.tolist() == [2, -1]


def test_numbers_that_do_not_fit_are_refused(chosen):
    with pytest.raises(ValueError, match="4 sessions, 1 labels and 4 ranks"):
        evaluate(chosen, labels=[0])


def test_curves_are_drawn_for_all_parts(chosen):
    found = c.judge(chosen.scores(SESSIONS, RANKS), chosen.thresholds)
    drawn = json.loads(json.dumps(evaluation.drawn([0, 1, 1, None], found), allow_nan=False))
    assert tuple(drawn) == c.PARTS
    assert drawn["combined"]["auprc"][0] == 1.0
    assert drawn["combined"]["points"][-1]["fpr"] == 1.0
    assert drawn["network"]["threshold"] == found["network"].threshold
