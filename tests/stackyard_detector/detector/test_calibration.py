"""The choice of k and thresholds from benign sessions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.detector.calibration import around, choose_k, choose_threshold, false_alarm_rate
from stackyard_detector.detector.ranks import Ranks


def ranks(*sessions: list) -> Ranks:
    offsets = np.cumsum([0, *map(len, sessions)])
    return Ranks(
        np.array([rank for session in sessions for rank in session], dtype=np.int32),
        offsets.astype(np.int64),
        0,
    )


def test_k_is_the_smallest_within_the_limit():
    worst_ranks = [[1]] * 996 + [[4], [6], [8], [9]]
    assert choose_k(ranks(*worst_ranks), 0.002) == 6
    assert choose_k(ranks(*worst_ranks), 0.001) == 8
    assert choose_k(ranks(*worst_ranks), 0.0) == 9


def test_too_few_sessions_for_the_rate_allow_no_alarm():
    assert choose_k(ranks(*[[1]] * 400, [7]), 0.002) == 7


def test_sessions_without_a_target_count_as_quiet():
    assert choose_k(ranks([], [], [3]), 0.0) == 3
    assert choose_k(ranks([], []), 0.0) == 1


def test_unknown_events_do_not_switch_the_detector_off():
    """With 5 known events an unknown one ranks 6: k must stay below, whatever the limit."""
    with_unknown = ranks([1, 2], [1, 6], [2, 3], [6])
    assert choose_k(with_unknown, 0.0, largest_k=5) == 3
    assert choose_k(ranks([6], [6]), 0.0, largest_k=5) == 5


def test_alarms_of_another_detector_use_the_budget_up():
    worst = ranks([9], [7], [5], [1])
    assert choose_k(worst, 0.5) == 5
    # One of the two allowed alarms is taken by the other detector, on the session with rank 9.
    assert choose_k(worst, 0.5, already_alarmed=np.array([True, False, False, False])) == 5
    assert choose_k(worst, 0.5, already_alarmed=np.array([False, False, False, True])) == 7
    assert choose_k(worst, 0.0, already_alarmed=np.array([True, False, False, False])) == 7


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(ValueError, match=r"expected 0\.\.1"):
        choose_k(ranks([1]), rate)


def test_no_validation_session_is_refused():
    with pytest.raises(ValueError, match="hold some back"):
        choose_k(ranks(), 0.002)


@given(st.lists(st.lists(st.integers(1, 12), max_size=5), min_size=1, max_size=60), st.floats(0, 1, width=16))
def test_the_chosen_k_meets_the_limit_and_the_next_smaller_does_not(sessions, rate):
    given_ranks = ranks(*sessions)
    k = choose_k(given_ranks, rate)
    assert false_alarm_rate(given_ranks, k) <= rate + 1e-9
    assert k == 1 or false_alarm_rate(given_ranks, k - 1) > rate


def test_a_threshold_leaves_at_most_the_allowed_share_above_it():
    scores = np.arange(1000) / 1000
    assert choose_threshold(scores) == 0.999
    assert np.sum(scores > choose_threshold(scores, 0.002)) == 2
    assert choose_threshold(np.zeros(0)) == 0.0


def test_neighbours_of_k_stay_among_possible_values():
    assert around(1) == [1, 2, 3]
    assert around(9) == [7, 8, 9, 10, 11]
    assert around(9, largest_k=9) == [7, 8, 9]
