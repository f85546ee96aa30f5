"""Distances of event counts, against the plain definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.detector import counts
from stackyard_detector.detector.counts import Counts, nearest_distance

EVENTS = 3
TRAINING = [[0, 1, 2, 0], [0, 1, 2, 2, 0], [0, 1, 1, 2, 0, 0]] * 4
SESSION = st.lists(st.integers(0, EVENTS), min_size=1, max_size=9)


def plain(session, reference):
    own = np.bincount(session, minlength=EVENTS + 1)
    return np.abs(own - reference).sum() / max(own.sum(), reference.sum())


def test_order_does_not_matter_and_counts_do():
    far = Counts.fit(TRAINING, EVENTS).score([[0, 2, 1, 0], [0, 0, 0, 0]])
    # [4, 0, 0] against [3, 2, 1], the nearest for its length: 4 events differ of 6.
    assert far.sessions.tolist() == [0.0, pytest.approx(4 / 6)]
    assert far.first_above(0.5).tolist() == [-1, 3]


@given(st.lists(SESSION, min_size=1, max_size=8), st.lists(SESSION, min_size=1, max_size=5))
def test_the_distance_is_that_of_the_definition(sessions, references):
    table = np.array([np.bincount(reference, minlength=EVENTS + 1) for reference in references])
    found = nearest_distance(sessions, table)
    assert found.tolist() == pytest.approx([min(plain(s, row) for row in table) for s in sessions])


def test_the_most_frequent_references_are_kept(monkeypatch):
    monkeypatch.setattr(counts, "MOST_REFERENCES", 1)
    kept = Counts.fit([[1], [0, 0], [0, 0]], EVENTS)
    assert kept.references.tolist() == [[2, 0, 0, 0]]


def test_no_training_session_is_refused():
    with pytest.raises(ValueError, match="no training session"):
        Counts.fit([], EVENTS)
