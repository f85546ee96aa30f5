"""The rules' view of a session that is still going on: its counts against those of training prefixes as long. numpy."""

from __future__ import annotations

import numpy as np

from stackyard_detector.detector.baselines import UnseenEvent
from stackyard_detector.detector.counts import Counts, nearest_distance
from stackyard_detector.detector.metrics import events_at_share
from stackyard_detector.detector.windows import Sequences, Sessions, pack


def prefix_distances(training: Sessions, sessions: Sessions, event_count: int, share: float) -> np.ndarray:
    """Distance of the first ``share`` of a session to the nearest training prefix of as many events, float64.

    The rules' view of a session that is still going on: its final length is not known, so a lower bound says
    nothing, and whole training sessions are no fair comparison. infinity: no training session is that long.
    """
    packed, trained = pack(sessions), pack(training)
    seen = events_at_share(packed.lengths, share)
    queries = _heads(packed, seen)
    distances = np.full(len(packed), np.inf)
    for length in np.unique(seen):
        long_enough = np.flatnonzero(trained.lengths >= length)
        rows = np.flatnonzero(seen == length)
        if len(long_enough):
            heads = _heads(_chosen(trained, long_enough), np.full(len(long_enough), length))
            references = Counts.fit(heads, event_count).references
            distances[rows] = nearest_distance(_chosen(queries, rows), references)
    return distances


def prefix_verdicts(
    training: Sessions,
    validation: Sessions,
    sessions: Sessions,
    event_count: int,
    share: float,
) -> np.ndarray:
    """The rules' verdicts when only the first ``share`` of each session is seen, bool [sessions].

    Unseen event, longer than any training session, or counts further from the nearest training prefix of as
    many events than the threshold, which comes from benign validation at the same share.
    """
    packed = pack(sessions)
    unseen = (
        UnseenEvent(event_count).score(_heads(packed, events_at_share(packed.lengths, share))).sessions > 0
    )
    own = prefix_distances(training, validation, event_count, share)
    threshold = own[np.isfinite(own)].max(initial=0.0)
    return unseen | (prefix_distances(training, packed, event_count, share) > threshold)


def _heads(sessions: Sequences, lengths: np.ndarray) -> Sequences:
    """The first ``lengths[i]`` events of each session."""
    within = np.arange(len(sessions.values)) - np.repeat(sessions.offsets[:-1], sessions.lengths)
    kept = within < np.repeat(lengths, sessions.lengths)
    offsets = np.zeros(len(sessions) + 1, dtype=np.int64)
    np.cumsum(np.minimum(lengths, sessions.lengths), out=offsets[1:])
    return Sequences(sessions.values[kept], offsets)


def _chosen(sessions: Sequences, rows: np.ndarray) -> Sequences:
    """The sessions of these indices."""
    return pack([sessions.values[sessions.offsets[row] : sessions.offsets[row + 1]] for row in rows])
