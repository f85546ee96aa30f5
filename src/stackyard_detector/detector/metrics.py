"""How good verdicts are: confusion counts and what follows from them, early detection, projected F1.

Pure arithmetic on labels, verdicts and indices; knows no model and no rule. A quantity whose denominator is
empty is ``None``, never 0. Needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Sequence, Tuple, Union

import numpy as np

BoolVector = Union[np.ndarray, Sequence[bool]]


def _ratio(numerator: float, denominator: float) -> Optional[float]:
    return float(numerator) / float(denominator) if denominator else None


@dataclass(frozen=True)
class Confusion:
    """Sessions by label and verdict; malicious is the positive class."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    #: Malicious sessions with an alarm before their first malicious event: false alarms beside ``false_positives``,
    #: which are of benign sessions. A later alarm of the same session may still be a true positive.
    early_alarms: int = 0

    @property
    def malicious(self) -> int:
        """Sessions labelled malicious."""
        return self.true_positives + self.false_negatives

    @property
    def benign(self) -> int:
        """Sessions labelled benign."""
        return self.true_negatives + self.false_positives

    @property
    def precision(self) -> Optional[float]:
        """TP / (TP + FP), early alarms among FP; ``None`` without an alarm or without a malicious session."""
        false = self.false_positives + self.early_alarms
        return _ratio(self.true_positives, self.true_positives + false) if self.malicious else None

    @property
    def recall(self) -> Optional[float]:
        """TP / (TP + FN); ``None`` without a malicious session."""
        return _ratio(self.true_positives, self.malicious)

    @property
    def specificity(self) -> Optional[float]:
        """TN / (TN + FP); ``None`` without a benign session."""
        return _ratio(self.true_negatives, self.benign)

    @property
    def false_positive_rate(self) -> Optional[float]:
        """FP / (TN + FP); ``None`` without a benign session."""
        return _ratio(self.false_positives, self.benign)

    @property
    def f1(self) -> Optional[float]:
        """2 TP / (2 TP + FP + FN), early alarms among FP; ``None`` without a malicious session."""
        return self.projected_f1(self.benign)

    @property
    def mcc(self) -> Optional[float]:
        """Matthews correlation coefficient (Matthews 1975); ``None`` if a label or verdict never occurs."""
        tp, fp = self.true_positives, self.false_positives
        tn, fn = self.true_negatives, self.false_negatives
        product = float(tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
        return float((tp * tn - fp * fn) / product**0.5) if product else None

    def projected_f1(self, benign_population: int) -> Optional[float]:
        """F1 if ``benign_population`` benign sessions had been tested at the same false-alarm rate.

        2 TP / (2 TP + FP * benign_population / benign tested + early alarms + FN). ``None`` without a malicious
        session.
        """
        if not self.malicious:
            return None
        weight = benign_population / self.benign if self.benign else 0.0
        return _ratio(
            2 * self.true_positives,
            2 * self.true_positives
            + self.false_positives * weight
            + self.early_alarms
            + self.false_negatives,
        )

    def to_results(self, prefix: str = "") -> Dict[str, Optional[float]]:
        """Counts and ratios as flat name -> number."""
        return {
            f"{prefix}true_positives": self.true_positives,
            f"{prefix}false_positives": self.false_positives,
            f"{prefix}true_negatives": self.true_negatives,
            f"{prefix}false_negatives": self.false_negatives,
            f"{prefix}precision": self.precision,
            f"{prefix}recall": self.recall,
            f"{prefix}specificity": self.specificity,
            f"{prefix}f1": self.f1,
            f"{prefix}mcc": self.mcc,
            f"{prefix}fpr": self.false_positive_rate,
        }


def confusion(labels: Union[np.ndarray, Sequence[int]], verdicts: BoolVector) -> Confusion:
    """The confusion counts of ``verdicts`` (True = alarm) against ``labels`` (1 malicious, 0 benign).

    Raises:
        ValueError: not one verdict per label.
    """
    truth, alarm = np.asarray(labels, dtype=bool), np.asarray(verdicts, dtype=bool)
    if truth.shape != alarm.shape:
        raise ValueError(f"{len(alarm)} verdicts for {len(truth)} labels, expected one each")
    return Confusion(
        true_positives=int(np.sum(truth & alarm)),
        false_positives=int(np.sum(~truth & alarm)),
        true_negatives=int(np.sum(~truth & ~alarm)),
        false_negatives=int(np.sum(truth & ~alarm)),
    )


def missing_class(labels: Union[np.ndarray, Sequence[int]]) -> Optional[str]:
    """One sentence about what these labels cannot tell, or ``None`` when both classes are there."""
    truth = np.asarray(labels, dtype=bool)
    if not len(truth):
        return "The test set holds no labelled session, so no metric is defined; give labelled sessions."
    if not truth.any():
        return (
            f"No attack in the test set (all {len(truth)} labelled sessions are benign): only the "
            "false-alarm rate is defined; test on sessions with label 1 to get precision, recall and F1."
        )
    if truth.all():
        return (
            f"No benign session in the test set (all {len(truth)} labelled sessions are malicious): only "
            "recall is meaningful; test on sessions with label 0 too to get the false-alarm rate."
        )
    return None


def projected_f1_interval(
    counts: Confusion, benign_population: int, draws: int = 10_000, seed: int = 0
) -> Optional[Tuple[float, float]]:
    """95 % percentile bootstrap interval of the projected F1 over sessions, resampled within each class.

    Drawing n sessions with replacement from n of which x alarmed gives a binomial(n, x / n) number of
    alarms, so whole resamples are single draws. With few false positives the interval is wide, and with none
    its upper end does not know that some could have been: read it with the counts.

    Returns:
        (low, high), or ``None`` where the figure itself is not defined.
    """
    if not counts.malicious or not counts.benign:
        return None
    generator = np.random.default_rng(seed)
    found = generator.binomial(counts.malicious, counts.true_positives / counts.malicious, draws)
    false = generator.binomial(counts.benign, counts.false_positives / counts.benign, draws)
    below = found + false * (benign_population / counts.benign) + counts.malicious
    if counts.early_alarms:
        below = below + generator.binomial(counts.malicious, counts.early_alarms / counts.malicious, draws)
    low, high = np.quantile(2 * found / below, [0.025, 0.975])
    return float(low), float(high)


def early_detection_rate(
    detections: np.ndarray,
    lengths: np.ndarray,
    labels: Union[np.ndarray, Sequence[int]],
    starts: Optional[np.ndarray] = None,
) -> Optional[float]:
    """EDR: mean over true positives of the share of the attack that was needed; smaller is earlier.

    Args:
        detections: int [sessions], index of the event that raised the alarm, -1 for none. Events analysed
            are that event and all before it, from where the attack begins.
        lengths: int [sessions], events in the whole session.
        labels: 1 malicious, 0 benign.
        starts: int [sessions], index of each session's first malicious event, below 1 where the attack is the whole
            session or its beginning is not known. An alarm before it is no detection.

    Returns:
        0..1, or ``None`` without a true positive.
    """
    at, ended = np.asarray(detections), np.asarray(lengths)
    begun = _begun(starts, ended)
    found = np.asarray(labels, dtype=bool) & (at >= begun)
    if not found.any():
        return None
    return float(np.mean((at[found] - begun[found] + 1) / (ended[found] - begun[found])))


def detection_delay(
    detections: np.ndarray, labels: Union[np.ndarray, Sequence[int]], starts: np.ndarray
) -> Optional[float]:
    """Median over true positives of the events between the first malicious one and the alarm; ``None`` without one."""
    at, begun = np.asarray(detections), np.maximum(np.asarray(starts), 0)
    found = np.asarray(labels, dtype=bool) & (at >= begun)
    return float(np.median(at[found] - begun[found])) if found.any() else None


def events_at_share(lengths: np.ndarray, share: float) -> np.ndarray:
    """Events seen when ``share`` (0..1) of each session has been, rounded up, int64 [sessions]."""
    return np.ceil(np.asarray(lengths) * share - 1e-9).astype(np.int64)


def detected_at_share(
    detections: np.ndarray, lengths: np.ndarray, share: float, starts: Optional[np.ndarray] = None
) -> np.ndarray:
    """Which sessions have raised their alarm by the time ``share`` (0..1) of their attack was seen, bool."""
    at, begun = np.asarray(detections), _begun(starts, np.asarray(lengths))
    return (at >= begun) & (at < begun + events_at_share(np.asarray(lengths) - begun, share))


def recall_at_share(
    detections: np.ndarray,
    lengths: np.ndarray,
    labels: Union[np.ndarray, Sequence[int]],
    share: float,
    starts: Optional[np.ndarray] = None,
) -> Optional[float]:
    """Recall when only the first ``share`` (0..1) of each attack is seen; ``None`` without an attack."""
    return confusion(labels, detected_at_share(detections, lengths, share, starts)).recall


def _begun(starts: Optional[np.ndarray], lengths: np.ndarray) -> np.ndarray:
    """Where each attack begins, int64; one that begins beyond a session's end cannot be detected in it."""
    return np.zeros(len(lengths), dtype=np.int64) if starts is None else np.maximum(np.asarray(starts), 0)
