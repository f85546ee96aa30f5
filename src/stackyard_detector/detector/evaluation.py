"""What verdicts and scores are worth on labelled test sessions. Only reports: nothing is chosen here.

Results are flat name -> number, as a record holds them; the curves go to a file. Needs numpy.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Optional, Sequence, Union

import numpy as np

from stackyard_detector.detector import calibration, curves, metrics
from stackyard_detector.detector.baselines import BASELINES
from stackyard_detector.detector.calibrated import COMBINED, NETWORK, RULES, Judged
from stackyard_detector.detector.ranks import Ranks
from stackyard_detector.detector.windows import Sessions, pack

#: Shares of an attack, in percent, at which recall is reported.
SHARES_PERCENT = (20, 50, 100)
#: False-alarm rates, in percent, at which recall is reported: four points of the ROC curve.
FALSE_ALARMS_PERCENT = (0.1, 1, 5, 10)
#: Whose verdicts are reported in full -> prefix of the figures.
PREFIXES = {NETWORK: "", RULES: "rules_", COMBINED: "combined_"}

Labels = Union[np.ndarray, Sequence[Optional[int]]]


def by_rank(ranks: Ranks, k: int, starts: Optional[Sequence[Optional[int]]] = None) -> Judged:
    """The network's verdicts by rank, as DeepLog judges: an event not among the k most probable is a miss.

    The score is the greatest rank, the threshold k.
    """
    _, first = ranks.verdicts(k)
    detections = first.astype(np.int64)
    if starts is not None:
        for row, start in enumerate(starts):
            if start is not None and 0 <= first[row] < start:
                misses = np.flatnonzero(ranks.of(row) > k) + ranks.first_position
                later = misses[misses >= start]
                detections[row] = later[0] if len(later) else -1
    return Judged(ranks.worst().astype(np.float64), float(k), first.astype(np.int64), detections)


def evaluate(
    sessions: Sessions,
    labels: Labels,
    judged: Mapping[str, Judged],
    ranks: Ranks,
    k: int,
    starts: Optional[Sequence[Optional[int]]] = None,
    curves_drawn: Optional[Mapping[str, Any]] = None,
) -> Dict[str, Any]:
    """Metrics of verdicts and scores of the network, and of whatever else judged the sessions.

    Args:
        sessions: test sessions (symbols).
        labels: 1 malicious, 0 benign, ``None`` unknown (counted, otherwise left out).
        judged: verdicts of the network, and of baselines, rules and the combination where they were calibrated.
        ranks: the network's ranks on ``sessions``.
        k: figures around it say how much depends on it.
        starts: index of each session's first malicious event, ``None`` where there is none or nobody knows. Early
            detection counts from there, and an alarm before it is a false one.
        curves_drawn: what ``drawn`` gave, whose areas need not be computed again.

    Returns:
        flat name -> number, ``None`` where not defined. Of the network (no prefix), ``rules_`` and ``combined_``:
        confusion counts, ``precision, recall, specificity, f1, mcc, fpr``, ``early_detection_rate``,
        ``recall_at_20_percent``..., ``recall_at_1_percent_false_alarms``..., ``early_alarms``,
        ``detection_delay_events``, ``auprc`` and ``auroc`` with ``_low`` and ``_high``. Of each baseline
        ``<name>_f1``, ``_recall``, ``_fpr``, ``_auprc``. Of the network around k ``f1_at_k_<k>``... And ``note``, one
        sentence, where the labels lack a class.

    Raises:
        ValueError: labels, sessions and verdicts are not of the same number.
    """
    packed = pack(sessions)
    if not len(packed) == len(labels) == len(ranks):
        raise ValueError(
            f"{len(packed)} sessions, {len(labels)} labels and {len(ranks)} ranks: expected as many"
        )
    known = np.array([label is not None for label in labels], dtype=bool)
    truth = np.array([bool(label) for label in labels], dtype=bool)[known]
    begins = starts_of(starts, len(packed))[known]
    lengths = packed.lengths[known]
    results: Dict[str, Any] = {
        "sessions": len(packed),
        "sessions_without_label": int(np.sum(~known)),
        "sessions_without_target": int(np.sum(np.diff(ranks.offsets) == 0)),
        "network_alarms": int(judged[NETWORK].alarms.sum()),
        "k": k,
    }
    note = metrics.missing_class(truth)
    if note is not None:
        results["note"] = note
    for name, prefix in PREFIXES.items():
        if name in judged:
            results.update(_in_full(judged[name], known, truth, begins, lengths, prefix))
            areas = (
                curves.areas(truth, judged[name].scores[known])
                if curves_drawn is None
                else curves_drawn[name]
            )
            results.update(_areas(areas, prefix))
    for name in BASELINES:
        if name in judged:
            counts = confusion_of(judged[name], known, truth, begins)
            results[f"{name}_f1"], results[f"{name}_recall"] = counts.f1, counts.recall
            results[f"{name}_fpr"] = counts.false_positive_rate
            results[f"{name}_auprc"] = curves.average_precision(truth, judged[name].scores[known])
    if RULES in judged:
        alone = (judged[NETWORK].detections >= 0) & (judged[RULES].detections < 0)
        results["lstm_only_detections"] = int(np.sum(alone[known] & truth))
    for near in calibration.around(k):
        at = confusion_of(by_rank(ranks, near, starts), known, truth, begins)
        results[f"f1_at_k_{near}"], results[f"fpr_at_k_{near}"] = at.f1, at.false_positive_rate
    return results


def drawn(labels: Labels, judged: Mapping[str, Judged]) -> Dict[str, Any]:
    """ROC and precision-recall curves of all that judged, with the areas under them, as JSON holds it.

    ``{part: {"auprc": [value, low, high], "auroc": [...], "threshold", "points": [...]}}``; areas are ``None`` where
    the labels lack a class.
    """
    known = np.array([label is not None for label in labels], dtype=bool)
    truth = np.array([bool(label) for label in labels], dtype=bool)[known]
    found = {}
    for name, own in judged.items():
        scores = own.scores[known]
        areas = curves.areas(truth, scores)
        found[name] = {
            **{area: None if value is None else list(value) for area, value in areas.items()},
            "threshold": own.threshold,
            "points": curves.curve(truth, scores),
        }
    return found


def starts_of(starts: Optional[Sequence[Optional[int]]], sessions: int) -> np.ndarray:
    """Where attacks begin as numbers, int64 [sessions]; 0 where nobody knows."""
    if starts is None:
        return np.zeros(sessions, dtype=np.int64)
    return np.array([0 if start is None else start for start in starts], dtype=np.int64)


def confusion_of(
    judged: Judged, known: np.ndarray, truth: np.ndarray, begins: np.ndarray
) -> metrics.Confusion:
    """The counts of one part's verdicts, an alarm before an attack counted as a false one.

    Args:
        judged: verdicts on all sessions.
        known: bool [sessions], which have a label.
        truth: bool [known sessions], the labels.
        begins: int [known sessions], where each attack begins.
    """
    found, first = judged.detections[known], judged.first_alarms[known]
    early = int(np.sum(truth & (first >= 0) & (first < begins)))
    return dataclasses.replace(metrics.confusion(truth, found >= 0), early_alarms=early)


def _in_full(
    judged: Judged,
    known: np.ndarray,
    truth: np.ndarray,
    begins: np.ndarray,
    lengths: np.ndarray,
    prefix: str,
) -> Dict[str, Optional[float]]:
    counts = confusion_of(judged, known, truth, begins)
    results: Dict[str, Optional[float]] = dict(counts.to_results(prefix))
    results[f"{prefix}early_alarms"] = counts.early_alarms
    found = judged.detections[known]
    for percent in SHARES_PERCENT:
        results[f"{prefix}recall_at_{percent}_percent"] = metrics.recall_at_share(
            found, lengths, truth, percent / 100, begins
        )
    results[f"{prefix}early_detection_rate"] = metrics.early_detection_rate(found, lengths, truth, begins)
    results[f"{prefix}detection_delay_events"] = metrics.detection_delay(found, truth, begins)
    for allowed in FALSE_ALARMS_PERCENT:
        results[f"{prefix}recall_at_{allowed:g}_percent_false_alarms"] = curves.recall_at(
            truth, judged.scores[known], allowed / 100
        )
    return results


def _areas(areas: Mapping[str, Any], prefix: str) -> Dict[str, Optional[float]]:
    results: Dict[str, Optional[float]] = {}
    for area in ("auprc", "auroc"):
        names = [f"{prefix}{area}{end}" for end in ("", "_low", "_high")]
        results.update(zip(names, (None, None, None) if areas[area] is None else areas[area]))
    return results
