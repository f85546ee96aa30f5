"""Scores of several parts as one: by how improbable each finds a session among benign ones."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_beyond_what_was_seen_only_the_network_goes_on():
    ends, goes_on = Tail.fit(np.arange(100.0)), Tail.fit(np.arange(100.0), goes_on=True)
    assert ends.improbable([100.0]) == ends.improbable([1000.0])
    assert goes_on.improbable([100.0]) < goes_on.improbable([1000.0])


@given(SCORES, SCORES, st.booleans())
def test_a_greater_score_is_never_less_improbable(benign, scores, goes_on):
    found = Tail.fit(np.array(benign), goes_on).improbable(np.sort(scores))
    assert np.all(np.diff(found) >= -1e-9)


def test_many_points_are_thinned_where_they_are_dense():
    tail = Tail.fit(np.arange(100_000.0))
    assert len(tail.points) <= 500
    assert tail.points[-3:].tolist() == [99_997, 99_998, 99_999]
    assert math.exp(-tail.improbable([50_000.0])[0]) == pytest.approx(0.5, rel=0.05)


def test_the_part_that_doubts_most_counts_and_the_network_orders_the_rest():
    tails = {"network": Tail.fit(np.arange(99.0), goes_on=True), "counts": Tail.fit(np.arange(99.0))}
    scores = {"network": each(0, 0, 50, 90), "counts": each(0, 500, 500, 0)}
    quiet, far, far_and_odd, odd = CombinedScores(scores, tails, "network").sessions
    assert quiet < odd < far < far_and_odd


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=9))
def test_a_running_score_rises_to_the_sessions_score(events):
    offsets = np.array([0, len(events)])
    columns = np.array(events).T
    scores = {"a": EventScores(offsets, columns[0]), "b": EventScores(offsets, columns[1], "sum")}
    tails = {name: Tail.fit(np.arange(20.0), goes_on=name == "a") for name in scores}
    found = CombinedScores(scores, tails, "a")
    running = found.running(0)
    assert np.all(np.diff(running) >= 0)
    assert running[-1] == pytest.approx(found.sessions[0])


def test_a_tail_survives_json_and_a_damaged_one_is_refused():
    tail = Tail.fit(np.array([1.0, 2.0, 2.0, 5.0]), goes_on=True)
    again = Tail.from_json(json.loads(json.dumps(tail.to_json())))
    assert again.improbable([0.5, 2, 3, 9]).tolist() == tail.improbable([0.5, 2, 3, 9]).tolist()
    for damaged in ({"points": []}, {"points": [2, 1, 3]}, {"unit": 0}, {"shares": [1, 0, 0.5]}):
        with pytest.raises(ValueError, match="tail"):
            Tail.from_json({**tail.to_json(), **damaged})


def test_no_session_is_refused():
    with pytest.raises(ValueError, match="no benign validation session"):
        Tail.fit(np.zeros(0))
