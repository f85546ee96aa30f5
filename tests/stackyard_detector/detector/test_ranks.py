"""Verdicts, first misses and worst ranks follow from ranks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.detector.ranks import Ranks


def made(sessions, first_position=0):
    offsets = np.cumsum([0, *map(len, sessions)]).astype(np.int64)
    return Ranks(np.array([r for s in sessions for r in s], dtype=np.int32), offsets, first_position)


@given(st.lists(st.lists(st.integers(1, 6), max_size=5), max_size=8), st.integers(1, 6), st.integers(0, 10))
def test_a_session_is_malicious_from_its_first_rank_beyond_k(sessions, k, first_position):
    verdicts, first = made(sessions, first_position).verdicts(k)
    for session, verdict, index in zip(sessions, verdicts, first):
        misses = [at for at, rank in enumerate(session) if rank > k]
        assert verdict == bool(misses)
        assert index == (misses[0] + first_position if misses else -1)


@given(st.lists(st.lists(st.integers(1, 6), max_size=5), max_size=8))
def test_the_worst_rank_decides_at_every_k(sessions):
    ranks = made(sessions)
    assert ranks.worst().tolist() == [max(session, default=0) for session in sessions]
    for k in range(1, 7):
        assert (ranks.worst() > k).tolist() == ranks.verdicts(k)[0].tolist()


def test_a_session_has_its_own_ranks():
    assert made([[1, 2], [], [3]]).of(2).tolist() == [3]
