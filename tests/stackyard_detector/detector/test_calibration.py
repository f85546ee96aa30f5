"""The choice of k and of thresholds from benign sessions, and what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.detector.calibration import (
    Threshold,
    around,
    choose_k,
    false_alarm_rate,
    lower_rate,
    most_above,
    threshold,
    upper_rate,
)
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


def test_allowing_more_never_gives_a_greater_k():
    """300 sessions, three of them with an unknown event: 0.5 % allows one alarm, 1 % allows three."""
    given_ranks = ranks(*[[1]] * 290, *[[40 + n] for n in range(7)], [56], [56], [56])
    chosen = [choose_k(given_ranks, rate / 1000, largest_k=55) for rate in range(0, 60)]
    assert chosen == sorted(chosen, reverse=True)
    assert chosen[5] == chosen[10] == 46


@given(
    st.lists(st.integers(1, 13), min_size=1, max_size=40),
    st.floats(0, 1, width=16),
    st.floats(0, 1, width=16),
)
def test_k_falls_as_the_allowance_grows(worst, one, other):
    given_ranks = ranks(*[[rank] for rank in worst])
    few, many = sorted([one, other])
    assert choose_k(given_ranks, few, largest_k=12) >= choose_k(given_ranks, many, largest_k=12)


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(ValueError, match=r"expected 0\.\.1"):
        choose_k(ranks([1]), rate)
    with pytest.raises(ValueError, match=r"expected 0\.\.1"):
        threshold(np.ones(3), rate)


def test_no_validation_session_is_refused():
    with pytest.raises(ValueError, match="hold some back"):
        choose_k(ranks(), 0.002)
    with pytest.raises(ValueError, match="hold some back"):
        threshold(np.zeros(0))


@given(st.lists(st.lists(st.integers(1, 12), max_size=5), min_size=1, max_size=60), st.floats(0, 1, width=16))
def test_the_chosen_k_meets_the_limit_and_the_next_smaller_does_not(sessions, rate):
    given_ranks = ranks(*sessions)
    k = choose_k(given_ranks, rate)
    assert false_alarm_rate(given_ranks, k) <= rate + 1e-9
    assert k == 1 or false_alarm_rate(given_ranks, k - 1) > rate


def test_a_threshold_keeps_its_promise_in_95_of_100_draws():
    """Scores uniform in 0..1, so the true rate above a threshold is 1 less it."""
    generator = np.random.default_rng(0)
    rates = np.array([1 - threshold(generator.random(400), 0.02).value for _ in range(1000)])
    assert 0.93 < np.mean(rates <= 0.02) < 0.995


def test_too_few_sessions_promise_what_they_can():
    found = threshold(np.arange(57.0), 0.002)
    assert (found.alarms, found.expressible) == (0, False)
    assert found.value == pytest.approx(56, rel=1e-3)
    assert found.stated_rate == pytest.approx(1 - 0.05 ** (1 / 57))
    assert "57 benign validation sessions are too few to show a false-alarm rate of 0.002" in found.remark()
    assert "at most 0.051 with 95 % confidence; give at least 2500 of them, or allow 0.088" in found.remark()
    enough = threshold(np.arange(2500.0), 0.002)
    assert enough.expressible
    assert enough.remark() is None
    assert enough.stated_rate <= 0.002


def test_a_rate_that_is_kept_by_few_sessions_is_not_called_broken():
    remark = threshold(np.arange(2400.0), 0.002).remark()
    assert "2400 benign validation sessions are few" in remark
    assert "it is kept (at most 0.002 with 95 % confidence)" in remark
    assert "stricter than it need be" in remark


def test_the_advice_leads_out():
    for sessions, rate in ((57, 0.002), (300, 0.0099), (40, 0.05), (1, 0.1), (9, 0.0)):
        advised = float(threshold(np.arange(sessions * 1.0), rate).remark().rpartition("allow ")[2])
        assert threshold(np.arange(sessions * 1.0), advised).remark() is None or advised == 1.0


@given(st.lists(st.floats(0, 9, width=16), min_size=1, max_size=60), st.floats(0, 1), st.floats(0, 1))
def test_allowing_more_never_gives_a_greater_threshold(scores, one, other):
    few, many = sorted([one, other])
    strict, loose = threshold(np.array(scores), few), threshold(np.array(scores), many)
    assert strict.value >= loose.value
    assert loose.alarms >= strict.alarms


@given(st.integers(1, 300), st.floats(0.001, 0.9))
def test_the_place_of_a_threshold_is_that_of_the_binomial(sessions, rate):
    def at_least(count):
        below = [math.comb(sessions, n) * rate**n * (1 - rate) ** (sessions - n) for n in range(count)]
        return 1 - math.fsum(below)

    place = most_above(sessions, rate, 0.95)
    assert place == 0 or at_least(place) >= 0.95 - 1e-6
    assert at_least(place + 1) < 0.95 + 1e-6


def test_bounds_of_a_rate_are_those_of_clopper_and_pearson():
    assert upper_rate(0, 100) == pytest.approx(0.0295, abs=1e-4)
    assert upper_rate(3, 100) == pytest.approx(0.0757, abs=1e-4)
    assert lower_rate(3, 100) == pytest.approx(0.0082, abs=1e-4)
    assert (upper_rate(5, 5), lower_rate(0, 5)) == (1.0, pytest.approx(0, abs=1e-9))


def test_a_threshold_survives_json():
    found = threshold(np.arange(100.0), 0.1)
    assert Threshold.from_json(found.to_json()) == found


def test_neighbours_of_k_stay_among_possible_values():
    assert around(1) == [1, 2, 3]
    assert around(9) == [7, 8, 9, 10, 11]
    assert around(9, largest_k=9) == [7, 8, 9]
