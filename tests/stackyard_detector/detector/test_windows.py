"""Windows of h events before each target, with and without start padding."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.detector.config import DetectorConfig
from stackyard_detector.detector.windows import merged, pack, windows

SESSIONS = st.lists(st.lists(st.integers(0, 4), max_size=9), max_size=6)
PAD = 5


def written_out(sessions, history, start_padding):
    """All windows, one loop, no cleverness."""
    rows = []
    for session in sessions:
        for at in range(0 if start_padding else history, len(session)):
            before = ([PAD] * history + list(session))[at : at + history]
            rows.append((before, session[at]))
    return rows


@given(SESSIONS, st.integers(1, 4), st.booleans())
def test_windows_are_the_events_before_each_target(sessions, history, start_padding):
    cut = windows(sessions, DetectorConfig(history=history, start_padding=start_padding), 4)
    expected = written_out(sessions, history, start_padding)
    assert cut.contexts.tolist() == [context for context, _ in expected]
    assert cut.targets.tolist() == [target for _, target in expected]
    skipped = 0 if start_padding else history
    assert np.diff(cut.offsets).tolist() == [max(0, len(session) - skipped) for session in sessions]


def test_a_session_below_the_history_has_targets_only_with_start_padding():
    assert len(windows([[1, 2]], DetectorConfig(history=3), 4).targets) == 0
    padded = windows([[1, 2]], DetectorConfig(history=3, start_padding=True), 4)
    assert padded.contexts.tolist() == [[PAD, PAD, PAD], [PAD, PAD, 1]]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=1))
def test_merging_keeps_every_pair_with_its_count(rows):
    table = np.array(rows, dtype=np.int32)
    contexts, targets, counts = merged(table[:, :2], table[:, 2])
    pairs = map(tuple, np.column_stack([contexts, targets]).tolist())
    seen = dict(zip(pairs, counts.tolist()))
    assert seen == {row: rows.count(row) for row in rows}


def test_packing_accepts_arrays_lists_and_what_is_packed():
    packed = pack([np.array([1, 2]), [], [3]])
    assert packed.values.tolist() == [1, 2, 3]
    assert packed.offsets.tolist() == [0, 2, 2, 3]
    assert pack(packed) is packed
    assert len(pack([])) == 0
