"""The simplest detectors, each against a session that it sees, and against the plain definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.detector.baselines import (
    BASELINES,
    Length,
    Transition,
    UnseenEvent,
    UnseenNgram,
    ngrams,
)
from stackyard_detector.detector.windows import pack

#: Three known events 0, 1, 2; 3 is unknown.
EVENTS = 3
TRAINING = [[0, 1, 2, 0], [0, 1, 2, 2, 0], [0, 1, 1, 2, 0, 0]] * 4
SESSION = st.lists(st.integers(0, EVENTS), min_size=1, max_size=9)


def test_unseen_events_are_counted_where_they_occur():
    found = UnseenEvent.fit(TRAINING, EVENTS).score([[0, 3, 2, 3], [0, 1, 2, 0]])
    assert found.sessions.tolist() == [2.0, 0.0]
    assert found.first_above(0).tolist() == [1, -1]


@pytest.mark.parametrize("n", [2, 3])
@given(st.lists(SESSION, min_size=1, max_size=6))
def test_unseen_ngrams_are_those_of_the_definition(n, sessions):
    def grams(session):
        padded = ["begin"] * (n - 1) + list(session)
        return [tuple(padded[at : at + n]) for at in range(len(session))]

    known = {gram for session in TRAINING for gram in grams(session)}
    found = UnseenNgram.fit(TRAINING, EVENTS, n).score(sessions)
    assert found.sessions.tolist() == [sum(gram not in known for gram in grams(s)) for s in sessions]


def test_a_transition_is_as_probable_as_it_was_frequent():
    found = Transition.fit([[0, 1], [0, 1], [0, 1], [0, 2]], EVENTS)
    after_0 = [found.score([[0, event]]).running(0)[-1] for event in range(EVENTS + 1)]
    assert after_0[1] < after_0[2] < after_0[0]
    assert after_0[3] > after_0[2]
    # Witten and Bell: (3 + 2 * P(1)) / (4 + 2) with P(1) = (3 + 1) / (8 + 4)
    first = (4 + 1 * (4 + 1) / (8 + 4)) / (4 + 1)
    second = (3 + 2 * (3 + 1) / (8 + 4)) / (4 + 2)
    soft = math.log(first**-2 + second**-2) / 2
    assert after_0[1] == pytest.approx(soft)


def test_transitions_share_out_all_probability():
    """Over all known events and the unknown one it is 1, also after an event that never had a follower."""
    found = Transition.fit(TRAINING, EVENTS)
    for before in range(EVENTS + 1):
        chances = [math.exp(-found.score([[before, after]]).per_event[1]) for after in range(EVENTS + 1)]
        assert sum(chances) == pytest.approx(1)


def test_a_session_is_too_long_with_an_event_and_too_short_at_its_end():
    found = Length.fit([[0] * length for length in (4, 5, 6)] * 30, EVENTS).score([[0] * 9, [0] * 5, [0]])
    assert found.first_above(4).tolist() == [6, -1, 0]
    assert found.sessions[0] == pytest.approx(math.log(91))


def test_lengths_are_kept_by_their_distribution():
    kept = Length.fit([[0] * (1 + number % 7) for number in range(20_000)], EVENTS).lengths
    assert len(kept) == 10_000
    assert np.mean(kept <= 3) == pytest.approx(3 / 7, abs=0.001)


@pytest.mark.parametrize("name", sorted(BASELINES))
@given(st.lists(SESSION, min_size=1, max_size=5))
def test_what_a_baseline_keeps_is_all_it_knows(name, sessions):
    fitted = BASELINES[name].fit(TRAINING, EVENTS)
    again = BASELINES[name].load(fitted.arrays(), EVENTS)
    assert again.score(sessions).sessions.tolist() == fitted.score(sessions).sessions.tolist()


def test_more_events_than_can_be_numbered_are_refused():
    with pytest.raises(ValueError, match="too many to count 3 in a row"):
        ngrams(pack([[0, 1]]), 3_000_000, 3)
