"""One score from several parts: how improbable the part that doubts most finds a session among benign ones.

Scores of different parts have different units. Each is turned into minus the logarithm of the share of benign
validation sessions with at least as great a score (a conformal p-value: Vovk, Gammerman and Shafer 2005), and the
greatest counts (the smallest p-value: Tippett 1931). n sessions can count no share below 1 / (n + 1), and there what a
part says ends: on a site where everything is longer than in training, all sessions are equally long to it. Only the
network goes on beyond the greatest score it saw, for its score is a logarithm of a probability by itself; a tenth of
what it says is added, so that it puts sessions in order which the others cannot tell apart. The parts are not
independent, so the sum is no p-value, and needs none: its threshold is calibrated as any other. Needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

import numpy as np

from stackyard_detector.detector.scores import Scores

#: Points at which a tail is kept: the greatest scores one by one, the smaller ones ever further apart.
MOST_POINTS = 500
#: How much of what the orderly part says is added. Chosen on benign validation sessions that were damaged on purpose
#: (``bench.detector.corruption``), as was the rest of the rule.
ORDERLY_SHARE = 0.1


@dataclass(frozen=True)
class Tail:
    """Score of one part -> minus the logarithm of the share of benign sessions that reach it, in nats."""

    #: float64 [points], ascending, distinct: scores of benign validation sessions.
    points: np.ndarray
    #: float64 [points], falling: share of them with at least this score; the session itself counts as one more.
    shares: np.ndarray
    #: What one nat is worth beyond the last point, in units of the score; ``None``: all beyond is alike.
    unit: Optional[float] = None

    @classmethod
    def fit(cls, scores: np.ndarray, goes_on: bool = False) -> Tail:
        """The tail of the scores of benign validation sessions.

        Args:
            scores: float [sessions].
            goes_on: whether scores beyond the greatest are told apart: by the mean excess over the ninth tenth, the
                unit of an exponential tail (Pickands 1975, with shape 0).

        Raises:
            ValueError: no session.
        """
        ordered = np.sort(np.asarray(scores, dtype=np.float64))
        if not len(ordered):
            raise ValueError("no benign validation session to take a tail from")
        points, first = np.unique(ordered, return_index=True)
        shares = (len(ordered) - first + 1) / (len(ordered) + 1)
        if len(points) > MOST_POINTS:
            kept = (
                len(points) - np.unique(np.geomspace(1, len(points), MOST_POINTS).round().astype(int))[::-1]
            )
            points, shares = points[kept], shares[kept]
        if not goes_on:
            return cls(points, shares)
        begin = ordered[int(0.9 * (len(ordered) - 1))]
        over = ordered[ordered > begin] - begin
        return cls(points, shares, float(over.mean()) if len(over) else 1.0)

    def improbable(self, scores: np.ndarray) -> np.ndarray:
        """Minus the logarithm of the share of benign sessions that reach each score, float64; never falling in it."""
        values = np.asarray(scores, dtype=np.float64)
        # The share at a score is that of the smallest point not below it; above all points none was counted.
        place = np.searchsorted(self.points, values, side="left")
        counted = -np.log(np.append(self.shares, self.shares[-1] / 2))[place]
        if self.unit is None:
            return counted
        return counted + np.maximum(values - self.points[-1], 0.0) / self.unit

    def to_json(self) -> Dict[str, Any]:
        """The JSON form."""
        return {"points": self.points.tolist(), "shares": self.shares.tolist(), "unit": self.unit}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Tail:
        """A tail from its JSON form.

        Raises:
            ValueError: points and shares that are not as many, or none, or no shares.
        """
        points, shares = (np.array(value[name], dtype=np.float64) for name in ("points", "shares"))
        unit = None if value["unit"] is None else float(value["unit"])
        if points.ndim != 1 or not len(points) or points.shape != shares.shape:
            raise ValueError(f"a tail of {points.shape} points and {shares.shape} shares, expected as many")
        if not (np.all(np.diff(points) > 0) and np.all(shares > 0) and (unit is None or unit > 0)):
            raise ValueError("a tail whose points do not rise, or with a share or a unit that is not above 0")
        return cls(points, shares, unit)


class CombinedScores(Scores):
    """The scores of several parts as one.

    Args:
        scores: of each part, on the same sessions.
        tails: of the parts that count.
        orderly: the part whose share is added; ``None``: none is.
    """

    def __init__(
        self, scores: Mapping[str, Scores], tails: Mapping[str, Tail], orderly: Optional[str] = None
    ) -> None:
        self._scores, self._tails, self._orderly = scores, tails, orderly
        self.sessions = self._together({name: scores[name].sessions for name in tails})

    def running(self, session: int, begin: int = 0) -> np.ndarray:
        """See ``Scores.running``."""
        return self._together({name: self._scores[name].running(session, begin) for name in self._tails})

    def _together(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        said = {name: tail.improbable(values[name]) for name, tail in self._tails.items()}
        result: np.ndarray = np.max(list(said.values()), axis=0)
        return result if self._orderly is None else result + ORDERLY_SHARE * said[self._orderly]
