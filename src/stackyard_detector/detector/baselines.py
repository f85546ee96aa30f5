"""The simplest detectors, which the network is held against: they count what training sessions had, and train nothing.

Each is fitted on benign training sessions, gives ``Scores``, and keeps what it knows in arrays that a model file holds.
Needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Callable, Dict, Mapping, NamedTuple, Protocol, Tuple

import numpy as np

from stackyard_detector.detector.counts import Counts
from stackyard_detector.detector.scores import EventScores, Scores
from stackyard_detector.detector.windows import Sequences, Sessions, pack

#: Lengths of training sessions that are kept: more add nothing to their distribution.
MOST_LENGTHS = 10_000


@dataclass(frozen=True)
class UnseenEvent:
    """An event that training did not have; the score is how many a session holds."""

    event_count: int

    @classmethod
    def fit(cls, sessions: Sessions, event_count: int) -> UnseenEvent:
        """Nothing to learn: the vocabulary is what training had."""
        return cls(event_count)

    def score(self, sessions: Sessions) -> Scores:
        """The scores of ``sessions`` (symbols)."""
        packed = pack(sessions)
        return EventScores(packed.offsets, (packed.values == self.event_count).astype(np.float32), "sum")

    def arrays(self) -> Dict[str, np.ndarray]:
        """What it knows."""
        return {}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], event_count: int) -> UnseenEvent:
        """As ``arrays`` gave it."""
        return cls(event_count)


@dataclass(frozen=True)
class UnseenNgram:
    """n events in a row that training did not have so; the score is how many times a session has such.

    A session's beginning counts as an event, so an unusual first event is an unusual pair.
    """

    event_count: int
    n: int
    #: int64, sorted: the n-grams of training as numbers in base event_count + 2.
    codes: np.ndarray

    @classmethod
    def fit(cls, sessions: Sessions, event_count: int, n: int) -> UnseenNgram:
        """The n-grams of benign training sessions."""
        return cls(event_count, n, np.unique(ngrams(pack(sessions), event_count, n)))

    def score(self, sessions: Sessions) -> Scores:
        """The scores of ``sessions`` (symbols)."""
        packed = pack(sessions)
        codes = ngrams(packed, self.event_count, self.n)
        return EventScores(packed.offsets, (~_among(codes, self.codes)[0]).astype(np.float32), "sum")

    def arrays(self) -> Dict[str, np.ndarray]:
        """What it knows."""
        return {"codes": self.codes}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], event_count: int, n: int) -> UnseenNgram:
        """As ``arrays`` gave it."""
        return cls(event_count, n, arrays["codes"])


@dataclass(frozen=True)
class Transition:
    """How improbable each event is after the one before it, in nats: a Markov chain of order one.

    Probabilities of pairs fall back on those of single events (Witten and Bell 1991, method C), and those on one more
    event than was ever counted. The score is the soft maximum over the events.
    """

    event_count: int
    #: int64, sorted: the pairs of training, and how often each came.
    codes: np.ndarray
    counts: np.ndarray

    @classmethod
    def fit(cls, sessions: Sessions, event_count: int) -> Transition:
        """The pairs of benign training sessions."""
        codes, counts = np.unique(ngrams(pack(sessions), event_count, 2), return_counts=True)
        return cls(event_count, codes, counts.astype(np.int64))

    def score(self, sessions: Sessions) -> Scores:
        """The scores of ``sessions`` (symbols)."""
        packed = pack(sessions)
        codes = ngrams(packed, self.event_count, 2)
        base = self.event_count + 2
        before, after = self.codes // base, self.codes % base
        singles = np.bincount(after, self.counts, minlength=base)
        of_single = (singles + 1) / (singles.sum() + self.event_count + 1)
        came_before = np.bincount(before, self.counts, minlength=base)
        followers = np.bincount(before, minlength=base).astype(np.float64)
        known, place = _among(codes, self.codes)
        count = np.where(known, self.counts[place], 0)
        first, second = codes // base, codes % base
        below = came_before[first] + followers[first]
        mixed = (count + followers[first] * of_single[second]) / np.maximum(below, 1)
        probability = np.where(below > 0, mixed, of_single[second])
        return EventScores(packed.offsets, -np.log(probability), "soft-maximum")

    def arrays(self) -> Dict[str, np.ndarray]:
        """What it knows."""
        return {"codes": self.codes, "counts": self.counts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], event_count: int) -> Transition:
        """As ``arrays`` gave it."""
        return cls(event_count, arrays["codes"], arrays["counts"])


@dataclass(frozen=True)
class Length:
    """How few training sessions are as long, or as short, as this one: minus the logarithm of their share."""

    #: int64, sorted: lengths of training sessions.
    lengths: np.ndarray

    @classmethod
    def fit(cls, sessions: Sessions, event_count: int) -> Length:
        """The lengths of benign training sessions."""
        lengths = np.sort(pack(sessions).lengths)
        if len(lengths) > MOST_LENGTHS:
            lengths = lengths[np.linspace(0, len(lengths) - 1, MOST_LENGTHS).round().astype(np.int64)]
        return cls(lengths)

    def score(self, sessions: Sessions) -> Scores:
        """The scores of ``sessions`` (symbols); that a session is short shows at its end only."""
        packed = pack(sessions)
        ended = packed.lengths
        so_far = np.arange(len(packed.values)) - np.repeat(packed.offsets[:-1], ended) + 1
        trained = len(self.lengths)
        as_long = trained - np.searchsorted(self.lengths, so_far, side="left")
        as_short = np.searchsorted(self.lengths, ended, side="right")
        return EventScores(
            packed.offsets,
            -np.log((as_long + 1) / (trained + 1)),
            "maximum",
            -np.log((as_short + 1) / (trained + 1)),
        )

    def arrays(self) -> Dict[str, np.ndarray]:
        """What it knows."""
        return {"lengths": self.lengths}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], event_count: int) -> Length:
        """As ``arrays`` gave it."""
        return cls(arrays["lengths"])


class Baseline(Protocol):
    """What every baseline can."""

    def score(self, sessions: Sessions) -> Scores:
        """The scores of ``sessions`` (symbols)."""

    def arrays(self) -> Dict[str, np.ndarray]:
        """What it knows."""


class Kind(NamedTuple):
    """How a baseline is made: of training sessions, or of the arrays that a model file kept."""

    fit: Callable[[Sessions, int], Baseline]
    load: Callable[[Mapping[str, np.ndarray], int], Baseline]


#: Name -> baseline, in the order of tables.
BASELINES: Dict[str, Kind] = {
    "unseen_event": Kind(UnseenEvent.fit, UnseenEvent.from_arrays),
    "unseen_pair": Kind(partial(UnseenNgram.fit, n=2), partial(UnseenNgram.from_arrays, n=2)),
    "unseen_triple": Kind(partial(UnseenNgram.fit, n=3), partial(UnseenNgram.from_arrays, n=3)),
    "transition": Kind(Transition.fit, Transition.from_arrays),
    "counts": Kind(Counts.fit, Counts.from_arrays),
    "length": Kind(Length.fit, Length.from_arrays),
}


def ngrams(sessions: Sequences, event_count: int, n: int) -> np.ndarray:
    """For each event the number of the n-gram that ends with it, int64 [events].

    The symbol event_count + 1 stands before a session's first event.

    Raises:
        ValueError: more events than n-grams can be numbered of.
    """
    base = event_count + 2
    if base**n > np.iinfo(np.int64).max:
        raise ValueError(f"{event_count} different events are too many to count {n} in a row")
    values = sessions.values.astype(np.int64)
    within = np.arange(len(values)) - np.repeat(sessions.offsets[:-1], sessions.lengths)
    codes = values.copy()
    for back in range(1, n):
        earlier = np.full(len(values), event_count + 1, dtype=np.int64)
        inside = within >= back
        earlier[inside] = values[np.flatnonzero(inside) - back]
        codes += earlier * base**back
    return codes


def _among(codes: np.ndarray, known: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Which of ``codes`` are among ``known`` (sorted), and where there."""
    if not len(known):
        return np.zeros(len(codes), dtype=bool), np.zeros(len(codes), dtype=np.int64)
    place = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    return known[place] == codes, place
