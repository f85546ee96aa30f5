"""One verdict from network and rules, at a joint false-alarm budget set on benign validation.

The rules come first: their threshold already stands above every benign session at hand. What they leave of
the budget is the network's, whose k is chosen so that both together stay within it. Needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

import numpy as np

from stackyard_detector.detector.calibration import choose_k
from stackyard_detector.detector.ranks import Ranks

#: A quarter of what the network alone may spend: two detectors in parallel add their false alarms up, and the
#: network only has to add to what the rules see already.
JOINT_FALSE_ALARM_RATE = 0.0005


@dataclass(frozen=True)
class Combination:
    """How network and rules are combined: alarm when either alarms, the network at this k."""

    k: int
    #: Share of benign validation sessions on which either alarms at this k.
    validation_false_alarm_rate: float
    allowed_false_alarm_rate: float = JOINT_FALSE_ALARM_RATE

    def to_json(self) -> Dict[str, Any]:
        """The JSON form."""
        return {
            "k": self.k,
            "validation_false_alarm_rate": self.validation_false_alarm_rate,
            "allowed_false_alarm_rate": self.allowed_false_alarm_rate,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Combination:
        """A combination from its JSON form."""
        return cls(
            int(value["k"]),
            float(value["validation_false_alarm_rate"]),
            float(value["allowed_false_alarm_rate"]),
        )

    def verdicts(self, ranks: Ranks, rule_alarms: np.ndarray) -> np.ndarray:
        """True where network or rules alarm, bool [sessions]."""
        return (ranks.worst() > self.k) | np.asarray(rule_alarms, dtype=bool)

    def network_only(self, ranks: Ranks, rule_alarms: np.ndarray) -> np.ndarray:
        """True where the network alarms and no rule does, bool [sessions]."""
        return (ranks.worst() > self.k) & ~np.asarray(rule_alarms, dtype=bool)


def choose(
    ranks_of_benign_validation: Ranks,
    rule_alarms: np.ndarray,
    allowed_false_alarm_rate: float = JOINT_FALSE_ALARM_RATE,
    largest_k: Optional[int] = None,
    ranks_of_training: Optional[Ranks] = None,
) -> Combination:
    """The combination with the smallest k that keeps both detectors' false alarms together within the budget.

    Args:
        ranks_of_benign_validation: of sessions that training did not see, all benign.
        rule_alarms: bool [sessions], the rules' verdicts on the same sessions.
        allowed_false_alarm_rate: the joint budget, 0..1; with rules beyond it the network adds none.
        largest_k: as in ``calibration.choose_k``.
        ranks_of_training: of the benign training sessions. The network has seen them, so they flatter it:
            they can only raise k, where validation happens to hold no rare session.

    Raises:
        ValueError: no validation session, or a rate outside 0..1.
    """
    alarms = np.asarray(rule_alarms, dtype=bool)
    k = choose_k(ranks_of_benign_validation, allowed_false_alarm_rate, largest_k, already_alarmed=alarms)
    if ranks_of_training is not None and len(ranks_of_training):
        k = max(k, choose_k(ranks_of_training, allowed_false_alarm_rate, largest_k))
    either = (ranks_of_benign_validation.worst() > k) | alarms
    return Combination(k, float(np.mean(either)), allowed_false_alarm_rate)
