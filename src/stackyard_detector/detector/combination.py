"""One score from several parts: how improbable they find a session among benign ones, taken together.

Scores of different parts have different units. Each is turned into minus the logarithm of the share of benign
validation sessions with at least as great a score (a conformal p-value: Vovk, Gammerman and Shafer 2005). Together they
count by the harmonic mean of these shares (Wilson 2019), which suits parts that depend on each other: the part that
doubts most counts most, and a session that several doubt counts more. n sessions can count no share below 1 / (n + 1),
and there what a part says ends: on a site where everything is longer than in training, all sessions are equally long to
it. One part, the orderly one, goes on beyond the greatest score it saw. A tenth of what it says is added, so that it
puts sessions in order which are equally odd to the others. In the combination of all that is the network, whose score
is a logarithm of a probability by itself. The sum is no p-value, and needs none: its threshold is calibrated as any
other. For that, each validation session is held against the others and not against itself (``left_out``); else none of
them could look as odd as a new one. Needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Sequence, Tuple

import numpy as np

from stackyard_detector.detector.calibration import MARGIN
from stackyard_detector.detector.scores import Scores

#: Points at which a tail is kept: the greatest scores one by one, the smaller ones ever further apart.
MOST_POINTS = 500
#: How much of what the orderly part says is added. Chosen on benign validation sessions that were damaged on purpose
#: (``bench.detector.corruption``), as was the rest of the rule.
ORDERLY_SHARE = 0.1


@dataclass(frozen=True)
class Tail:
    """Score of one part -> minus the logarithm of the share of benign sessions that reach it, in nats."""

    #: How many benign validation sessions it was taken from.
    sessions: int
    #: float64 [points], ascending, distinct: scores of these sessions.
    points: np.ndarray
    #: int64 [points], falling: how many of them have at least this score.
    reached: np.ndarray
    #: What one nat is worth beyond the last point, in units of the score.
    unit: float

    @classmethod
    def fit(cls, scores: np.ndarray) -> Tail:
        """The tail of the scores of benign validation sessions.

        Beyond the greatest, the unit is the mean excess over the ninth tenth: that of an exponential tail (Pickands
        1975, with shape 0).

        Raises:
            ValueError: no session.
        """
        ordered = np.sort(np.asarray(scores, dtype=np.float64))
        if not len(ordered):
            raise ValueError("no benign validation session to take a tail from")
        points, first = np.unique(ordered, return_index=True)
        reached = len(ordered) - first
        if len(points) > MOST_POINTS:
            kept = (
                len(points) - np.unique(np.geomspace(1, len(points), MOST_POINTS).round().astype(int))[::-1]
            )
            points, reached = points[kept], reached[kept]
        begin = ordered[int(0.9 * (len(ordered) - 1))]
        over = ordered[ordered > begin] - begin
        return cls(len(ordered), points, reached, float(over.mean()) if len(over) else 1.0)

    def improbable(self, scores: np.ndarray, goes_on: bool = False) -> np.ndarray:
        """Minus the logarithm of the share of benign sessions that reach each score, float64; never falling in it.

        Args:
            scores: float, of sessions that are not among those of the tail.
            goes_on: whether scores beyond the greatest point are told apart.
        """
        values, place = self._places(scores)
        said = self._nats(np.append(self.reached, 0)[place])
        return said + self._beyond(values, self.points[-1]) if goes_on else said

    def left_out(self, scores: np.ndarray, goes_on: bool = False) -> np.ndarray:
        """The same of the tail's own sessions, each held against all others, float64."""
        values, place = self._places(scores)
        place = np.minimum(place, len(self.points) - 1)
        itself = np.abs(self.points[place] - values) <= _margins(values)
        others = self.reached[place] - itself
        said = self._nats(others)
        if not goes_on:
            return said
        second = self.points[-2] if len(self.points) > 1 else self.points[-1]
        return said + np.where(others == 0, self._beyond(values, second), 0.0)

    def _places(self, scores: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """The scores, and of each the smallest point that is not below it: as many as points where all are."""
        values = np.asarray(scores, dtype=np.float64)
        return values, np.searchsorted(self.points, values - _margins(values), side="left")

    def _nats(self, reached: np.ndarray) -> np.ndarray:
        return -np.log((reached + 1) / (self.sessions + 1))

    def _beyond(self, values: np.ndarray, point: float) -> np.ndarray:
        return np.maximum(values - _margins(values) - point, 0.0) / self.unit

    def to_json(self) -> Dict[str, Any]:
        """The JSON form."""
        return {
            "sessions": self.sessions,
            "points": self.points.tolist(),
            "reached": self.reached.tolist(),
            "unit": self.unit,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Tail:
        """A tail from its JSON form.

        Raises:
            ValueError: points that do not rise, counts that do not fall, not as many of both, or a unit of 0 or less.
        """
        points = np.array(value["points"], dtype=np.float64)
        reached = np.array(value["reached"], dtype=np.int64)
        sessions, unit = int(value["sessions"]), float(value["unit"])
        if points.ndim != 1 or not len(points) or points.shape != reached.shape:
            raise ValueError(f"a tail of {points.shape} points and {reached.shape} counts, expected as many")
        orderly = np.all(np.diff(points) > 0) and np.all(np.diff(reached) < 0) and np.all(np.isfinite(points))
        if not (orderly and reached[-1] > 0 and reached[0] <= sessions and 0 < unit < np.inf):
            raise ValueError(
                "a tail whose points do not rise, whose counts do not fall, or whose unit is not above 0"
            )
        return cls(sessions, points, reached, unit)


def _margins(values: np.ndarray) -> np.ndarray:
    """Scores this near are equal: another program adds up in another order."""
    return MARGIN * np.maximum(1.0, np.abs(values))


class CombinedScores(Scores):
    """The scores of several parts as one.

    Args:
        scores: of each part, on the same sessions.
        tails: of the parts that count.
        orderly: the part whose share is added.
    """

    def __init__(self, scores: Mapping[str, Scores], tails: Mapping[str, Tail], orderly: str) -> None:
        self._scores, self._tails, self._orderly = scores, tails, orderly
        self.sessions = self._together({name: scores[name].sessions for name in tails})

    def running(self, session: int, begin: int = 0) -> np.ndarray:
        """See ``Scores.running``."""
        return self._together({name: self._scores[name].running(session, begin) for name in self._tails})

    def left_out(self) -> np.ndarray:
        """The scores of the very sessions that the tails came from, each held against all others, float64."""
        said = [tail.left_out(self._scores[name].sessions) for name, tail in self._tails.items()]
        orderly = self._tails[self._orderly].left_out(self._scores[self._orderly].sessions, goes_on=True)
        return rule(said, orderly)

    def _together(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        said = [tail.improbable(values[name]) for name, tail in self._tails.items()]
        orderly = self._tails[self._orderly].improbable(values[self._orderly], goes_on=True)
        return rule(said, orderly)


def rule(said: Sequence[np.ndarray], orderly: np.ndarray) -> np.ndarray:
    """The combined score of what each part says, and of what the orderly one says without end; nats, float64.

    Minus the logarithm of the harmonic mean of shares, but for a constant.
    """
    result: np.ndarray = np.logaddexp.reduce(list(said), axis=0) + ORDERLY_SHARE * orderly
    return result
