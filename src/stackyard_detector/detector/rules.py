"""Untrained rules on the same sessions, to know what the network adds.

A session alarms when it holds an event that training did not, when its length is outside the training range,
or when its event counts are too far from those of every training session. What the rules know is training
sessions and one threshold from benign validation; the whole of it has a JSON form. Needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Tuple

import numpy as np

from stackyard_detector.detector.calibration import choose_threshold
from stackyard_detector.detector.metrics import events_at_share
from stackyard_detector.detector.windows import Sequences, Sessions, pack

#: Cells of one block of the distance computation: bounds its memory to some tens of megabytes.
_BLOCK_CELLS = 4_000_000

#: Distinct count vectors kept as references, half the sessions compared to set the threshold: bounds time
#: and the size of a model file.
MOST_REFERENCES = 5_000


@dataclass(frozen=True)
class RuleVerdicts:
    """What each rule says of each session."""

    #: bool [sessions]: holds an event that training did not.
    unseen_event: np.ndarray
    #: bool [sessions]: shorter or longer than every training session.
    length: np.ndarray
    #: float64 [sessions]: L1 distance to the nearest training session over the longer length, 0..2.
    distance: np.ndarray
    #: bool [sessions]: the distance exceeds the threshold.
    counts: np.ndarray
    #: int64 [sessions]: index of the event with which the alarm is certain, -1 without one. A short session
    #: and a count distance are certain with the last event only.
    first_alarms: np.ndarray

    @property
    def any(self) -> np.ndarray:
        """bool [sessions]: at least one rule alarms."""
        return self.unseen_event | self.length | self.counts


@dataclass(frozen=True)
class Rules:
    """What the rules learnt from benign sessions."""

    event_count: int
    shortest: int
    longest: int
    #: int32 [distinct, event_count + 1]: the distinct event-count vectors of training, unknown events last;
    #: the most frequent ones where there are too many.
    references: np.ndarray
    threshold: float

    def judge(self, sessions: Sessions) -> RuleVerdicts:
        """The rules' verdicts on ``sessions`` (symbols, as ``Vocabulary.encode`` gives them)."""
        packed = pack(sessions)
        lengths = packed.lengths
        unseen_at = first_index(packed, self.event_count)
        distance = nearest_distance(count_vectors(packed, self.event_count), self.references)
        outside = (lengths < self.shortest) | (lengths > self.longest)
        counts = distance > self.threshold
        never = np.iinfo(np.int64).max
        first = np.minimum(
            np.where(unseen_at >= 0, unseen_at, never), np.where(lengths > self.longest, self.longest, never)
        )
        first = np.minimum(first, np.where(counts | outside, np.maximum(lengths - 1, 0), never))
        return RuleVerdicts(unseen_at >= 0, outside, distance, counts, np.where(first == never, -1, first))

    def to_json(self) -> Dict[str, Any]:
        """The JSON form."""
        return {
            "event_count": self.event_count,
            "shortest": self.shortest,
            "longest": self.longest,
            "threshold": self.threshold,
            # One text a vector: a number a line would make a file nobody can read.
            "references": [" ".join(map(str, row)) for row in self.references.tolist()],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Rules:
        """Rules from their JSON form.

        Raises:
            ValueError: a key is missing or the references have another width than the vocabulary asks for.
        """
        missing = sorted({"event_count", "shortest", "longest", "threshold", "references"} - set(value))
        if missing:
            raise ValueError(f"the rules lack {', '.join(missing)}; train the model again")
        try:
            rows = [[int(count) for count in row.split()] for row in value["references"]]
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"the rules' references are damaged ({error}); train the model again") from error
        references = np.array(rows if len({len(row) for row in rows}) == 1 else [], dtype=np.int32)
        if references.ndim != 2 or references.shape[1] != value["event_count"] + 1:
            raise ValueError(
                f"the rules' references have shape {references.shape}, "
                f"expected {value['event_count'] + 1} columns"
            )
        return cls(
            int(value["event_count"]),
            int(value["shortest"]),
            int(value["longest"]),
            references,
            float(value["threshold"]),
        )


def fit(
    training: Sessions,
    validation: Sessions,
    event_count: int,
    allowed_false_alarm_rate: float = 0.0,
    folds: int = 5,
) -> Rules:
    """Rules from benign training sessions; their threshold from benign sessions compared with other ones.

    Rules are not trained, so more than the validation sessions can validate them: each validation session is
    compared with all training sessions, and each training session with those of the other folds. The
    threshold is the smallest that at most the allowed share of all these sessions exceeds; by default none.

    Args:
        training: benign sessions (symbols); they are the references.
        validation: benign sessions that are not references (symbols).
        event_count: size of the vocabulary.
        allowed_false_alarm_rate: limit for the counts rule alone, 0..1.
        folds: into how many parts the training sessions are dealt, always in the same way.

    Raises:
        ValueError: no training session.
    """
    packed = pack(training)
    if not len(packed):
        raise ValueError("no training session to learn rules from")
    vectors = count_vectors(packed, event_count)
    references = _references(vectors)
    distances = [nearest_distance(count_vectors(validation, event_count), references)]
    generator = np.random.default_rng(0)
    compared = generator.permutation(len(packed))[: 2 * MOST_REFERENCES]
    fold_of = generator.integers(0, folds, len(compared))
    for fold in range(folds):
        own, others = vectors[compared[fold_of == fold]], vectors[compared[fold_of != fold]]
        if len(own) and len(others):
            distances.append(nearest_distance(own, _references(others)))
    threshold = choose_threshold(np.concatenate(distances), allowed_false_alarm_rate)
    lengths = packed.lengths
    return Rules(event_count, int(lengths.min()), int(lengths.max()), references, threshold)


def count_vectors(sessions: Sessions, event_count: int) -> np.ndarray:
    """How often each event occurs in each session, int32 [sessions, event_count + 1]; unknown events last."""
    packed = pack(sessions)
    owner = np.repeat(np.arange(len(packed)), packed.lengths)
    flat = np.bincount(owner * (event_count + 1) + packed.values, minlength=len(packed) * (event_count + 1))
    return flat.reshape(len(packed), event_count + 1).astype(np.int32)


def first_index(sessions: Sequences, symbol: int) -> np.ndarray:
    """Index of the first ``symbol`` within each session, int64 [sessions], -1 where there is none."""
    places = np.flatnonzero(sessions.values == symbol)
    owner = np.searchsorted(sessions.offsets, places, side="right") - 1
    first = np.full(len(sessions), -1, dtype=np.int64)
    owners, at = np.unique(owner, return_index=True)
    first[owners] = places[at] - sessions.offsets[owners]
    return first


def nearest_distance(queries: np.ndarray, references: np.ndarray) -> np.ndarray:
    """L1 distance of each query to its nearest reference over the longer of the two sums, float64 [queries].

    Nearest means the smallest such ratio: 0 = the same counts, 1 = as many events differ as the longer has.
    Distinct rows are compared once, in blocks of bounded memory, columns one after the other.

    Args:
        queries: int [queries, columns].
        references: int [references, columns], at least one row.
    """
    if not len(queries):
        return np.zeros(0)
    distinct, back = _distinct(queries)
    sums = references.sum(1)
    nearest = np.empty(len(distinct))
    rows = max(1, _BLOCK_CELLS // max(1, len(references)))
    for start in range(0, len(distinct), rows):
        block = distinct[start : start + rows]
        apart = np.zeros((len(block), len(references)), dtype=np.int32)
        for column in range(block.shape[1]):
            apart += np.abs(block[:, column, None] - references[None, :, column])
        longer = np.maximum(block.sum(1)[:, None], sums[None, :])
        nearest[start : start + rows] = (apart / np.maximum(longer, 1)).min(1)
    return nearest[back]


def prefix_distances(training: Sessions, sessions: Sessions, event_count: int, share: float) -> np.ndarray:
    """Distance of the first ``share`` of a session to the nearest training prefix of as many events, float64.

    The rules' view of a session that is still going on: its final length is not known, so a lower bound says
    nothing, and whole training sessions are no fair comparison. infinity: no training session is that long.
    """
    packed, trained = pack(sessions), pack(training)
    seen = events_at_share(packed.lengths, share)
    queries = count_vectors(_heads(packed, seen), event_count)
    distances = np.full(len(packed), np.inf)
    for length in np.unique(seen):
        long_enough = np.flatnonzero(trained.lengths >= length)
        rows = np.flatnonzero(seen == length)
        if len(long_enough):
            heads = _heads(_chosen(trained, long_enough), np.full(len(long_enough), length))
            references = _distinct(count_vectors(heads, event_count))[0]
            distances[rows] = nearest_distance(queries[rows], references)
    return distances


def prefix_verdicts(
    training: Sessions,
    validation: Sessions,
    sessions: Sessions,
    event_count: int,
    share: float,
    allowed_false_alarm_rate: float = 0.0,
) -> np.ndarray:
    """The rules' verdicts when only the first ``share`` of each session is seen, bool [sessions].

    Unseen event, longer than any training session, or counts further from the nearest training prefix of as
    many events than the threshold, which comes from benign validation at the same share.
    """
    packed = pack(sessions)
    unseen_at = first_index(packed, event_count)
    unseen = (unseen_at >= 0) & (unseen_at < events_at_share(packed.lengths, share))
    own = prefix_distances(training, validation, event_count, share)
    threshold = choose_threshold(own[np.isfinite(own)], allowed_false_alarm_rate)
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


def _references(vectors: np.ndarray) -> np.ndarray:
    """The distinct vectors, the most frequent ones where there are more than ``MOST_REFERENCES``."""
    distinct, counts = np.unique(vectors, axis=0, return_counts=True)
    if len(distinct) > MOST_REFERENCES:
        distinct = distinct[np.sort(np.argsort(-counts, kind="stable")[:MOST_REFERENCES])]
    return distinct


def _distinct(rows: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The distinct rows, and for every row the index of its distinct one."""
    distinct, back = np.unique(rows, axis=0, return_inverse=True)
    return distinct, np.asarray(back).ravel()
