"""The combined verdict stays within its budget and says what the network alone adds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.detector.combination import Combination, choose
from stackyard_detector.detector.ranks import Ranks


def one_rank_each(*worst: int) -> Ranks:
    return Ranks(np.array(worst, dtype=np.int32), np.arange(len(worst) + 1, dtype=np.int64), 0)


def test_the_budget_is_joint():
    validation = one_rank_each(9, 6, 3, 1)
    quiet, one = np.zeros(4, dtype=bool), np.array([False, False, False, True])
    assert choose(validation, quiet, 0.25).k == 6
    taken = choose(validation, one, 0.25)
    assert (taken.k, taken.validation_false_alarm_rate) == (9, 0.25)


def test_alarms_of_both_on_one_session_count_once():
    both = choose(one_rank_each(9, 6, 3, 1), np.array([True, False, False, False]), 0.25)
    assert (both.k, both.validation_false_alarm_rate) == (6, 0.25)


def test_training_sessions_can_only_raise_k():
    validation, quiet = one_rank_each(3, 2), np.zeros(2, dtype=bool)
    assert choose(validation, quiet, 0.0, ranks_of_training=one_rank_each(7, 1)).k == 7
    assert choose(validation, quiet, 0.0, ranks_of_training=one_rank_each(1, 1)).k == 3


def test_verdicts_are_those_of_either():
    combined = Combination(k=5, validation_false_alarm_rate=0.0)
    ranks, rules = one_rank_each(6, 5, 6, 1), np.array([False, True, True, False])
    assert combined.verdicts(ranks, rules).tolist() == [True, True, True, False]
    assert combined.network_only(ranks, rules).tolist() == [True, False, False, False]


@given(st.lists(st.tuples(st.integers(1, 10), st.booleans()), min_size=1, max_size=50), st.floats(0, 1))
def test_the_budget_holds_unless_the_rules_alone_exceed_it(sessions, budget):
    ranks = one_rank_each(*[rank for rank, _ in sessions])
    rules = np.array([alarm for _, alarm in sessions])
    combined = choose(ranks, rules, budget)
    rate = np.mean(combined.verdicts(ranks, rules))
    assert rate == pytest.approx(combined.validation_false_alarm_rate)
    assert rate <= max(budget, np.mean(rules)) + 1e-9


def test_a_combination_survives_json():
    combined = Combination(7, 0.0004, 0.0005)
    assert Combination.from_json(json.loads(json.dumps(combined.to_json()))) == combined
