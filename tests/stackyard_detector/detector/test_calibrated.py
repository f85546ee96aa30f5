"""Everything chosen after training as one value, and verdicts by it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stackyard_detector.detector import calibrated as c
from stackyard_detector.detector.ranks import Ranks

EVENTS = 3
TRAINING = [[0, 1, 2, 0], [0, 1, 2, 2, 0]] * 10
VALIDATION = [[0, 1, 2, 0], [0, 1, 2, 2, 0]] * 10


def ranks(*sessions: list) -> Ranks:
    """Ranks, and a surprise of one nat a rank; EVENTS + 1 is an unknown event."""
    offsets = np.cumsum([0, *map(len, sessions)]).astype(np.int64)
    values = np.array([rank for session in sessions for rank in session], dtype=np.int32)
    surprise = np.where(values > EVENTS, np.inf, values - 1.0).astype(np.float32)
    return Ranks(values, offsets, 0, surprise)


@pytest.fixture
def chosen() -> c.Calibrated:
    return calibrated_here()


def calibrated_here(own=([1, 1, 2, 1], [1, 1, 1, 2, 1])) -> c.Calibrated:
    return c.calibrate(TRAINING, VALIDATION, ranks(*own * 10), EVENTS)


#: Benign and quiet; an unknown event; an odd order; odd counts.
SESSIONS = [[0, 1, 2, 0], [3, 1, 2, 0], [0, 2, 1, 0], [0, 0]]
RANKS = ranks([1, 1, 1, 1], [4, 1, 1, 1], [1, 3, 1, 1], [1, 1])


def judged(chosen, starts=None):
    return c.judge(chosen.scores(SESSIONS, RANKS), chosen.thresholds, starts)


def test_every_part_says_what_it_sees(chosen):
    found = judged(chosen)
    assert tuple(found) == c.PARTS
    alarms = {name: own.alarms.tolist() for name, own in found.items()}
    assert alarms["network"] == [False, True, True, False]
    assert alarms["unseen_event"] == [False, True, False, False]
    assert alarms["unseen_pair"] == [False, True, True, True]
    assert alarms["counts"] == [False, True, False, True]
    assert alarms["rules"] == [False, True, False, True]
    assert alarms["combined"] == [False, True, True, True]
    assert found["network"].first_alarms.tolist() == [-1, 0, 1, -1]


def test_validation_decides_thresholds_and_says_what_they_promise(chosen):
    assert chosen.k == 2
    assert chosen.rate_at_k == 0.0
    limit = chosen.thresholds["combined"]
    assert (limit.sessions, limit.alarms, limit.expressible) == (20, 0, False)
    assert [at.allowed_rate for at in chosen.curve] == list(c.CURVE_RATES)
    assert (
        "20 benign validation sessions are too few to show a false-alarm rate of 0.002" in chosen.remarks()[0]
    )


def test_a_k_near_the_vocabulary_is_said():
    found = calibrated_here(([1, 1, 3, 1], [1, 1, 1, 1, 1]))
    assert any("k is 3 of 3 known events" in remark for remark in found.remarks())


def test_an_alarm_before_the_attack_is_no_detection(chosen):
    found = judged(chosen, [None, 2, 1, None])
    assert found["network"].first_alarms.tolist() == [-1, 0, 1, -1]
    assert found["network"].detections.tolist() == [-1, -1, 1, -1]


def test_no_known_event_is_more_surprising_than_an_unknown_one():
    improbable = ranks([3, 4])
    improbable.surprise[0] = 80.0
    found = c.network_scores(c.pack([[0, 3]]), improbable, novelty=0.01, event_count=EVENTS)
    assert found.per_event[0] <= found.per_event[1] < 7


def test_events_without_a_window_say_nothing():
    """With a history of 2 the first two events of a session are no targets."""
    two = Ranks(np.array([3], dtype=np.int32), np.array([0, 1, 1]), 2, np.array([5.0], dtype=np.float32))
    found = c.network_scores(c.pack([[0, 1, 2], [0, 1]]), two, 0.001, EVENTS)
    assert found.running(0).tolist() == [0.0, 0.0, pytest.approx(found.sessions[0])]
    assert found.sessions[1] == 0.0


def test_a_calibration_survives_a_model_file(chosen):
    value, arrays = json.loads(json.dumps(chosen.to_json(), allow_nan=False)), chosen.arrays()
    again = c.Calibrated.from_parts(value, arrays, EVENTS)
    one, two = judged(chosen), judged(again)
    for name in c.PARTS:
        assert two[name].scores.tolist() == one[name].scores.tolist()
        assert two[name].first_alarms.tolist() == one[name].first_alarms.tolist()


@pytest.mark.parametrize("damage", ["version", "part", "array", "tail"])
def test_a_damaged_calibration_is_refused_in_words(chosen, damage):
    value, arrays = chosen.to_json(), chosen.arrays()
    if damage == "version":
        value["api_version"] = 1
    elif damage == "part":
        del value["thresholds"]["combined"]
    elif damage == "array":
        del arrays["counts.references"]
    else:
        value["tails"]["counts"]["points"] = "far"
    with pytest.raises(ValueError, match="train the model again"):
        c.Calibrated.from_parts(value, arrays, EVENTS)


def test_batches_together_say_what_the_whole_says(chosen):
    whole = judged(chosen)
    parts = []
    for start, stop in ((0, 1), (1, 4)):
        inside = slice(RANKS.offsets[start], RANKS.offsets[stop])
        own = Ranks(
            RANKS.values[inside],
            RANKS.offsets[start : stop + 1] - RANKS.offsets[start],
            0,
            RANKS.surprise[inside],
        )
        parts.append(c.judge(chosen.scores(SESSIONS[start:stop], own), chosen.thresholds))
    joined = c.joined(parts)
    for name in c.PARTS:
        assert joined[name].scores.tolist() == whole[name].scores.tolist()
        assert joined[name].first_alarms.tolist() == whole[name].first_alarms.tolist()
