"""A trained detector's calibration as one value, and what its verdicts are worth on test sessions.

Brings calibration, rules, combination and metrics together for the workloads and the bench: ``calibrate``
looks at benign sessions only, ``evaluate`` only reports. Results are flat name -> number, as a record holds
them. Needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence, Union

import numpy as np

from stackyard_detector.detector import calibration, combination, metrics, rules
from stackyard_detector.detector.ranks import Ranks
from stackyard_detector.detector.windows import Sessions, pack

#: Shares of a session, in percent, at which recall is reported.
SHARES_PERCENT = (20, 50, 100)


@dataclass(frozen=True)
class Calibrated:
    """Everything chosen after training, from benign sessions only."""

    k: int
    #: Share of benign validation sessions that alarm at k; above the limit only if unknown events force it.
    validation_false_alarm_rate: float
    allowed_false_alarm_rate: float
    validation_sessions: int
    rules: rules.Rules
    combination: combination.Combination

    def to_json(self) -> Dict[str, Any]:
        """The JSON form, which travels in a model's extras."""
        return {
            "k": self.k,
            "validation_false_alarm_rate": self.validation_false_alarm_rate,
            "allowed_false_alarm_rate": self.allowed_false_alarm_rate,
            "validation_sessions": self.validation_sessions,
            "rules": self.rules.to_json(),
            "combination": self.combination.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Calibrated:
        """A calibration from its JSON form.

        Raises:
            ValueError: a part is missing.
        """
        try:
            return cls(
                int(value["k"]),
                float(value["validation_false_alarm_rate"]),
                float(value["allowed_false_alarm_rate"]),
                int(value["validation_sessions"]),
                rules.Rules.from_json(value["rules"]),
                combination.Combination.from_json(value["combination"]),
            )
        except KeyError as missing:
            raise ValueError(f"the model's calibration lacks {missing}; train the model again") from missing


def calibrate(
    training: Sessions,
    validation: Sessions,
    validation_ranks: Ranks,
    event_count: int,
    allowed_false_alarm_rate: float = calibration.ALLOWED_FALSE_ALARM_RATE,
    joint_false_alarm_rate: float = combination.JOINT_FALSE_ALARM_RATE,
    training_ranks: Optional[Ranks] = None,
) -> Calibrated:
    """k, the rules and the combination, from benign training and benign validation sessions.

    Args:
        training: the benign sessions the network was trained on (symbols).
        validation: benign sessions it did not see (symbols).
        validation_ranks: the network's ranks on ``validation``.
        event_count: size of the vocabulary.
        allowed_false_alarm_rate: limit for the network alone.
        joint_false_alarm_rate: limit for network and rules together.
        training_ranks: the network's ranks on ``training``: make the combination safer where they are given.

    Raises:
        ValueError: no training or no validation session, or a rate outside 0..1.
    """
    k = calibration.choose_k(validation_ranks, allowed_false_alarm_rate, largest_k=event_count)
    learnt = rules.fit(training, validation, event_count)
    combined = combination.choose(
        validation_ranks,
        learnt.judge(validation).any,
        joint_false_alarm_rate,
        largest_k=event_count,
        ranks_of_training=training_ranks,
    )
    rate = calibration.false_alarm_rate(validation_ranks, k)
    return Calibrated(
        k,
        0.0 if rate is None else rate,
        allowed_false_alarm_rate,
        len(validation_ranks),
        learnt,
        combined,
    )


def evaluate(
    sessions: Sessions,
    labels: Union[np.ndarray, Sequence[Optional[int]]],
    ranks: Ranks,
    k: int,
    calibrated: Optional[Calibrated] = None,
) -> Dict[str, Any]:
    """Metrics of the network's verdicts, and of rules and combination where they were calibrated.

    Args:
        sessions: test sessions (symbols).
        labels: 1 malicious, 0 benign, ``None`` unknown (counted, otherwise left out).
        ranks: the network's ranks on ``sessions``.
        k: an event not among the k most probable is a miss.
        calibrated: adds ``rules_*`` and ``combined_*``.

    Returns:
        flat name -> number, ``None`` where not defined: confusion counts, ``precision, recall, specificity,
        f1, mcc, fpr``, ``early_detection_rate``, ``recall_at_20_percent``..., ``f1_at_k_<k>`` around k; and
        ``note``, one sentence, where the labels lack a class.

    Raises:
        ValueError: labels, sessions and ranks are not of the same number.
    """
    packed = pack(sessions)
    if not len(packed) == len(labels) == len(ranks):
        raise ValueError(
            f"{len(packed)} sessions, {len(labels)} labels and {len(ranks)} ranks: expected as many"
        )
    known = np.array([label is not None for label in labels], dtype=bool)
    truth = np.array([bool(label) for label in labels], dtype=bool)[known]
    alarms, first_misses = ranks.verdicts(k)
    results: Dict[str, Any] = {
        "sessions": len(packed),
        "sessions_without_label": int(np.sum(~known)),
        "sessions_without_target": int(np.sum(np.diff(ranks.offsets) == 0)),
        "alarms": int(alarms.sum()),
        "k": k,
    }
    note = metrics.missing_class(truth)
    if note is not None:
        results["note"] = note
    lengths = packed.lengths[known]
    results.update(metrics.confusion(truth, alarms[known]).to_results())
    results.update(_early(first_misses[known], lengths, truth))
    worst = ranks.worst()[known]
    for near in calibration.around(k):
        at = metrics.confusion(truth, worst > near)
        results[f"f1_at_k_{near}"], results[f"fpr_at_k_{near}"] = at.f1, at.false_positive_rate
        first = ranks.verdicts(near)[1][known]
        results[f"early_detection_rate_at_k_{near}"] = metrics.early_detection_rate(first, lengths, truth)
    if calibrated is not None:
        judged = calibrated.rules.judge(packed)
        results.update(metrics.confusion(truth, judged.any[known]).to_results("rules_"))
        results.update(_early(judged.first_alarms[known], lengths, truth, "rules_"))
        both = calibrated.combination
        combined = both.verdicts(ranks, judged.any)[known]
        results["combined_k"] = both.k
        results.update(metrics.confusion(truth, combined).to_results("combined_"))
        results["lstm_only_detections"] = int(np.sum(both.network_only(ranks, judged.any)[known] & truth))
    return results


def _early(
    first_alarms: np.ndarray, lengths: np.ndarray, truth: np.ndarray, prefix: str = ""
) -> Dict[str, Optional[float]]:
    """Early detection rate, and recall when only a share of each session is seen."""
    results = {
        f"{prefix}recall_at_{percent}_percent": metrics.recall_at_share(
            first_alarms, lengths, truth, percent / 100
        )
        for percent in SHARES_PERCENT
    }
    results[f"{prefix}early_detection_rate"] = metrics.early_detection_rate(first_alarms, lengths, truth)
    return results
