"""What the detector is worth on real sets (``sets``): network, combination and the simplest baselines in one table.

Three seeds a set: another split, another initialisation. A figure is the median of three; its interval is a bootstrap
over the test sessions of the run it comes from. Thresholds are calibrated for 1 % of false alarms with 95 % confidence,
on benign sessions that trained nothing; a set with fewer than 500 of these cannot express that, and says what it can.
Needs PyTorch once ``figures`` is called.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from bench.detector.quality import AIT_CONFIG, _encoded, _Losses
from bench.detector.sets import TestSet, all_sets
from bench.result import Result
from stackyard_detector.detector import curves, fast_scoring, metrics
from stackyard_detector.detector.baselines import BASELINES
from stackyard_detector.detector.calibrated import (
    COMBINATIONS,
    COMBINED,
    NETWORK,
    PARTS,
    Judged,
    calibrate,
    judge,
)
from stackyard_detector.detector.calibration import lower_rate
from stackyard_detector.detector.config import Weights
from stackyard_detector.detector.evaluation import confusion_of
from stackyard_detector.detector.vocabulary import Vocabulary

SEEDS = (0, 1, 2)
#: Of the network: the start of a session counts, for sessions may be short.
CONFIG = AIT_CONFIG
ALLOWED_FALSE_ALARM_RATE = 0.01
SETS = (
    "hdfs",
    "hdfs_lines",
    "hadoop",
    "openstack",
    "iot23",
    *(
        f"ait_{source}_{target}"
        for source in ("fox", "russellmitchell", "santos", "wheeler")
        for target in ("fox", "russellmitchell", "santos", "wheeler")
        if source != target
    ),
)
FIGURES = (
    *(
        f"{figure}_{name}"
        for name in SETS
        for figure in ("auprc", "f1", "auprc_network", "auprc_best_baseline", "f1_best_baseline")
    ),
    "combined_minus_best_part_worst",
    "combined_minus_best_baseline_median",
    "combined_minus_best_baseline_unseen_sites_median",
    "network_minus_best_baseline_median",
    "network_minus_best_baseline_unseen_sites_median",
    "sets_where_network_beats_baselines",
    "false_alarm_rate_over_stated_worst",
    "recall_at_20_percent_combined",
    "early_alarm_before_attack_share",
)


class Run(NamedTuple):
    """One seed of one set."""

    seed: int
    auprc: Dict[str, float]
    confusions: Dict[str, metrics.Confusion]
    judged: Dict[str, Judged]
    labels: np.ndarray
    #: Lower bound of the false-alarm rate over what was stated; ``None``: another site, or not expressible.
    over_stated: Optional[float]
    recall_at_20_percent: Optional[float]
    #: Malicious sessions whose first malicious event is known; those with an alarm before it.
    begun: int
    early: int


def figures(data_folder: Path, result: Result, quick: bool = False) -> None:
    """Fill the figures of all sets into ``result``; a set that is absent leaves its figures ``None``.

    Args:
        data_folder: the folder of the data sets.
        result: where figures, intervals and rows go.
        quick: one seed and few epochs, to see that everything runs; the rows say so.
    """
    for name in FIGURES:
        result.figures.setdefault(name, None)
    import torch

    torch.set_num_threads(1)
    if quick:
        result.row(part="worth", note="quick: one seed and few epochs; these are not the figures to quote")
    runs: Dict[str, List[Run]] = {}
    same_site: Dict[str, bool] = {}
    for seed in SEEDS[:1] if quick else SEEDS:
        trained: Dict[Tuple[Any, ...], Tuple[Vocabulary, Weights]] = {}
        for name, made, why in all_sets(data_folder, seed):
            if made is None:
                result.row(part="worth", set=name, not_measured=why)
                continue
            began = time.process_time()
            runs.setdefault(name, []).append(_run(made, seed, trained, quick, result))
            same_site[name] = made.same_site
            print(f"worth: {name}, seed {seed}: {time.process_time() - began:.0f} s", flush=True)
    for name, found in runs.items():
        _of_set(name, found, result)
    _over_sets(runs, same_site, result)


def network(
    made: TestSet, seed: int, trained: Dict[Tuple[Any, ...], Tuple[Vocabulary, Weights]], quick: bool
) -> Tuple[Vocabulary, Weights]:
    """The network of a set, trained once for all sets with the same training sessions."""
    from stackyard_detector.detector import training

    key = (len(made.training), sum(map(len, made.training)), *map(tuple, made.training[:3]))
    if key not in trained:
        vocabulary = Vocabulary.from_sessions(made.training)
        kept, held_back = (_encoded(vocabulary, part) for part in (made.training, made.validation))
        # Quality comes from steps: fewer passes over more windows.
        epochs = 1 if quick else 8 if len(kept.values) < 200_000 else 4
        parameters = training.TrainingParameters(
            epochs=epochs, batch_size=256, learning_rate=0.01, frequency_exponent=0.5, seed=seed
        )
        model = training.train(kept, held_back, CONFIG, vocabulary.size, parameters, channel=_Losses())
        trained[key] = vocabulary, model.weights()
    return trained[key]


def _run(
    made: TestSet,
    seed: int,
    trained: Dict[Tuple[Any, ...], Tuple[Vocabulary, Weights]],
    quick: bool,
    result: Result,
) -> Run:
    vocabulary, weights = network(made, seed, trained, quick)
    kept, held_back, test = (
        _encoded(vocabulary, part) for part in (made.training, made.validation, made.test)
    )
    chosen = calibrate(
        kept,
        held_back,
        fast_scoring.session_ranks(weights, held_back),
        vocabulary.size,
        ALLOWED_FALSE_ALARM_RATE,
    )
    ranks = fast_scoring.session_ranks(weights, test)
    starts = [None if start < 0 else int(start) for start in made.attack_starts_at]
    judged = judge(chosen.scores(test, ranks), chosen.thresholds, starts)
    truth = made.labels.astype(bool)
    begins = np.maximum(made.attack_starts_at, 0)
    everyone = np.ones(len(truth), dtype=bool)
    confusions = {name: confusion_of(own, everyone, truth, begins) for name, own in judged.items()}
    limit, counts = chosen.thresholds[COMBINED], confusions[COMBINED]
    expressed = made.same_site and limit.expressible
    lower = lower_rate(counts.false_positives, counts.benign)
    found = judged[COMBINED]
    early = truth & (found.first_alarms >= 0) & (found.first_alarms < made.attack_starts_at)
    run = Run(
        seed,
        {name: curves.average_precision(truth, own.scores) or 0.0 for name, own in judged.items()},
        confusions,
        judged,
        made.labels,
        lower / limit.stated_rate if expressed else None,
        metrics.recall_at_share(found.detections, test.lengths, truth, 0.2, begins),
        int(np.sum(truth & (made.attack_starts_at >= 0))),
        int(early.sum()),
    )
    result.row(
        part="worth",
        set=made.name,
        seed=seed,
        training_sessions=len(kept),
        validation_sessions=len(held_back),
        test_sessions=len(test),
        malicious=int(truth.sum()),
        known_events=vocabulary.size,
        allowed_rate=limit.allowed_rate,
        stated_rate=limit.stated_rate,
        expressible=limit.expressible,
        false_alarm_rate=counts.false_positive_rate,
        recall=counts.recall,
        recall_at_20_percent=run.recall_at_20_percent,
        early_alarms=run.early,
        attacks_with_known_beginning=run.begun,
        k=chosen.k,
        **{f"auprc_{name}": value for name, value in run.auprc.items()},
        **{f"f1_{name}": own.f1 for name, own in confusions.items()},
        **{f"fpr_{name}": own.false_positive_rate for name, own in confusions.items()},
    )
    return run


def best(values: Dict[str, Any], names: Any) -> str:
    """The one of ``names`` with the greatest value."""
    return max(names, key=lambda name: -1.0 if values[name] is None else values[name])


def _of_set(name: str, runs: List[Run], result: Result) -> None:
    """The figures of one set: those of the run with the median area of the combination."""
    run = _median(runs)
    truth = run.labels.astype(bool)
    for figure, part in (("auprc", COMBINED), ("auprc_network", NETWORK), ("auprc_best_baseline", None)):
        part = part or best(run.auprc, BASELINES)
        area = curves.areas(truth, run.judged[part].scores)["auprc"]
        result.figure(f"{figure}_{name}", run.auprc[part], None if area is None else area[1:])
    result.figure(f"f1_{name}", run.confusions[COMBINED].f1, _f1_interval(run, COMBINED))
    baseline = best({name: own.f1 for name, own in run.confusions.items()}, BASELINES)
    result.figure(f"f1_best_baseline_{name}", run.confusions[baseline].f1, _f1_interval(run, baseline))


def _over_sets(runs: Dict[str, List[Run]], same_site: Dict[str, bool], result: Result) -> None:
    if not runs:
        return
    upper: Dict[str, float] = {}
    apart: Dict[str, Dict[str, float]] = {COMBINED: {}, NETWORK: {}}
    for name, found in runs.items():
        run = _median(found)
        parts = [part for part in PARTS if part not in COMBINATIONS]
        strongest = best(run.auprc, parts)
        between = curves.difference(run.labels, run.judged[COMBINED].scores, run.judged[strongest].scores)
        if between is not None:
            upper[name] = between[2]
            result.row(
                part="worth",
                set=name,
                best_part=strongest,
                combined_minus_best_part=between[0],
                interval=between[1:],
            )
        for part, differences in apart.items():
            each = [own.auprc[part] - own.auprc[best(own.auprc, BASELINES)] for own in found]
            differences[name] = statistics.median(each)
    unseen = [name for name in runs if not same_site[name]]
    result.figure("combined_minus_best_part_worst", min(upper.values()) if upper else None)
    for part, differences in apart.items():
        result.figure(f"{part}_minus_best_baseline_median", statistics.median(differences.values()))
        if unseen:
            figure = f"{part}_minus_best_baseline_unseen_sites_median"
            result.figure(figure, statistics.median(differences[name] for name in unseen))
    result.figure("sets_where_network_beats_baselines", sum(value > 0 for value in apart[NETWORK].values()))
    rates = [run.over_stated for found in runs.values() for run in found if run.over_stated is not None]
    result.figure("false_alarm_rate_over_stated_worst", max(rates) if rates else None)
    recalls = [run.recall_at_20_percent for found in runs.values() for run in found]
    defined = [recall for recall in recalls if recall is not None]
    result.figure("recall_at_20_percent_combined", statistics.median(defined) if defined else None)
    begun = sum(run.begun for found in runs.values() for run in found)
    early = sum(run.early for found in runs.values() for run in found)
    result.figure("early_alarm_before_attack_share", early / begun if begun else None)


def _median(runs: List[Run]) -> Run:
    return sorted(runs, key=lambda run: run.auprc[COMBINED])[(len(runs) - 1) // 2]


def _f1_interval(run: Run, part: str) -> Optional[Tuple[float, float]]:
    counts = run.confusions[part]
    return metrics.projected_f1_interval(counts, counts.benign)
