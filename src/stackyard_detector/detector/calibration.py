"""What is chosen from benign validation sessions: thresholds, and k. No test session and no label is an argument here.

A threshold comes with a promise: with so much confidence, at most such a share of benign sessions like these alarms. n
sessions can express only so much. None of n above the threshold is what a rate of 3 / n shows once in twenty times, so
a smaller demand cannot be held against them. Needs numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence

import numpy as np

from stackyard_detector.detector.ranks import Ranks

#: The share of benign sessions that may raise an alarm.
ALLOWED_FALSE_ALARM_RATE = 0.002
#: How sure a stated rate is.
CONFIDENCE = 0.95
#: A demand of fewer expected alarms than this among the validation sessions cannot be told from others.
EXPRESSIBLE_ALARMS = 5.0
#: A threshold lies this far above the score it was taken from: equal sessions, scored by another program in another
#: order of additions, are still equal.
MARGIN = 1e-4


@dataclass(frozen=True)
class Threshold:
    """A threshold of scores, and what it promises."""

    #: A session alarms above it.
    value: float
    #: The share of benign sessions that was to alarm at most.
    allowed_rate: float
    #: Benign validation sessions it was chosen on, and how many of them alarm.
    sessions: int
    alarms: int
    confidence: float = CONFIDENCE

    @property
    def stated_rate(self) -> float:
        """Upper bound of the share of benign sessions that alarm, with ``confidence`` (Clopper and Pearson 1934)."""
        return upper_rate(self.alarms, self.sessions, self.confidence)

    @property
    def expressible(self) -> bool:
        """Whether so few sessions can show so small a rate."""
        return self.sessions * self.allowed_rate >= EXPRESSIBLE_ALARMS

    def remark(self) -> Optional[str]:
        """One sentence where the demand cannot be expressed, else ``None``."""
        if self.expressible:
            return None
        held = f"{self.sessions} benign validation session{'' if self.sessions == 1 else 's'}"
        more = f"allow {_rounded_up(min(1.0, EXPRESSIBLE_ALARMS / self.sessions)):.2g}"
        if self.allowed_rate > 0:
            more = f"give at least {math.ceil(EXPRESSIBLE_ALARMS / self.allowed_rate)} of them, or {more}"
        if self.stated_rate <= self.allowed_rate:
            return (
                f"{held} are few for a false-alarm rate of {self.allowed_rate:g}: it is kept (at most "
                f"{self.stated_rate:.2g} with {100 * self.confidence:g} % confidence), by a threshold that may be "
                f"stricter than it need be; {more}"
            )
        return (
            f"{held} {'is' if self.sessions == 1 else 'are'} too few to show a false-alarm rate of "
            f"{self.allowed_rate:g}: they promise at most {self.stated_rate:.2g} with {100 * self.confidence:g} % "
            f"confidence; {more}"
        )

    def to_json(self) -> Dict[str, Any]:
        """The JSON form."""
        return {
            "value": self.value,
            "allowed_rate": self.allowed_rate,
            "sessions": self.sessions,
            "alarms": self.alarms,
            "confidence": self.confidence,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Threshold:
        """A threshold from its JSON form.

        Raises:
            ValueError: numbers that no calibration gives.
        """
        made = cls(
            float(value["value"]),
            float(value["allowed_rate"]),
            int(value["sessions"]),
            int(value["alarms"]),
            float(value["confidence"]),
        )
        within = 0 <= made.allowed_rate <= 1 and 0 < made.confidence < 1 and 0 <= made.alarms <= made.sessions
        if not (math.isfinite(made.value) and within and made.sessions > 0):
            raise ValueError(f"a threshold of {dict(value)}")
        return made


def threshold(
    scores_of_benign_validation: np.ndarray,
    allowed_false_alarm_rate: float = ALLOWED_FALSE_ALARM_RATE,
    confidence: float = CONFIDENCE,
) -> Threshold:
    """The smallest threshold that keeps the false-alarm rate within the limit with ``confidence``.

    It is one of the scores. With the j-th greatest of n as threshold, the rate is within the limit with the probability
    that at least j of n draws at that limit are alarms: the limit of tolerance of an order statistic (Wilks 1941).
    Where not even the greatest suffices, the greatest is taken and the promise (``stated_rate``) is weaker. More
    allowance never gives a greater threshold.

    Args:
        scores_of_benign_validation: float [sessions], of sessions that training did not see.
        allowed_false_alarm_rate: 0..1.
        confidence: above 0 and below 1.

    Raises:
        ValueError: no session, or a rate outside 0..1.
    """
    scores = np.sort(np.asarray(scores_of_benign_validation, dtype=np.float64))
    _check(len(scores), allowed_false_alarm_rate)
    place = max(1, most_above(len(scores), allowed_false_alarm_rate, confidence))
    value = float(scores[len(scores) - place])
    value += MARGIN * max(1.0, abs(value))
    return Threshold(value, allowed_false_alarm_rate, len(scores), int(np.sum(scores > value)), confidence)


def most_above(sessions: int, rate: float, confidence: float = CONFIDENCE) -> int:
    """The greatest j for which the j-th greatest of so many scores keeps the rate with ``confidence``; 0: none does."""
    if rate <= 0 or sessions < 1:
        return 0
    if rate >= 1:
        return sessions
    # P(at least j of n) for j = 0.. : one less the sum of the probabilities below, each from the one before.
    most = min(sessions, int(sessions * rate) + 1)
    counts = np.arange(most)
    steps = np.log((sessions - counts) / (counts + 1.0)) + math.log(rate) - math.log1p(-rate)
    logs = np.concatenate([[0.0], np.cumsum(steps)]) + sessions * math.log1p(-rate)
    at_least = 1.0 - np.concatenate([[0.0], np.cumsum(np.exp(logs))[:-1]])
    return int(np.flatnonzero(at_least >= confidence)[-1])


def upper_rate(alarms: int, sessions: int, confidence: float = CONFIDENCE) -> float:
    """The greatest rate at which so few alarms among so many sessions are not rarer than 1 - ``confidence``."""
    if alarms >= sessions:
        return 1.0
    low, high = alarms / sessions, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _at_most(alarms, sessions, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def lower_rate(alarms: int, sessions: int, confidence: float = CONFIDENCE) -> float:
    """The smallest rate at which so many alarms among so many sessions are not rarer than 1 - ``confidence``."""
    return 1.0 - upper_rate(sessions - alarms, sessions, confidence) if sessions else 0.0


def _at_most(count: int, sessions: int, rate: float) -> float:
    """P(at most ``count`` of ``sessions`` draws at ``rate``)."""
    if rate >= 1:
        return float(count >= sessions)
    if rate <= 0:
        return 1.0
    counts = np.arange(count)
    steps = np.log((sessions - counts) / (counts + 1.0)) + math.log(rate) - math.log1p(-rate)
    logs = np.concatenate([[0.0], np.cumsum(steps)]) + sessions * math.log1p(-rate)
    return float(np.exp(logs).sum())


def false_alarm_rate(ranks: Ranks, k: int) -> Optional[float]:
    """Share of (benign) sessions with an event beyond the k most probable; ``None`` without a session."""
    return float(np.mean(ranks.worst() > k)) if len(ranks) else None


def choose_k(
    ranks_of_benign_validation: Ranks,
    allowed_false_alarm_rate: float = ALLOWED_FALSE_ALARM_RATE,
    largest_k: Optional[int] = None,
) -> int:
    """The smallest k whose false-alarm rate per session is within the limit; more allowance never gives a greater k.

    Args:
        ranks_of_benign_validation: of sessions that training did not see, all benign.
        allowed_false_alarm_rate: 0..1. With n sessions at most ``floor(rate * n)`` may alarm: below
            1 / rate sessions this means none.
        largest_k: k goes no further. Give the number of known events: an unknown event is a miss at any k up
            to there, so sessions that hold one alarm whatever k is. They take from the allowance and have no
            other say.

    Raises:
        ValueError: no session to choose from, or a rate outside 0..1.
    """
    worst = ranks_of_benign_validation.worst().astype(np.int64)
    _check(len(worst), allowed_false_alarm_rate)
    # 0.002 * 1000 is 2.0 in exact arithmetic; a product just below a whole number must not lose an alarm.
    allowed = int(np.floor(allowed_false_alarm_rate * len(worst) + 1e-9))
    if largest_k is not None:
        beyond = worst > largest_k
        allowed = max(allowed - int(beyond.sum()), 0)
        worst = worst[~beyond]
        if not len(worst):
            return max(1, largest_k)
    # All but the `allowed` greatest ranks must be expected.
    return max(1, int(np.sort(worst)[len(worst) - allowed - 1])) if allowed < len(worst) else 1


def around(k: int, width: int = 2, largest_k: Optional[int] = None) -> Sequence[int]:
    """k and its neighbours at most ``width`` away, ascending, at least 1 and at most ``largest_k``."""
    last = k + width if largest_k is None else max(k, min(k + width, largest_k))
    return list(range(max(1, k - width), last + 1))


def _rounded_up(rate: float) -> float:
    """The next number of two digits: an advice that is followed must be enough."""
    unit: float = 10.0 ** (math.floor(math.log10(rate)) - 1)
    return math.ceil(rate / unit - 1e-9) * unit


def _check(sessions: int, rate: float) -> None:
    if not 0 <= rate <= 1:
        raise ValueError(f"allowed_false_alarm_rate is {rate}, expected 0..1")
    if not sessions:
        raise ValueError("no benign validation session to choose from; hold some back from training")
