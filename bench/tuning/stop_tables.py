"""Cost until a table is solved, ours over theirs: see ``tables`` and ``replay`` for what is counted and how.

Our sampler's constants were chosen on six of the final-value tables (``DEVELOPED_ON``) and six other tasks of lcbench,
with seeds from 1000; those here are from 0. Our pruner compares from the third completed trial on and has no warm-up;
a study file that says nothing has the fifth, and 1 s of CPU. A run that is not solved within the budget counts with
the budget, ours and theirs. On lcbench Optuna takes minutes for as many trials as the budget allows, so it is ended
after 400 there; such a run counts with the budget too. How much that may favour us is shown:
``budget_ratio_optuna_at_its_best`` takes each such run of Optuna to be solved at the very moment it was ended.
"""

from __future__ import annotations

import math
import os
import queue
import random
import threading
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from bench.result import Ground, NotHere, Result, data_folder
from bench.tuning import environments
from bench.tuning.kept_runs import KeptRuns
from bench.tuning.replay import BUDGET_TRIALS, SOLVED

FINAL = [name for family in ("hpobench", "hpolib", "nasbench201") for name in environments.names_of(family)]
DEVELOPED_ON = (
    "hpobench-car",
    "hpobench-segment",
    "hpobench-vehicle",
    "hpolib-parkinsons_telemonitoring",
    "hpolib-slice_localization",
    "nasbench201-cifar10",
)
#: Every sixth task of the surrogate; none of them was developed on.
LCBENCH = [f"lcbench-{task}" for task in ("3945", "146212", "167181", "168329", "168910", "189905")]
PEERS: Dict[str, List[str]] = {"optuna": [*FINAL, *LCBENCH], "syne": LCBENCH, "ray": LCBENCH}
#: Tables on which Optuna is shown without the stop as well.
WITHOUT_STOP = ("hpolib-naval_propulsion", "hpolib-slice_localization")
#: Trials after which runs on lcbench are ended.
_MOST_ON_LCBENCH = {"optuna": 400, "ours": 1500, "random": 3000, "syne": 6000, "ray": 6000}
_MOST_ON_FINAL = 1500
SEEDS, QUICK_SEEDS = 20, 2
_RESAMPLES = 4000

FIGURES = [
    *(f"budget_ratio_{peer}" for peer in PEERS),
    "budget_ratio_optuna_at_its_best",
    "budget_ratio_optuna_tables_not_developed_on",
    "worst_table_ratio",
    "tables_above_105_percent",
]

Runs = Dict[Tuple[str, str, int], Dict[str, Any]]


def figures(result: Result, quick: bool, ground: Ground, options: Any) -> None:
    """Replay, and compare; in what time is left, the seeds one after the other."""
    until = ground.until
    folder = environments.cache()
    data = data_folder(None)
    lcbench = None if data is None else data / "yahpo_lcbench"
    courses: Sequence[str] = LCBENCH
    if lcbench is None or not (lcbench / "model.onnx").exists():
        result.row(part="stop_tables", not_measured="the lcbench surrogate is not in $STACKYARD_DATA")
        lcbench, courses = None, ()
    else:
        environments.measure_lcbench(folder, lcbench, [n.partition("-")[2] for n in courses])
    jobs = []
    for seed in range(QUICK_SEEDS if quick else SEEDS):
        for tuner in ("ours", "random", *PEERS):
            for table in (*FINAL, *courses):
                if table in PEERS.get(tuner, (*FINAL, *LCBENCH)) and not (
                    quick and table not in (*DEVELOPED_ON[3:], *LCBENCH[:2])
                ):
                    jobs.append({"tuner": tuner, "table": table, "seed": seed, "with_stop": True})
        if seed < SEEDS // 2:
            jobs += [
                {"tuner": "optuna", "table": table, "seed": seed, "with_stop": False}
                for table in WITHOUT_STOP
                if not quick
            ]
    for job in jobs:
        on_courses = str(job["table"]).startswith("lcbench-")
        job["most_trials"] = _MOST_ON_LCBENCH[str(job["tuner"])] if on_courses else _MOST_ON_FINAL
    done = _worked(jobs, folder, lcbench, until)
    runs: Runs = {(r["tuner"], r["table"], r["seed"]): r for r in done if r["with_stop"]}
    result.row(
        part="stop_tables",
        jobs=len(jobs),
        done=len(done),
        note=None if len(done) == len(jobs) else "time was up",
    )
    if not runs:
        raise NotHere("no run was done in the time")
    _write(result, runs, [r for r in done if not r["with_stop"]])


def _worked(jobs: Sequence[Dict[str, Any]], folder: Any, lcbench: Any, until: float) -> List[Dict[str, Any]]:
    """The jobs that were done in time, on all cores, in order."""
    waiting: queue.Queue[Dict[str, Any]] = queue.Queue()
    kept = KeptRuns(folder)
    found: List[Dict[str, Any]] = []
    for job in jobs:
        before = kept.find(job)
        if before is None:
            waiting.put(job)
        else:
            found.append(before)
    for tuner in sorted({job["tuner"] for job in jobs}):
        environments.python(tuner)

    def work() -> None:
        workers: Dict[str, environments.Worker] = {}
        try:
            while time.monotonic() < until:
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                tuner = job["tuner"]
                if tuner not in workers:
                    workers[tuner] = environments.Worker(tuner, folder, lcbench)
                done = workers[tuner].done(job, until - time.monotonic() + 15)
                if done is None:
                    workers.pop(tuner).end()
                else:
                    kept.keep(done)
                    found.append(done)
        finally:
            for worker in workers.values():
                worker.end()

    threads = [threading.Thread(target=work) for _ in range(min(2, os.cpu_count() or 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def counted(run: Dict[str, Any], regret: float = SOLVED, at_its_best: bool = False) -> float:
    """What a run counts with: its cost until solved, else the budget.

    Args:
        run: as a worker tells it.
        regret: at which it is solved.
        at_its_best: a run that was ended before its budget was used up is taken to be solved at that moment.
    """
    budget = float(BUDGET_TRIALS)
    unsolved = min(float(run["cost"]), budget) if at_its_best else budget
    return next(
        (float(cost) for cost, reached in run["course"] if reached <= regret and cost < budget), unsolved
    )


def pairs(
    runs: Runs, peer: str, table: str, regret: float = SOLVED, at_its_best: bool = False
) -> List[float]:
    """Logarithms of ours over theirs, one a seed that both have; ``at_its_best``: of the peer, see ``counted``."""
    found = []
    for (tuner, name, seed), own in sorted(runs.items()):
        other = runs.get((peer, table, seed))
        if tuner == "ours" and name == table and other is not None:
            found.append(math.log(counted(own, regret) / counted(other, regret, at_its_best)))
    return found


def ratio(held: Sequence[Sequence[float]]) -> Tuple[Optional[float], Optional[List[float]]]:
    """Geometric mean over tables, and its 95 % interval over tables and seeds drawn again (percentile bootstrap)."""
    held = [logs for logs in held if logs]
    if not held:
        return None, None
    dice = random.Random(0)
    means = []
    for _ in range(_RESAMPLES):
        total = 0.0
        for _ in held:
            logs = dice.choice(held)
            total += sum(dice.choices(logs, k=len(logs))) / len(logs)
        means.append(total / len(held))
    means.sort()
    middle = sum(sum(logs) / len(logs) for logs in held) / len(held)
    ends = [math.exp(means[int(_RESAMPLES * share)]) for share in (0.025, 0.975)]
    return math.exp(middle), ends


def _write(result: Result, runs: Runs, without: Sequence[Dict[str, Any]]) -> None:
    worst: List[float] = []
    for peer, names in PEERS.items():
        held = {table: pairs(runs, peer, table) for table in names}
        value, ends = ratio(list(held.values()))
        result.figure(f"budget_ratio_{peer}", value, ends)
        for table, logs in held.items():
            if not logs:
                continue
            own, low_high = ratio([logs])
            assert own is not None
            worst.append(own)
            result.row(
                part="stop_tables",
                peer=peer,
                table=table,
                developed_on=table in DEVELOPED_ON,
                seeds=len(logs),
                ratio=own,
                interval=low_high,
                ratio_to_5_percent=ratio([pairs(runs, peer, table, 0.05)])[0],
                **_of(runs, "ours", table),
                **_of(runs, peer, table, "peer_"),
                **_of(runs, "random", table, "random_"),
            )
    value, ends = ratio([pairs(runs, "optuna", table, at_its_best=True) for table in PEERS["optuna"]])
    result.figure("budget_ratio_optuna_at_its_best", value, ends)
    fresh = [pairs(runs, "optuna", table) for table in (*FINAL, *LCBENCH) if table not in DEVELOPED_ON]
    value, ends = ratio(fresh)
    result.figure("budget_ratio_optuna_tables_not_developed_on", value, ends)
    result.figure("worst_table_ratio", max(worst) if worst else None)
    result.figure("tables_above_105_percent", float(sum(own > 1.05 for own in worst)) if worst else None)
    for table in WITHOUT_STOP:
        mine = [r for r in without if r["table"] == table and ("optuna", table, r["seed"]) in runs]
        if mine:
            logs = [math.log(counted(runs["optuna", table, r["seed"]]) / counted(r)) for r in mine]
            result.row(
                part="stop_tables",
                peer="optuna",
                table=table,
                with_over_without_stop=ratio([logs])[0],
                seeds=len(logs),
            )


def _of(runs: Runs, tuner: str, table: str, prefix: str = "") -> Dict[str, Any]:
    own = [run for (name, of, _), run in runs.items() if name == tuner and of == table]
    if not own:
        return {}
    costs = sorted(counted(run) for run in own)
    return {
        f"{prefix}solved_share": sum(any(r <= SOLVED for _, r in run["course"]) for run in own) / len(own),
        f"{prefix}median_cost": costs[len(costs) // 2],
        f"{prefix}trials": sum(run["trials"] for run in own) / len(own),
        f"{prefix}seconds": sum(run["seconds"] for run in own) / len(own),
    }
