"""Scores never fall while a session goes on, and say which event raised the alarm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.detector.scores import GATHERED, EventScores

SESSIONS = st.lists(st.lists(st.floats(0, 12, width=16), min_size=1, max_size=8), min_size=1, max_size=6)


def scores(sessions, gathered="maximum", at_end=None):
    offsets = np.cumsum([0, *map(len, sessions)])
    flat = np.array([value for session in sessions for value in session], dtype=np.float32)
    return EventScores(offsets, flat, gathered, at_end)


@pytest.mark.parametrize("gathered", sorted(GATHERED))
@given(SESSIONS)
def test_a_running_score_rises_to_the_sessions_score(gathered, sessions):
    found = scores(sessions, gathered)
    for number, session in enumerate(sessions):
        running = found.running(number)
        assert len(running) == len(session)
        assert np.all(np.diff(running) >= 0)
        assert running[-1] == pytest.approx(found.sessions[number])


@pytest.mark.parametrize("gathered", sorted(GATHERED))
@given(SESSIONS, st.floats(0, 15, width=16))
def test_the_first_alarm_is_the_first_event_past_the_threshold(gathered, sessions, threshold):
    found = scores(sessions, gathered)
    for number, first in enumerate(found.first_above(threshold).tolist()):
        above = np.flatnonzero(found.running(number) > threshold)
        # equal up to the last digits is either
        if abs(found.sessions[number] - threshold) > 1e-9:
            assert first == (above[0] if len(above) else -1)


def test_a_rare_event_outweighs_many_ordinary_ones_and_two_outweigh_one():
    rare, ordinary, two = scores([[0.7] * 10 + [9.0], [0.7] * 1000, [9.0, 9.0]], "soft-maximum").sessions
    assert ordinary < rare < two


def test_what_only_the_end_shows_alarms_at_the_last_event():
    found = scores([[0, 0, 0], [0, 5, 0]], at_end=np.array([4.0, 4.0]))
    assert found.first_above(3).tolist() == [2, 1]
    assert EventScores(np.array([0, 3]), None, at_end=np.array([4.0])).first_above(3).tolist() == [2]


def test_after_an_early_alarm_counting_begins_with_the_attack():
    """Two unseen events before the attack alarm by themselves; the first attack has one, too few for the limit."""
    found = scores([[1, 1, 0, 1, 0], [1, 1, 0, 1, 1]], "sum")
    assert found.first_above(1.5).tolist() == [1, 1]
    assert found.first_above_from(0, 1.5, start=2) == -1
    assert found.first_above_from(1, 1.5, start=2) == 4
    assert found.first_above_from(1, 1.5, start=9) == -1
