"""Predictions, skipping, overhead and savings on real trials: a linear model learns MNIST by mini-batches.

One study without a limit shows how near predictions come, and what each limit would have saved. A second one, whose
limit is the third quartile of the first one's cost, skips what will not fit; half of the skipped is run all the same.
"""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple

from bench.result import Ground, NotHere, Result, data_folder
from bench.tuning import tuner
from stackyard.tuning.folder import StudyFolder
from stackyard.tuning.prediction import accuracy
from stackyard.tuning.trial import Trial

FIGURES = (
    "predicted_memory_error_percent",
    "predicted_memory_error_p90_percent",
    "predicted_cost_error_percent",
    "predicted_cost_error_p90_percent",
    "live_interval_coverage_percent",
    "live_predictions",
    "live_skipped_wrongly_percent",
    "live_skipped_checked",
    "overhead_per_trial_seconds",
    "budget_saved_percent",
)
STACK = "sklearn-1.9.1-cpu"
STUDY = """
name = "live"
[axes]
stack = ["{stack}"]
threads = [1]
[data.mnist]
sources = [{sources}]
[workloads.sgd]
workload = "sgd-train"
parameters = {{ data = "data:mnist" }}
[space]
batch_size = [30, 100, 300, 1000, 3000]
learning_rate = {{ low = 1e-4, high = 0.1, log = true }}
algorithm = ["svm", "perceptron", "logistic-regression"]
epochs = {{ low = 2, high = 8 }}
[objectives]
accuracy = "maximise"
[limits]
max_ram = "4 GB"
{limit}
[budget]
trials = {trials}
[search]
sampler = "random"
seed = {seed}
skip = {skip}
"""
#: Quantiles of the cost at which a limit is tried on the first study.
_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
#: What a trial uses until it is stopped beyond its limit: the least that is charged, as a share of its cost.
_STOPPED_LATE = 0.02


def figures(result: Result, quick: bool, ground: Ground, options: Any) -> None:
    """Search twice and set the figures."""
    sources = _sources()
    trials = _searched(ground, sources, "", 4 if quick else 44, 1, skip=False)
    completed = [trial for trial in trials if trial.state == "completed"]
    if len(completed) < 2:
        raise NotHere("no two trials completed")
    for quantity, name in (("ram_bytes", "memory"), ("cpu_seconds", "cost")):
        found = accuracy.of_quantity(trials, quantity, early=True)
        result.figure(f"predicted_{name}_error_percent", found.median_error_percent)
        result.figure(f"predicted_{name}_error_p90_percent", found.p90_error_percent)
    decided, held = _coverage(result, trials)
    result.figure("live_predictions", float(decided))
    result.figure("live_interval_coverage_percent", 100 * held / decided if decided else None)
    beyond = [trial.overhead_seconds for trial in trials if trial.overhead_seconds is not None]
    result.figure("overhead_per_trial_seconds", statistics.median(beyond))
    costs = sorted(trial.used["cpu_seconds"] for trial in completed)
    for share in _SHARES:
        limit = tuner.quantile(costs, share)
        saved, regret = _saved(completed, limit)
        result.row(
            part="live", limit_quantile=share, saved_percent=round(saved, 1), accuracy_lost=round(regret, 4)
        )
        if share == 0.75:
            result.figure("budget_saved_percent", saved)
    ground.check_time(120)
    limit = tuner.quantile(costs, 0.75)
    second = _searched(ground, sources, f"max_cpu_seconds = {limit:.3f}", 6 if quick else 60, 2, skip=True)
    skipped = accuracy.of_skipped(second)
    result.figure("live_skipped_checked", float(skipped.checked))
    result.figure("live_skipped_wrongly_percent", skipped.wrongly_percent)
    states = {
        state: sum(trial.state == state for trial in second) for state in ("completed", "stopped", "skipped")
    }
    result.row(part="live", study="with a limit", limit_cpu_seconds=round(limit, 2), **states)


def _sources() -> str:
    """The data as a study file names it.

    Raises:
        NotHere: it is not on this machine.
    """
    folder = data_folder(None)
    place = None if folder is None else folder / "mnist"
    if place is None or not (place / "train-images-idx3-ubyte.xz").is_file():
        raise NotHere("MNIST is not in the folder of data sets")
    pairs = (("train-images-idx3-ubyte.xz", "train-labels-idx1-ubyte.gz"),)
    told = [
        f"{{ path = {json.dumps(str(place / images))}, labels_path = {json.dumps(str(place / labels))}, "
        'preset = "mnist-784" }'
        for images, labels in pairs
    ]
    return ", ".join(told)


def _searched(ground: Ground, sources: str, limit: str, trials: int, seed: int, skip: bool) -> List[Trial]:
    folder = ground.new("live")
    skips = "true\ncheck_share = 0.5" if skip else "false"
    text = STUDY.format(stack=STACK, sources=sources, limit=limit, trials=trials, seed=seed, skip=skips)
    tuner.run(text, folder, expected=(0, 3, 4))
    if not (folder / "study" / "study.json").exists():
        raise NotHere(f"the study did not begin: is {STACK} built? build it: stackyard stack build {STACK}")
    return StudyFolder(Path(folder / "study")).trials()


def _coverage(result: Result, trials: Sequence[Trial]) -> Tuple[int, int]:
    """Predictions of which is known whether their bounds held, and how many did; a row for each kind."""
    decided = held = 0
    for early in (False, True):
        for found in accuracy.table(trials, early):
            share = found.coverage_percent
            decided += found.decided
            held += round((share or 0.0) * found.decided / 100)
            result.row(
                part="live",
                quantity=found.quantity,
                when="after 5 %" if early else "before",
                trials=found.trials,
                median_error_percent=_short(found.median_error_percent),
                p90_error_percent=_short(found.p90_error_percent),
                coverage_percent=_short(share),
            )
    return decided, held


def _saved(trials: Sequence[Trial], limit: float) -> Tuple[float, float]:
    """Percent of the CPU time that a limit on it saves, and by how much the best inside it is worse."""
    whole = math.fsum(trial.used["cpu_seconds"] for trial in trials)
    spent = math.fsum(min(trial.used["cpu_seconds"], limit * (1 + _STOPPED_LATE)) for trial in trials)
    best = max(trial.values["accuracy"] for trial in trials)
    inside = [trial.values["accuracy"] for trial in trials if trial.used["cpu_seconds"] <= limit]
    return 100 * (1 - spent / whole), best - max(inside)


def _short(value: Optional[float]) -> Optional[float]:
    return None if value is None else round(value, 2)
