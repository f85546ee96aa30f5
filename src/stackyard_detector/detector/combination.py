"""One score from several parts: how improbable each part finds a session among benign ones, added up.

Scores of different parts have different units. Each is turned into minus the logarithm of the share of benign
validation sessions with at least as great a score (a conformal p-value, Vovk et al. 2005; adding logarithms is the
method of Fisher 1932). Beyond the greatest validation score the share cannot be counted: there the value goes on
straight, in the part's own unit of spread, so that what is further out stays ahead. The parts are not independent, so the
sum is no p-value, and needs none: its threshold is calibrated on the same sessions as any other. Needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np

from stackyard_detector.detector.scores import Scores

#: Points at which a tail is kept: the greatest scores one by one, the others by the share.
MOST_POINTS = 500


@dataclass(frozen=True)
class Tail:
    """Score of one part -> minus the logarithm of the share of benign sessions that reach it, in nats."""

    #: float64 [points], ascending, distinct: scores of benign validation sessions.
    points: np.ndarray
    #: float64 [points], falling: share of them with at least this score; the session itself counts as one more.
    shares: np.ndarray
    #: What one nat is worth beyond the last point, in units of the score.
    unit: float

    @classmethod
    def fit(cls, scores: np.ndarray) -> Tail:
        """The tail of the scores of benign validation sessions.

        Raises:
            ValueError: no session.
        """
        ordered = np.sort(np.asarray(scores, dtype=np.float64))
        if not len(ordered):
            raise ValueError("no benign validation session to take a tail from")
        points, first = np.unique(ordered, return_index=True)
        shares = (len(ordered) - first + 1) / (len(ordered) + 1)
        # Mean excess over the tenth greatest part: the unit of an exponential tail (Pickands 1975, with shape 0).
        begin = ordered[int(0.9 * (len(ordered) - 1))]
        over = ordered[ordered > begin] - begin
        unit = float(over.mean()) if len(over) else 0.0
        if len(points) > MOST_POINTS:
            kept = np.unique(np.geomspace(1, len(points), MOST_POINTS).round().astype(int))
            points, shares = points[len(points) - kept[::-1]], shares[len(shares) - kept[::-1]]
        return cls(points, shares, unit if unit > 0 else 1.0)

    def improbable(self, scores: np.ndarray) -> np.ndarray:
        """Minus the logarithm of the share of benign sessions that reach each score, float64; never falling in it."""
        values = np.asarray(scores, dtype=np.float64)
        # The share at a score is that of the smallest point not below it; above all points nothing was counted.
        place = np.searchsorted(self.points, values, side="left")
        least = self.shares[-1] / 2
        counted = -np.log(np.append(self.shares, least))[place]
        return counted + np.maximum(values - self.points[-1], 0.0) / self.unit

    def to_json(self) -> Dict[str, Any]:
        """The JSON form."""
        return {"points": self.points.tolist(), "shares": self.shares.tolist(), "unit": self.unit}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Tail:
        """A tail from its JSON form.

        Raises:
            ValueError: points and shares that are not as many, or none.
        """
        points, shares = (np.array(value[name], dtype=np.float64) for name in ("points", "shares"))
        if points.ndim != 1 or not len(points) or points.shape != shares.shape or not value["unit"] > 0:
            raise ValueError(f"a tail of {points.shape} points and {shares.shape} shares, expected as many")
        return cls(points, shares, float(value["unit"]))


class CombinedScores(Scores):
    """The sum over parts of how improbable each finds a session."""

    def __init__(self, parts: List[Tuple[Scores, Tail]]) -> None:
        self._parts = parts
        self.sessions = np.sum([tail.improbable(scores.sessions) for scores, tail in parts], axis=0)

    def running(self, session: int, begin: int = 0) -> np.ndarray:
        """See ``Scores.running``."""
        rows = [tail.improbable(scores.running(session, begin)) for scores, tail in self._parts]
        result: np.ndarray = np.sum(rows, axis=0)
        return result


def combined(scores: Mapping[str, Scores], tails: Mapping[str, Tail]) -> CombinedScores:
    """The combination of those of ``scores`` that have a tail."""
    return CombinedScores([(scores[name], tail) for name, tail in tails.items()])
