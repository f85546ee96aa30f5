"""Scores of several parts as one: by how improbable each finds a session among benign ones."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.detector.calibration import threshold
from stackyard_detector.detector.combination import CombinedScores, Tail
from stackyard_detector.detector.scores import EventScores

SCORES = st.lists(st.floats(0, 20, width=16), min_size=1, max_size=50)


def each(*values):
    """One session of one event for each score."""
    return EventScores(np.arange(len(values) + 1), np.array(values, dtype=np.float64))


def test_a_score_becomes_the_share_of_benign_sessions_that_reach_it():
    tail = Tail.fit(np.arange(9.0))
    assert np.exp(-tail.improbable([0, 4, 8])).tolist() == pytest.approx([1.0, 0.6, 0.2])
    assert math.exp(-tail.improbable([8.5])[0]) == pytest.approx(0.1)


def test_what_no_benign_session_had_is_as_improbable_as_their_number_allows():
    """An event never seen, where none of 3,000 validation sessions has one."""
    assert math.exp(-Tail.fit(np.zeros(3000)).improbable([1.0])[0]) == pytest.approx(1 / 3001)


def test_beyond_what_was_seen_only_the_orderly_part_goes_on():
    tail = Tail.fit(np.arange(100.0))
    assert tail.improbable([101.0]) == tail.improbable([1000.0])
    assert tail.improbable([101.0], goes_on=True) < tail.improbable([1000.0], goes_on=True)


@given(SCORES, SCORES, st.booleans())
def test_a_greater_score_is_never_less_improbable(benign, scores, goes_on):
    found = Tail.fit(np.array(benign)).improbable(np.sort(scores), goes_on)
    assert np.all(np.diff(found) >= -1e-9)


@given(SCORES, st.floats(-1e-9, 1e-9))
def test_the_last_digits_of_a_score_decide_nothing(benign, apart):
    tail = Tail.fit(np.array(benign))
    for how in (tail.improbable, tail.left_out):
        one, other = how(np.array(benign), goes_on=True), how(np.array(benign) + apart, goes_on=True)
        assert other.tolist() == pytest.approx(one.tolist(), abs=1e-6)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30))
def test_left_out_is_the_share_among_the_others(benign):
    scores = np.array(benign, dtype=np.float64)
    others = [np.sum(np.delete(scores, row) >= scores[row]) for row in range(len(scores))]
    expected = [-math.log((count + 1) / (len(scores) + 1)) for count in others]
    assert Tail.fit(scores).left_out(scores).tolist() == pytest.approx(expected)


def test_many_points_are_thinned_where_they_are_dense():
    tail = Tail.fit(np.arange(100_000.0))
    assert len(tail.points) <= 500
    assert tail.points[-3:].tolist() == [99_997, 99_998, 99_999]
    assert math.exp(-tail.improbable([50_000.0])[0]) == pytest.approx(0.5, rel=0.05)


def test_the_part_that_doubts_most_counts_and_the_orderly_one_orders_the_rest():
    tails = {"network": Tail.fit(np.arange(99.0)), "counts": Tail.fit(np.arange(99.0))}
    scores = {"network": each(0, 0, 50, 90), "counts": each(0, 500, 500, 0)}
    quiet, far, far_and_odd, odd = CombinedScores(scores, tails, "network").sessions
    assert quiet < odd < far < far_and_odd


def test_the_promise_holds_for_the_combination_too():
    """Seven parts, some that say nothing of most sessions: the rate beyond the threshold on 4,000 others each time."""
    generator = np.random.default_rng(5)

    def drawn(sessions):
        common = generator.exponential(size=sessions)
        smooth = [common + generator.exponential(size=sessions) for _ in range(4)]
        rare = [generator.poisson(0.01, sessions).astype(float) for _ in range(3)]
        return {str(number): each(*part) for number, part in enumerate([*smooth, *rare])}

    over = 0
    for _ in range(120):
        benign = drawn(300)
        tails = {name: Tail.fit(part.sessions) for name, part in benign.items()}
        limit = threshold(CombinedScores(benign, tails, "0").left_out(), 0.02)
        fresh = CombinedScores(drawn(4000), tails, "0").sessions
        over += np.mean(fresh > limit.value) > limit.stated_rate
    assert over <= 12


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=9))
def test_a_running_score_rises_to_the_sessions_score(events):
    offsets = np.array([0, len(events)])
    columns = np.array(events).T
    scores = {"a": EventScores(offsets, columns[0]), "b": EventScores(offsets, columns[1], "sum")}
    found = CombinedScores(scores, {name: Tail.fit(np.arange(20.0)) for name in scores}, "a")
    running = found.running(0)
    assert np.all(np.diff(running) >= 0)
    assert running[-1] == found.sessions[0]


def test_a_tail_survives_json_and_a_damaged_one_is_refused():
    tail = Tail.fit(np.array([1.0, 2.0, 2.0, 5.0]))
    again = Tail.from_json(json.loads(json.dumps(tail.to_json())))
    assert again.improbable([0.5, 2, 3, 9]).tolist() == tail.improbable([0.5, 2, 3, 9]).tolist()
    for damaged in (
        {"points": []},
        {"points": [2, 1, 3]},
        {"unit": 0},
        {"reached": [4, 5, 1]},
        {"sessions": 2},
    ):
        with pytest.raises(ValueError, match="tail"):
            Tail.from_json({**tail.to_json(), **damaged})


def test_no_session_is_refused():
    with pytest.raises(ValueError, match="no benign validation session"):
        Tail.fit(np.zeros(0))
