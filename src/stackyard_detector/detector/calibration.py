"""The choice of k from benign validation sessions.

k is how many of the most probable next events count as expected. It is the only thing chosen here, from ranks
of sessions known to be benign; no test session and no label is ever an argument. Needs numpy.
"""

from __future__ import annotations

from typing import Optional, Sequence

import numpy as np

from stackyard_detector.detector.ranks import Ranks

#: The share of benign validation sessions that may raise an alarm.
ALLOWED_FALSE_ALARM_RATE = 0.002


def false_alarm_rate(ranks: Ranks, k: int) -> Optional[float]:
    """Share of (benign) sessions with an event beyond the k most probable; ``None`` without a session."""
    return float(np.mean(ranks.worst() > k)) if len(ranks) else None


def choose_k(
    ranks_of_benign_validation: Ranks,
    allowed_false_alarm_rate: float = ALLOWED_FALSE_ALARM_RATE,
    largest_k: Optional[int] = None,
    already_alarmed: Optional[np.ndarray] = None,
) -> int:
    """The smallest k whose false-alarm rate per session is within the limit.

    Args:
        ranks_of_benign_validation: of sessions that training did not see, all benign.
        allowed_false_alarm_rate: 0..1. With n sessions at most ``floor(rate * n)`` may alarm: below
            1 / rate sessions this means none.
        largest_k: k goes no further. Give the number of known events: an unknown event is a miss at any k up
            to there, and a larger k would switch the detector off. Where so many validation sessions hold
            unknown events that the limit cannot be met, those sessions are left out of the choice.
        already_alarmed: bool [sessions], alarms that another detector raises on the same sessions; the limit
            then holds for both together, and alarms of the other one alone can exceed it (see
            ``combination``).

    Raises:
        ValueError: no session to choose from, or a rate outside 0..1.
    """
    if not 0 <= allowed_false_alarm_rate <= 1:
        raise ValueError(f"allowed_false_alarm_rate is {allowed_false_alarm_rate}, expected 0..1")
    if not len(ranks_of_benign_validation):
        raise ValueError("no benign validation session to choose k from; hold some back from training")
    worst = ranks_of_benign_validation.worst().astype(np.int64)
    allowed = _allowed_alarms(allowed_false_alarm_rate, len(worst))
    if already_alarmed is not None:
        others = np.asarray(already_alarmed, dtype=bool)
        allowed = max(allowed - int(others.sum()), 0)
        worst = worst[~others]
    if largest_k is not None:
        beyond = worst > largest_k
        if beyond.sum() > allowed:
            worst = worst[~beyond]
        if not len(worst):
            return max(1, largest_k)
    # All but the `allowed` greatest ranks must be expected.
    k = int(np.sort(worst)[len(worst) - allowed - 1]) if allowed < len(worst) else 1
    return max(1, k if largest_k is None else min(k, largest_k))


def choose_threshold(scores_of_benign_validation: np.ndarray, allowed_false_alarm_rate: float = 0.0) -> float:
    """The smallest score that at most the allowed share of benign sessions exceeds; 0 without a session.

    With rate 0 it is the greatest score of a benign validation session.
    """
    scores = np.sort(np.asarray(scores_of_benign_validation, dtype=np.float64))
    allowed = _allowed_alarms(allowed_false_alarm_rate, len(scores))
    return float(scores[len(scores) - allowed - 1]) if allowed < len(scores) else 0.0


def around(k: int, width: int = 2, largest_k: Optional[int] = None) -> Sequence[int]:
    """k and its neighbours at most ``width`` away, ascending, at least 1 and at most ``largest_k``."""
    last = k + width if largest_k is None else max(k, min(k + width, largest_k))
    return list(range(max(1, k - width), last + 1))


def _allowed_alarms(rate: float, sessions: int) -> int:
    # 0.002 * 1000 is 2.0 in exact arithmetic; a product just below a whole number must not lose an alarm.
    return int(np.floor(rate * sessions + 1e-9))
