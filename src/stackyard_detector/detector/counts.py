"""How far the event counts of a session are from those of every training session: order set aside, as count-vector
detectors do (Xu et al., SOSP 2009, make such vectors of log messages).

The distance is L1 over the longer of the two sessions: 0 = the same counts, 1 = as many events differ as the longer
has, at most 2. It is known with the last event only. Needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Tuple

import numpy as np

from stackyard_detector.detector.scores import EventScores, Scores
from stackyard_detector.detector.windows import Sessions, pack

#: Distinct count vectors kept as references, the most frequent ones: bounds time and the size of a model.
MOST_REFERENCES = 5_000
#: Cells of the references' table: with very many different events fewer references are kept.
MOST_CELLS = 20_000_000


@dataclass(frozen=True)
class Counts:
    """The count vectors of benign training sessions, unknown events in the last column."""

    event_count: int
    #: int32 [references, event_count + 1].
    references: np.ndarray

    @classmethod
    def fit(cls, sessions: Sessions, event_count: int) -> Counts:
        """The distinct count vectors of benign training sessions.

        Raises:
            ValueError: no training session.
        """
        if not len(sessions):
            raise ValueError("no training session to take event counts from")
        vectors, times = distinct_counts(sessions, event_count)[:2]
        most = max(1, min(MOST_REFERENCES, MOST_CELLS // (event_count + 1)))
        kept = np.sort(np.argsort(-times, kind="stable")[:most])
        references = np.zeros((len(kept), event_count + 1), dtype=np.int32)
        for row, vector in enumerate(kept.tolist()):
            events, counts = vectors[vector]
            references[row, events] = counts
        return cls(event_count, references)

    def score(self, sessions: Sessions) -> Scores:
        """The scores of ``sessions`` (symbols)."""
        packed = pack(sessions)
        return EventScores(packed.offsets, None, at_end=nearest_distance(packed, self.references))

    def arrays(self) -> Dict[str, np.ndarray]:
        """What it knows."""
        return {"references": self.references}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], event_count: int) -> Counts:
        """As ``arrays`` gave it."""
        return cls(event_count, arrays["references"])


#: The events that occur in a session, and how often each does.
CountVector = Tuple[np.ndarray, np.ndarray]


def distinct_counts(sessions: Sessions, event_count: int) -> Tuple[List[CountVector], np.ndarray, np.ndarray]:
    """The different count vectors of ``sessions``, in order of appearance, without their zeros.

    Returns:
        vectors; int64 [vectors], of how many sessions each is; int64 [sessions], which one each session has.
    """
    packed = pack(sessions)
    base = event_count + 1
    owner = np.repeat(np.arange(len(packed), dtype=np.int64), packed.lengths)
    keys, times = np.unique(owner * base + packed.values, return_counts=True)
    starts = np.searchsorted(keys, np.arange(len(packed) + 1, dtype=np.int64) * base)
    pairs = np.column_stack([keys % base, times])
    data, width = pairs.tobytes(), 2 * pairs.itemsize
    seen: Dict[bytes, int] = {}
    vectors: List[CountVector] = []
    vector_of = np.empty(len(packed), dtype=np.int64)
    bounds = starts.tolist()
    for session in range(len(packed)):
        start, stop = bounds[session], bounds[session + 1]
        number = seen.setdefault(data[start * width : stop * width], len(seen))
        if number == len(vectors):
            vectors.append((pairs[start:stop, 0], pairs[start:stop, 1]))
        vector_of[session] = number
    return vectors, np.bincount(vector_of, minlength=len(vectors)), vector_of


def nearest_distance(sessions: Sessions, references: np.ndarray) -> np.ndarray:
    """Distance of the counts of each session to those of the nearest reference, float64 [sessions].

    Two counts differ by their sum less twice what they share, so only the events that a session has are looked at.

    Args:
        sessions: symbols.
        references: int [references, event_count + 1], at least one row.
    """
    vectors, _, vector_of = distinct_counts(sessions, references.shape[1] - 1)
    columns = np.ascontiguousarray(references.T.astype(np.int32))
    totals = references.sum(1).astype(np.int64)
    nearest = np.empty(len(vectors))
    for number, (events, counts) in enumerate(vectors):
        shared = np.minimum(columns[events], counts[:, None].astype(np.int32)).sum(0)
        own = int(counts.sum())
        nearest[number] = ((totals + own - 2 * shared) / np.maximum(np.maximum(totals, own), 1)).min()
    return nearest[vector_of]
