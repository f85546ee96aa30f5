"""Everything chosen after training, from benign sessions only: baselines, tails, thresholds, k; and verdicts by it.

``calibrate`` makes it, a model file keeps it, ``judge`` applies it: each part's scores and alarms on new sessions.
Needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from stackyard_detector.detector import calibration
from stackyard_detector.detector.baselines import BASELINES, Baseline
from stackyard_detector.detector.calibration import Threshold
from stackyard_detector.detector.combination import CombinedScores, Tail
from stackyard_detector.detector.ranks import Ranks
from stackyard_detector.detector.scores import EventScores, Scores
from stackyard_detector.detector.windows import Sequences, Sessions, pack

API_VERSION = 3
NETWORK, RULES, COMBINED = "network", "rules", "combined"
#: Which parts are combined to what. The rules are what needs no order of events.
COMBINATIONS = {
    RULES: ("unseen_event", "counts", "length"),
    COMBINED: (NETWORK, "unseen_event", "unseen_pair", "unseen_triple", "transition", "counts", "length"),
}
#: Combination -> the part of it that puts sessions in order which the others cannot tell apart.
ORDERLY = {RULES: "counts", COMBINED: NETWORK}
#: All that gives a score, in the order of tables.
PARTS = (NETWORK, *BASELINES, *COMBINATIONS)
#: False-alarm rates at which the combination's threshold is told beside the one that was asked for.
CURVE_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True)
class Calibrated:
    """Everything chosen after training."""

    event_count: int
    k: int
    #: Share of benign validation sessions with an event beyond the k most probable.
    rate_at_k: float
    #: Part of the probability that is left for events training did not have.
    novelty: float
    baselines: Dict[str, Baseline]
    #: Part -> how its scores are turned into one unit.
    tails: Dict[str, Tail]
    #: Part or combination -> its threshold.
    thresholds: Dict[str, Threshold]
    #: What the combination's threshold would be at other rates: the curve of ``CURVE_RATES``.
    curve: List[Threshold]

    def scores(self, sessions: Sessions, ranks: Ranks) -> Dict[str, Scores]:
        """The scores of ``sessions`` (symbols) in the eyes of each part and combination, in the order of ``PARTS``.

        Args:
            sessions: whole sessions.
            ranks: the network's, with surprise.
        """
        packed = pack(sessions)
        found: Dict[str, Scores] = {NETWORK: network_scores(packed, ranks, self.novelty, self.event_count)}
        found.update({name: baseline.score(packed) for name, baseline in self.baselines.items()})
        found.update({name: combination_of(name, found, self.tails) for name in COMBINATIONS})
        return found

    def remarks(self) -> List[str]:
        """What a user should know of the choice, a sentence each."""
        said = [self.thresholds[COMBINED].remark()]
        if self.k > 0.75 * self.event_count > 0.75:
            said.append(
                f"k is {self.k} of {self.event_count} known events: judged by k, hardly any event that training had "
                "can alarm; judge by score, or allow more false alarms"
            )
        return [sentence for sentence in said if sentence is not None]

    def to_json(self) -> Dict[str, Any]:
        """The JSON form, but for what baselines keep as arrays."""
        return {
            "api_version": API_VERSION,
            "k": self.k,
            "rate_at_k": self.rate_at_k,
            "novelty": self.novelty,
            "tails": {name: tail.to_json() for name, tail in self.tails.items()},
            "thresholds": {name: threshold.to_json() for name, threshold in self.thresholds.items()},
            "curve": [threshold.to_json() for threshold in self.curve],
        }

    def arrays(self) -> Dict[str, np.ndarray]:
        """What baselines know, as ``<baseline>.<array>``."""
        return {
            f"{name}.{key}": value
            for name, baseline in self.baselines.items()
            for key, value in baseline.arrays().items()
        }

    @classmethod
    def from_parts(
        cls, value: Mapping[str, Any], arrays: Mapping[str, np.ndarray], event_count: int
    ) -> Calibrated:
        """A calibration from its JSON form and its arrays.

        Raises:
            ValueError: a part is missing or not what it should be, or is of another version.
        """
        try:
            if value["api_version"] != API_VERSION:
                raise ValueError(f"api_version {value['api_version']!r}, expected {API_VERSION}")
            baselines = {}
            for name, kind in BASELINES.items():
                own = {k[len(name) + 1 :]: v for k, v in arrays.items() if k.startswith(f"{name}.")}
                baselines[name] = kind.load(own, event_count)
            _check(arrays, event_count)
            if not 0 < float(value["novelty"]) < 1:
                raise ValueError(f"novelty is {value['novelty']!r}")
            tails = {name: Tail.from_json(value["tails"][name]) for name in COMBINATIONS[COMBINED]}
            thresholds = {name: Threshold.from_json(value["thresholds"][name]) for name in PARTS}
            return cls(
                event_count,
                int(value["k"]),
                float(value["rate_at_k"]),
                float(value["novelty"]),
                baselines,
                tails,
                thresholds,
                [Threshold.from_json(threshold) for threshold in value["curve"]],
            )
        except KeyError as missing:
            raise ValueError(f"the model's calibration lacks {missing}; train the model again") from missing
        except (TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                f"the model's calibration cannot be used ({error}); train the model again"
            ) from error


@dataclass(frozen=True)
class Judged:
    """What one part says of a list of sessions."""

    #: float64 [sessions].
    scores: np.ndarray
    threshold: float
    #: Index of the event that raised the first alarm, int64 [sessions], -1 without one.
    first_alarms: np.ndarray
    #: The same, of alarms not before a session's first malicious event, where that is known.
    detections: np.ndarray

    @property
    def alarms(self) -> np.ndarray:
        """bool [sessions]."""
        return self.first_alarms >= 0


def calibrate(
    training: Sessions,
    validation: Sessions,
    validation_ranks: Ranks,
    event_count: int,
    allowed_false_alarm_rate: float = calibration.ALLOWED_FALSE_ALARM_RATE,
    confidence: float = calibration.CONFIDENCE,
) -> Calibrated:
    """Baselines, tails, thresholds and k, from benign training and benign validation sessions.

    Args:
        training: the benign sessions the network was trained on (symbols); baselines count them.
        validation: benign sessions it did not see (symbols); thresholds come from them.
        validation_ranks: the network's ranks on ``validation``, with surprise.
        event_count: size of the vocabulary.
        allowed_false_alarm_rate: limit for each part alone and for each combination.
        confidence: how sure the limit is to hold.

    Raises:
        ValueError: no training or no validation session, or a rate outside 0..1.
    """
    kept, held_back = pack(training), pack(validation)
    k = calibration.choose_k(validation_ranks, allowed_false_alarm_rate, largest_k=event_count)
    baselines = {name: kind.fit(kept, event_count) for name, kind in BASELINES.items()}
    novelty = unseen_share(kept, event_count)
    scores: Dict[str, Scores] = {NETWORK: network_scores(held_back, validation_ranks, novelty, event_count)}
    scores.update({name: baseline.score(held_back) for name, baseline in baselines.items()})
    tails = {name: Tail.fit(found.sessions) for name, found in scores.items()}
    apart = {name: found.sessions for name, found in scores.items()}
    for name in COMBINATIONS:
        apart[name] = combination_of(name, scores, tails).left_out()
    thresholds = {
        name: calibration.threshold(apart[name], allowed_false_alarm_rate, confidence) for name in PARTS
    }
    curve = [calibration.threshold(apart[COMBINED], rate, confidence) for rate in CURVE_RATES]
    rate = float(np.mean(validation_ranks.worst() > k))
    return Calibrated(event_count, k, rate, novelty, baselines, tails, thresholds, curve)


def combination_of(name: str, scores: Mapping[str, Scores], tails: Mapping[str, Tail]) -> CombinedScores:
    """One of ``COMBINATIONS``, from the scores of its parts."""
    return CombinedScores(scores, {part: tails[part] for part in COMBINATIONS[name]}, ORDERLY[name])


def judge(
    scores: Mapping[str, Scores],
    thresholds: Mapping[str, Threshold],
    starts: Optional[Sequence[Optional[int]]] = None,
) -> Dict[str, Judged]:
    """The verdicts of each part at its threshold.

    Args:
        scores: of each part.
        thresholds: of each part.
        starts: index of each session's first malicious event, ``None`` where there is none or nobody knows.
    """
    found = {}
    for name, own in scores.items():
        limit = thresholds[name].value
        first = own.first_above(limit)
        detections = first.copy()
        for session in np.flatnonzero(first >= 0).tolist() if starts is not None else ():
            start = starts[session]  # type: ignore[index]
            if start is not None and first[session] < start:
                detections[session] = own.first_above_from(session, limit, start)
        found[name] = Judged(own.sessions, limit, first, detections)
    return found


def joined(parts: Sequence[Dict[str, Judged]]) -> Dict[str, Judged]:
    """The verdicts on consecutive batches of sessions as one."""
    return {
        name: Judged(
            np.concatenate([part[name].scores for part in parts]),
            parts[0][name].threshold,
            np.concatenate([part[name].first_alarms for part in parts]),
            np.concatenate([part[name].detections for part in parts]),
        )
        for name in parts[0]
    }


def _check(arrays: Mapping[str, np.ndarray], event_count: int) -> None:
    """Refuse arrays that no baseline keeps.

    Raises:
        ValueError: another width than the vocabulary asks for, or numbers that do not rise.
    """
    width = arrays["counts.references"].shape[-1]
    if arrays["counts.references"].ndim != 2 or width != event_count + 1:
        raise ValueError(f"event counts in {width} columns, expected {event_count + 1}")
    for name in ("unseen_pair.codes", "unseen_triple.codes", "transition.codes", "length.lengths"):
        if arrays[name].ndim != 1 or np.any(np.diff(arrays[name]) < 0):
            raise ValueError(f"{name} is no rising list of numbers")
    if arrays["transition.counts"].shape != arrays["transition.codes"].shape:
        raise ValueError("not one count for each pair")


def network_scores(sessions: Sequences, ranks: Ranks, novelty: float, event_count: int) -> Scores:
    """How surprised the network is by each event, in nats, and the soft maximum of that over a session.

    The network gives no probability to an event that training did not have. A part of it (``novelty``) is taken from
    all others and shared among them and the unknown: so no known event is more surprising than an unknown one.

    Args:
        sessions: whole sessions.
        ranks: the network's on them, with surprise.
        novelty: above 0 and below 1.
        event_count: size of the vocabulary.
    """
    assert ranks.surprise is not None
    floor = novelty / (event_count + 1)
    surprise = -np.log((1 - novelty) * np.exp(-ranks.surprise.astype(np.float64)) + floor)
    values = np.full(len(sessions.values), -np.inf)
    counts = np.diff(ranks.offsets)
    # A session's targets are its last events.
    places = np.arange(len(surprise)) + np.repeat(sessions.offsets[1:] - ranks.offsets[1:], counts)
    values[places] = surprise
    return EventScores(sessions.offsets, values, "soft-maximum")


def unseen_share(training: Sequences, event_count: int) -> float:
    """How probable an event is that training did not have: the share of events that came once (Good 1953)."""
    times = np.bincount(training.values, minlength=event_count)
    return float((int((times == 1).sum()) + 1) / (len(training.values) + 2))
