"""ROC and precision-recall curves of scores, the areas under them, and how sure those are. Needs numpy.

Sessions with equal scores are one point: no order among them is made up.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

#: Points of a curve that are kept.
MOST_POINTS = 200
#: Different scores that a bootstrap tells apart; neighbours among more are taken together, for the interval alone.
MOST_GROUPS = 20_000
#: Resamples of a bootstrap.
DRAWS = 500

Labels = Union[np.ndarray, Sequence[int]]


def average_precision(labels: Labels, scores: np.ndarray) -> Optional[float]:
    """Area under the precision-recall curve as steps: the sum over points of precision times gain in recall.

    Returns:
        0..1; about the share of malicious sessions for scores that say nothing. ``None`` without a malicious session.
    """
    return _areas(*_grouped(labels, scores))[0]


def area_under_roc(labels: Labels, scores: np.ndarray) -> Optional[float]:
    """How often a malicious session scores above a benign one, ties half; ``None`` without one of both."""
    return _areas(*_grouped(labels, scores))[1]


def areas(
    labels: Labels, scores: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> Dict[str, Optional[Tuple[float, float, float]]]:
    """``auprc`` and ``auroc``, each as (value, low, high) with a 95 % percentile bootstrap over sessions.

    Resampled within each class. ``None`` where the figure is not defined.
    """
    malicious, benign = _grouped(labels, scores)
    values = _areas(malicious, benign)
    if len(malicious) > MOST_GROUPS:
        begins = np.linspace(0, len(malicious), MOST_GROUPS, endpoint=False).astype(np.int64)
        malicious, benign = np.add.reduceat(malicious, begins), np.add.reduceat(benign, begins)
    found: Dict[str, Optional[Tuple[float, float, float]]] = {"auprc": None, "auroc": None}
    if not malicious.sum() or not benign.sum():
        return found
    generator = np.random.default_rng(seed)
    total, quiet = int(malicious.sum()), int(benign.sum())
    drawn = np.array(
        [
            _areas(
                generator.multinomial(total, malicious / total), generator.multinomial(quiet, benign / quiet)
            )
            for _ in range(draws)
        ],
        dtype=np.float64,
    )
    for column, name in enumerate(found):
        low, high = np.quantile(drawn[:, column], [0.025, 0.975])
        found[name] = (float(values[column] or 0.0), float(low), float(high))
    return found


def difference(
    labels: Labels, ours: np.ndarray, theirs: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> Optional[Tuple[float, float, float]]:
    """``average_precision`` of ``ours`` less that of ``theirs``: (value, low, high), a paired bootstrap over sessions.

    Both are computed on the same resamples, so what one sample makes easy or hard for both falls out.
    """
    truth = np.asarray(labels, dtype=bool)
    if not truth.any() or truth.all():
        return None
    orders = [
        np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True)[1] for scores in (ours, theirs)
    ]
    generator = np.random.default_rng(seed)
    rows = [np.flatnonzero(truth), np.flatnonzero(~truth)]
    found = []
    for draw in range(draws + 1):
        weights = np.ones(len(truth))
        if draw:
            for own in rows:
                weights[own] = np.bincount(generator.integers(0, len(own), len(own)), minlength=len(own))
        pair = []
        for order in orders:
            size = int(order.max()) + 1
            malicious = np.bincount(order[truth], weights[truth], minlength=size)
            benign = np.bincount(order[~truth], weights[~truth], minlength=size)
            pair.append(_areas(malicious, benign)[0] or 0.0)
        found.append(pair[0] - pair[1])
    low, high = np.quantile(found[1:], [0.025, 0.975])
    return float(found[0]), float(low), float(high)


def recall_at(labels: Labels, scores: np.ndarray, rate: float) -> Optional[float]:
    """The greatest recall whose false-alarm rate is at most ``rate`` (0..1); ``None`` without a session of both."""
    malicious, benign = _grouped(labels, scores)
    if not malicious.sum() or not benign.sum():
        return None
    within = np.cumsum(benign) <= rate * benign.sum() + 1e-9
    return float(malicious[within].sum() / malicious.sum())


def curve(labels: Labels, scores: np.ndarray, most: int = MOST_POINTS) -> List[Dict[str, float]]:
    """Points of both curves from the strictest threshold to the loosest, at most ``most``.

    Returns:
        ``{"threshold", "recall", "fpr", "precision"}`` each: of the alarms at or above that score.
    """
    values = np.unique(np.asarray(scores, dtype=np.float64))[::-1]
    malicious, benign = _grouped(labels, scores)
    found, false = np.cumsum(malicious), np.cumsum(benign)
    total, quiet = max(found[-1] if len(found) else 0, 1), max(false[-1] if len(false) else 0, 1)
    chosen = np.arange(len(values))
    if len(values) > most:
        # Half of the points are equally far apart in false alarms, half in detections: neither end is cut short.
        steps = (found / total + false / quiet) / 2
        chosen = np.unique(np.searchsorted(steps, np.linspace(steps[0], steps[-1], most)))
        chosen = np.minimum(chosen, len(values) - 1)
    return [
        {
            "threshold": float(values[row]),
            "recall": float(found[row] / total),
            "fpr": float(false[row] / quiet),
            "precision": float(found[row] / (found[row] + false[row])),
        }
        for row in chosen.tolist()
    ]


def _grouped(labels: Labels, scores: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Malicious and benign sessions at each different score, greatest score first."""
    truth = np.asarray(labels, dtype=bool)
    order = np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True)[1].reshape(-1)
    size = int(order.max(initial=-1)) + 1
    return np.bincount(order[truth], minlength=size), np.bincount(order[~truth], minlength=size)


def _areas(malicious: np.ndarray, benign: np.ndarray) -> Tuple[Optional[float], Optional[float]]:
    """Average precision and area under the ROC curve of grouped sessions."""
    total, quiet = malicious.sum(), benign.sum()
    if not total:
        return None, None
    found, false = np.cumsum(malicious), np.cumsum(benign)
    precision = found / np.maximum(found + false, 1)
    auprc = float(np.sum(malicious * precision) / total)
    if not quiet:
        return auprc, None
    above = false - benign
    return auprc, float(1.0 - np.sum(malicious * (above + benign / 2)) / (total * quiet))
