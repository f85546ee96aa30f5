"""The end of a session as an event that the network predicts: a session that stops too early, or goes on, surprises it.

Only the network sees it. Whoever reads its ranks gets as many as a session has events: the end counts with the last
one. Needs numpy.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from stackyard_detector.detector.config import DetectorConfig
from stackyard_detector.detector.ranks import Ranks
from stackyard_detector.detector.windows import Sequences, Sessions, pack

#: The name of the end in a vocabulary, where it is the last event.
END = "<end of session>"


def as_network_reads(sessions: Sessions, config: DetectorConfig, event_count: int) -> Sequences:
    """``sessions`` (symbols), with ``end_event`` each followed by its end."""
    packed = pack(sessions)
    if not config.end_event:
        return packed
    values = np.insert(packed.values, packed.offsets[1:], event_count - 1).astype(np.int32)
    return Sequences(values, packed.offsets + np.arange(len(packed.offsets)))


def as_events(ranks: Ranks, config: DetectorConfig) -> Ranks:
    """``ranks`` of what the network read, one for each event that is a target.

    With ``end_event`` the last event of a session has the greater rank and surprise of its own and the end's. The end
    alone is no target.
    """
    if not config.end_event:
        return ranks
    counts = np.diff(ranks.offsets)
    ends = ranks.offsets[1:][counts > 0] - 1
    lasts = ranks.offsets[1:][counts > 1] - 2
    offsets = np.zeros_like(ranks.offsets)
    np.cumsum(np.maximum(counts - 1, 0), out=offsets[1:])

    def folded(values: Optional[np.ndarray]) -> Optional[np.ndarray]:
        if values is None:
            return None
        greater = values.copy()
        greater[lasts] = np.maximum(values[lasts], values[lasts + 1])
        return np.delete(greater, ends)

    found = folded(ranks.values)
    assert found is not None
    return Ranks(found, offsets, ranks.first_position, folded(ranks.surprise))
