"""What becomes of the negative log likelihoods of a session's events: its score; and average precision with bootstrap.

Needs numpy.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Tuple

import numpy as np

#: Draws of the bootstrap.
DRAWS = 400


Gathered = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _soft_maximum(sharpness: float) -> Gathered:
    """log(sum(exp(b * x))) / b."""
    return lambda v, starts: np.log(np.add.reduceat(np.exp(sharpness * v), starts)) / sharpness


def _greatest_three(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.array([np.sort(part)[-3:].mean() for part in np.split(values, starts[1:])])


def _mean(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    means: np.ndarray = np.add.reduceat(values, starts) / np.diff(np.append(starts, len(values)))
    return means


#: Name -> scores of sessions from the values of their events (nats, end to end) and where each session begins.
SCORES: Dict[str, Gathered] = {
    "maximum": np.maximum.reduceat,
    "mean of the greatest 3": _greatest_three,
    "soft maximum, sharpness 2": _soft_maximum(2.0),
    "soft maximum, sharpness 1": _soft_maximum(1.0),
    "soft maximum, sharpness 0.5": _soft_maximum(0.5),
    "mean": _mean,
}
DEFAULT_SCORE = "maximum"


def of_sessions(values: np.ndarray, offsets: np.ndarray, score: str) -> np.ndarray:
    """The score of each session, float64 [sessions]; 0 for one without a value."""
    found = np.zeros(len(offsets) - 1)
    filled = np.flatnonzero(np.diff(offsets) > 0)
    found[filled] = SCORES[score](values, offsets[filled])
    return found


def average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the precision-recall curve, step-wise; equal scores are one step."""
    return float(Curve(scores, labels).areas(np.ones((1, len(labels))))[0])


class Curve:
    """The precision-recall curve of one list of scores, for any weights of its sessions."""

    def __init__(self, scores: np.ndarray, labels: np.ndarray) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        self._labels = labels[self._order].astype(np.float64)

    def areas(self, weights: np.ndarray) -> np.ndarray:
        """Average precision, float64 [rows], with each row of ``weights`` [rows, sessions]."""
        ordered = weights[:, self._order]
        all_ = np.cumsum(ordered, 1)[:, self._ends]
        malicious = np.cumsum(ordered * self._labels, 1)[:, self._ends]
        gained = np.diff(malicious, axis=1, prepend=0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(all_ > 0, malicious / all_, 0.0)
            areas: np.ndarray = (gained * precision).sum(1) / malicious[:, -1]
        return areas


def draws(labels: np.ndarray, seed: int) -> np.ndarray:
    """How often each session is in each bootstrap sample, drawn within its label, float64 [DRAWS, sessions]."""
    dice = np.random.default_rng(seed)
    times = np.zeros((DRAWS, len(labels)))
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        for draw in range(DRAWS):
            times[draw, rows] = np.bincount(dice.integers(len(rows), size=len(rows)), minlength=len(rows))
    return times


def interval(differences: np.ndarray) -> Tuple[float, float]:
    """The middle 95 % of bootstrap values."""
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


CORRUPTIONS = ("swapped", "dropped", "inserted", "replaced", "repeated")


def corrupted(session: List[int], known: int, dice: np.random.Generator) -> Tuple[List[int], List[int]]:
    """A benign session with one thing wrong: two near events swapped, up to three dropped, or one inserted,
    replaced or repeated; always by events that training has. With it, the place that each event had or took."""
    kind = CORRUPTIONS[int(dice.integers(len(CORRUPTIONS)))]
    at = int(dice.integers(len(session)))
    result, places = list(session), list(range(len(session)))
    if kind == "swapped":
        other = at + int(dice.integers(1, 7)) * (1 if dice.random() < 0.5 else -1)
        other = min(max(other, 0), len(result) - 1)
        result[at], result[other] = result[other], result[at]
    elif kind == "dropped":
        count = int(dice.integers(1, 4))
        del result[at : at + count], places[at : at + count]
    elif kind == "inserted":
        result.insert(at, int(dice.integers(known)))
        places.insert(at, at)
    elif kind == "replaced":
        result[at] = int(dice.integers(known))
    else:
        times = int(dice.integers(2, 7))
        result[at:at], places[at:at] = [result[at]] * times, [at] * times
    return result, places
