"""How good the detector's verdicts are: HDFS sequences and AIT alerts, network, rules and both together.

Everything is chosen on benign training and benign validation sessions; no test session has a say. Each HDFS
figure is the median of three runs (another split, another initialisation each), with the 95 % bootstrap
interval over test sessions of the run it comes from. Needs PyTorch once ``figures`` is called.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import lzma
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from bench.detector import prefixes, sets
from bench.result import Result
from stackyard_detector import readers
from stackyard_detector.detector import calibrated as calibrated_parts
from stackyard_detector.detector import calibration, evaluation, fast_scoring, metrics
from stackyard_detector.detector.config import DetectorConfig
from stackyard_detector.detector.vocabulary import Vocabulary
from stackyard_detector.detector.windows import Sequences, pack
from stackyard_task.channel import Channel

#: Normal sessions of the full HDFS test set, of which sample A holds 11,151.
HDFS_NORMALS = 553_366
#: Enough for two false alarms at 0.2 %.
HDFS_VALIDATION_SESSIONS = 1_000
SEEDS = (0, 1, 2)
SHARES_PERCENT = evaluation.SHARES_PERCENT
SCENARIOS = ("fox", "russellmitchell", "santos", "wheeler")
#: Of the AIT benign sessions, how many validate.
AIT_VALIDATION_SHARE = 0.2

#: The input with the lowest validation loss on either data set, see docs/detector.md.
HDFS_CONFIG = DetectorConfig(history=10, layers=2, hidden_size=64, input="embedding")
AIT_CONFIG = DetectorConfig(history=10, layers=2, hidden_size=64, input="embedding", start_padding=True)

FIGURES = (
    "f1_lstm_strict",
    "f1_lstm_excluding_short",
    "f1_lstm_padded",
    "f1_rules",
    "f1_combined",
    "lstm_only_detections",
    *(f"recall_at_{share}_percent_{who}" for share in SHARES_PERCENT for who in ("lstm", "rules")),
    "f1_ait_median",
    "f1_ait_worst",
    "edr_ait_median",
    "f1_ait_rules_median",
    "f1_ait_rules_worst",
    "edr_ait_rules_median",
    "f1_ait_combined_median",
    "f1_ait_combined_worst",
)

Figures = Dict[str, Optional[float]]
Intervals = Dict[str, Optional[Tuple[float, float]]]


def figures(data_folder: Path, result: Result, quick: bool = False) -> None:
    """Fill the quality figures into ``result``; a data set that is absent leaves its figures ``None``.

    Args:
        data_folder: holds ``hdfs_logdeep`` and ``ait_ads``.
        result: where figures, intervals and rows go.
        quick: one seed and fewer epochs, to see that everything runs; the rows say so.
    """
    for name in FIGURES:
        result.figures.setdefault(name, None)
    import torch

    torch.set_num_threads(1)
    if quick:
        result.row(part="quality", note="quick: one seed and few epochs; these are not the figures to quote")
    for part, folder, run in (("hdfs", "hdfs_logdeep", _hdfs), ("ait", "ait_ads", _ait)):
        if not (data_folder / folder).is_dir():
            result.row(part=part, not_measured=f"{folder} is not in the data folder")
            continue
        print(f"quality: {folder}", flush=True)
        began = time.process_time()
        run(data_folder / folder, result, quick)
        result.row(part=part, cpu_seconds=round(time.process_time() - began, 1))


# HDFS


@dataclass(frozen=True)
class _Split:
    """One split of the training file, and everything encoded with its vocabulary."""

    vocabulary: Vocabulary
    training: Sequences
    validation: Sequences
    normal: Sequences
    abnormal: Sequences


def _hdfs(folder: Path, result: Result, quick: bool) -> None:
    train = _sequences(folder / "hdfs_train.gz")
    abnormal = _sequences(folder / "hdfs_test_abnormal.gz")
    normal = _csv_sequences(folder / "hdfs_test_normal_sampleA_11151.csv.gz")
    runs: List[Tuple[Figures, Intervals]] = []
    for seed in SEEDS[:1] if quick else SEEDS:
        order = np.random.default_rng(seed).permutation(len(train))
        held_back = [train[row] for row in order[:HDFS_VALIDATION_SESSIONS]]
        kept = [train[row] for row in order[HDFS_VALIDATION_SESSIONS:]]
        vocabulary = Vocabulary.from_sessions(kept)
        encoded = [_encoded(vocabulary, sessions) for sessions in (kept, held_back, normal, abnormal)]
        print(f"quality: HDFS, run {len(runs) + 1}", flush=True)
        runs.append(_hdfs_run(_Split(vocabulary, *encoded), seed, result, quick))
    for name in runs[0][0]:
        # median_low: a value that one run really had, so that the interval beside it belongs to it.
        value = statistics.median_low([values[name] for values, _ in runs])  # type: ignore[type-var]
        interval = next(i[name] for values, i in runs if values[name] == value)
        result.figure(name, value, interval)


def _hdfs_run(split: _Split, seed: int, result: Result, quick: bool) -> Tuple[Figures, Intervals]:
    """All HDFS figures of one seed, with intervals."""
    lengths = np.concatenate([split.normal.lengths, split.abnormal.lengths])
    labels = np.repeat([0, 1], [len(split.normal), len(split.abnormal)])
    # A session below h + 1 events has no window without padding.
    short = lengths <= HDFS_CONFIG.history

    full = _Scored(split, HDFS_CONFIG, seed, quick)
    padded = _Scored(split, _with_start_padding(HDFS_CONFIG), seed, quick)
    judged = full.judged("rules")

    values: Figures = {}
    intervals: Intervals = {}

    def add(name: str, truth: np.ndarray, alarms: np.ndarray, **more: Any) -> None:
        counts = metrics.confusion(truth, alarms)
        values[name] = counts.projected_f1(HDFS_NORMALS)
        intervals[name] = metrics.projected_f1_interval(counts, HDFS_NORMALS, seed=seed)
        result.row(
            part="hdfs", seed=seed, figure=name, projected_f1=values[name], **counts.to_results(), **more
        )

    strict = padded.alarms(padded.calibrated.k)
    add(
        "f1_lstm_strict",
        labels,
        strict,
        k=padded.calibrated.k,
        convention="start padding, no session left out",
    )
    k = full.calibrated.k
    alarms = full.alarms(k)
    add(
        "f1_lstm_excluding_short",
        labels[~short],
        alarms[~short],
        k=k,
        convention="sessions below h + 1 events left out",
    )
    add(
        "f1_lstm_padded",
        labels,
        alarms | short,
        k=k,
        convention="LSTM + length rule: a session below h + 1 events is an alarm",
    )
    add("f1_rules", labels, judged, threshold=full.calibrated.thresholds["rules"].value)
    either = full.judged("combined")
    only = int(np.sum(full.judged("network") & ~judged & (labels == 1)))
    add("f1_combined", labels, either, lstm_only_detections=only)
    values["lstm_only_detections"], intervals["lstm_only_detections"] = only, None
    _shares(split, padded, lengths, labels, judged, values, intervals, seed, result)
    _around(full, labels, lengths, short, judged, seed, result)
    return values, intervals


class _Scored:
    """A trained network, its calibration, and its ranks on both halves of the test set."""

    def __init__(self, split: _Split, config: DetectorConfig, seed: int, quick: bool) -> None:
        self.calibrated, self.weights, self.validation_loss = _trained(
            split.training, split.validation, config, split.vocabulary, epochs=2 if quick else 8, seed=seed
        )
        self._split = split
        self._normal = fast_scoring.session_ranks(self.weights, split.normal)
        self._abnormal = fast_scoring.session_ranks(self.weights, split.abnormal)
        self.validation = fast_scoring.session_ranks(self.weights, split.validation)

    def judged(self, part: str) -> np.ndarray:
        """Verdicts of a part at its calibrated threshold, normal sessions first, bool [sessions]."""
        limit = self.calibrated.thresholds[part].value
        both = ((self._split.normal, self._normal), (self._split.abnormal, self._abnormal))
        return np.concatenate([self.calibrated.scores(*half)[part].sessions > limit for half in both])

    def alarms(self, k: int) -> np.ndarray:
        """Verdicts on all test sessions, normal ones first, bool [sessions]."""
        return np.concatenate([self._normal.worst(), self._abnormal.worst()]) > k

    def first_misses(self, k: int) -> np.ndarray:
        """Index of the event of the first miss, normal sessions first, -1 without one."""
        return np.concatenate([self._normal.verdicts(k)[1], self._abnormal.verdicts(k)[1]])


def _shares(
    split: _Split,
    padded: _Scored,
    lengths: np.ndarray,
    labels: np.ndarray,
    judged: np.ndarray,
    values: Figures,
    intervals: Intervals,
    seed: int,
    result: Result,
) -> None:
    """Recall when only part of each session is seen: network with start padding, rules on prefixes."""
    first = padded.first_misses(padded.calibrated.k)
    size = split.vocabulary.size
    for percent in SHARES_PERCENT:
        share = percent / 100
        seen = metrics.detected_at_share(first, lengths, share)
        if percent == 100:
            by_rules = judged
        else:
            by_rules = np.concatenate(
                [
                    prefixes.prefix_verdicts(split.training, split.validation, part, size, share)
                    for part in (split.normal, split.abnormal)
                ]
            )
        for who, alarms in (("lstm", seen), ("rules", by_rules)):
            counts = metrics.confusion(labels, alarms)
            name = f"recall_at_{percent}_percent_{who}"
            values[name], intervals[name] = counts.recall, None
            long = lengths > HDFS_CONFIG.history
            result.row(
                part="hdfs",
                seed=seed,
                figure=name,
                recall=counts.recall,
                recall_of_sessions_above_h=metrics.confusion(labels[long], alarms[long]).recall,
                false_positives=counts.false_positives,
                only_this_one=int(np.sum(alarms & ~(by_rules if who == "lstm" else seen) & (labels == 1))),
            )
    result.row(
        part="hdfs",
        seed=seed,
        early_detection_rate=metrics.early_detection_rate(first, lengths, labels),
        k=padded.calibrated.k,
        convention="start padding",
    )


def _around(
    full: _Scored,
    labels: np.ndarray,
    lengths: np.ndarray,
    short: np.ndarray,
    judged: np.ndarray,
    seed: int,
    result: Result,
) -> None:
    """The rows around the chosen k: how much depends on it. For reading, not for choosing."""
    for k in calibration.around(full.calibrated.k, 3):
        alarms = full.alarms(k)
        counts = metrics.confusion(labels[~short], alarms[~short])
        result.row(
            part="hdfs",
            seed=seed,
            around_k=k,
            chosen=k == full.calibrated.k,
            validation_false_alarm_rate=calibration.false_alarm_rate(full.validation, k),
            false_positives=counts.false_positives,
            recall_excluding_short=counts.recall,
            projected_f1_excluding_short=counts.projected_f1(HDFS_NORMALS),
            projected_f1_padded=metrics.confusion(labels, alarms | short).projected_f1(HDFS_NORMALS),
            projected_f1_combined=metrics.confusion(labels, alarms | judged).projected_f1(HDFS_NORMALS),
            early_detection_rate=metrics.early_detection_rate(full.first_misses(k), lengths, labels),
        )
    result.row(part="hdfs", seed=seed, validation_loss=full.validation_loss)


# AIT alerts


def _ait(folder: Path, result: Result, quick: bool) -> None:
    scenarios = SCENARIOS[:2] if quick else SCENARIOS
    data = {name: _alerts(folder / "sessions_30min" / f"{name}_sessions.csv.xz") for name in scenarios}
    for name in scenarios:
        result.row(part="ait", scenario=name, **_agreement(folder, name, data[name]))
    found: Dict[str, List[Optional[float]]] = {name: [] for name in ("f1", "edr", "rf1", "redr", "cf1")}
    trained = {}
    for name, (sessions, labels) in data.items():
        benign = [session for session, label in zip(sessions, labels) if not label]
        order = np.random.default_rng(0).permutation(len(benign))
        validating = round(len(benign) * AIT_VALIDATION_SHARE)
        held_back, kept = ([benign[r] for r in rows] for rows in (order[:validating], order[validating:]))
        vocabulary = Vocabulary.from_sessions(kept)
        calibrated, weights, loss = _trained(
            _encoded(vocabulary, kept),
            _encoded(vocabulary, held_back),
            AIT_CONFIG,
            vocabulary,
            epochs=1 if quick else 4,
            seed=0,
        )
        print(f"quality: trained on {name}", flush=True)
        trained[name] = (vocabulary, calibrated, weights)
        result.row(
            part="ait",
            trained_on=name,
            k=calibrated.k,
            known_events=vocabulary.size,
            validation_sessions=validating,
            validation_false_alarm_rate=calibrated.rate_at_k,
            validation_loss=loss,
            stated_rate=calibrated.thresholds["combined"].stated_rate,
        )
    for source, target in itertools.permutations(scenarios, 2):
        vocabulary, calibrated, weights = trained[source]
        sessions, labels = data[target]
        encoded = _encoded(vocabulary, sessions)
        ranks = fast_scoring.session_ranks(weights, encoded)
        judged = calibrated_parts.judge(calibrated.scores(encoded, ranks), calibrated.thresholds)
        values = evaluation.evaluate(encoded, labels, judged, ranks, calibrated.k)
        result.row(part="ait", trained_on=source, tested_on=target, **values)
        for key, name in (
            ("f1", "f1"),
            ("edr", "early_detection_rate"),
            ("rf1", "rules_f1"),
            ("redr", "rules_early_detection_rate"),
            ("cf1", "combined_f1"),
        ):
            found[key].append(values[name])
    for key, name in (("f1", "f1_ait"), ("rf1", "f1_ait_rules"), ("cf1", "f1_ait_combined")):
        # F1 is defined for all pairs: every scenario has attacks.
        pairs = [value for value in found[key] if value is not None]
        result.figure(f"{name}_median", statistics.median(pairs))
        result.figure(f"{name}_worst", min(pairs))
    for key, name in (("edr", "edr_ait_median"), ("redr", "edr_ait_rules_median")):
        # A pair without a detection has no early detection rate.
        pairs = [value for value in found[key] if value is not None]
        result.figure(name, statistics.median(pairs) if pairs else None)


# Shared


class _Losses(Channel):
    """Keeps the lowest validation loss of a training."""

    lowest: Optional[float] = None

    def loss(self, step: int, training: Optional[float] = None, validation: Optional[float] = None) -> None:
        """Remember ``validation`` if it is the lowest."""
        if validation is not None and (self.lowest is None or validation < self.lowest):
            self.lowest = validation


def _trained(
    kept: Sequences,
    held_back: Sequences,
    config: DetectorConfig,
    vocabulary: Vocabulary,
    epochs: int,
    seed: int,
) -> Tuple[calibrated_parts.Calibrated, Any, Optional[float]]:
    """Calibration, weights and lowest validation loss of a network trained on ``kept``."""
    from stackyard_detector.detector import training

    parameters = training.TrainingParameters(
        epochs=epochs, batch_size=512, learning_rate=0.01, frequency_exponent=0.5, seed=seed
    )
    losses = _Losses()
    model = training.train(kept, held_back, config, vocabulary.size, parameters, channel=losses)
    weights = model.weights()

    ranks = fast_scoring.session_ranks(weights, held_back)
    calibrated = calibrated_parts.calibrate(kept, held_back, ranks, vocabulary.size)
    return calibrated, weights, losses.lowest


def _with_start_padding(config: DetectorConfig) -> DetectorConfig:
    return DetectorConfig.from_json({**config.to_json(), "start_padding": True})


def _encoded(vocabulary: Vocabulary, sessions: Sequence[Sequence[str]]) -> Sequences:
    return pack([vocabulary.encode(session) for session in sessions])


def _sequences(path: Path) -> List[List[str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [events for events in (line.split() for line in lines) if events]


def _csv_sequences(path: Path) -> List[List[str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return [row["events"].split() for row in csv.DictReader(lines)]


def _alerts(path: Path) -> Tuple[List[List[str]], List[int]]:
    """Sessions and labels (any alert of the window has an event label)."""
    with lzma.open(path, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [row["events"].split() for row in rows], [int(row["label"]) for row in rows]


def _agreement(folder: Path, name: str, derived: Tuple[List[List[str]], List[int]]) -> Dict[str, Any]:
    """How many derived sessions are equal to those our readers build from the raw alerts."""
    with (folder / "sessions_30min" / "alert_types.csv").open(encoding="utf-8", newline="") as lines:
        names = {row["id"]: row["short"] for row in csv.DictReader(lines)}
    # The derived sessions keep alerts in the order of the file, which is not quite that of time.
    source = {"path": str(folder / f"{name}_alerts.csv.xz"), **sets.ALERTS, "time_order": "file"}
    built = Counter(
        (tuple(session.events), session.label)
        for session in readers.read_sessions({"sources": [source]}, readers.Quarantine())
    )
    given = Counter((tuple(names[event] for event in events), label) for events, label in zip(*derived))
    return {
        "sessions": sum(given.values()),
        "sessions_built_from_alerts": sum(built.values()),
        "equal": sum((built & given).values()),
    }
