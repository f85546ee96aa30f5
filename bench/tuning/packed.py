"""Trials an hour, side by side as predicted memory and cores allow against one after the other: one thread each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

from bench.result import Ground, NotHere, Result
from bench.tuning import tuner

FIGURES = ("trials_per_hour_ratio_packed", "packed_out_of_memory", "packed_at_once_most")
SCRIPTS = Path(__file__).resolve().parent / "scripts"
STUDY = """
name = "packed"
[axes]
stack = ["none"]
[workloads.w]
command = ["{python}", "busy.py", "--rounds", "{rounds}", "--out", "{{outputs}}"]
arguments = "gnu"
code = "{code}"
metrics = {{ value = "json:metrics.json#value" }}
[space]
seed = [{seeds}]
megabytes = [50, 200]
[objectives]
value = "maximise"
[limits]
max_ram = "400 MB"
[search]
sampler = "grid"
[packing]
at_once = {at_once}
cores = 1
total_cores = {cores}
"""
#: How long one trial takes, and how many there are of each size.
SECONDS, SEEDS = 30.0, 3


def figures(result: Result, quick: bool, ground: Ground, options: Any) -> None:
    """Run the same trials both ways and set the figures."""
    cores = len(os.sched_getaffinity(0))
    if cores < 2:
        raise NotHere("one core: nothing runs side by side")
    code = ground.new("code")
    code.mkdir(parents=True)
    shutil.copy(SCRIPTS / "busy.py", code)
    shutil.copy(tuner.ROOT / "src" / "stackyard_task" / "report.py", code / "stackyard_report.py")
    rounds = _rounds(code, 3.0 if quick else SECONDS)
    seeds = ", ".join(str(1 + number) for number in range(1 if quick else SEEDS))
    ways: Dict[str, Tuple[float, List[Dict[str, Any]]]] = {}
    for way, at_once in (("one", "1"), ("packed", '"auto"')):
        ground.check_time(SECONDS * SEEDS * 2)
        folder = ground.new(f"packed-{way}")
        text = STUDY.format(
            python=sys.executable, rounds=rounds, code=code, seeds=seeds, at_once=at_once, cores=min(2, cores)
        )
        tuner.run(text, folder, expected=(0, 4))
        trials = tuner.trials(folder)
        begun = min(tuner.instant(trial["started_at"]) for trial in trials)
        took = max(tuner.instant(trial["finished_at"]) for trial in trials) - begun
        ways[way] = (took, trials)
        result.row(
            part="packed",
            way=way,
            trials=len(trials),
            seconds=round(took, 1),
            trial_seconds=[round(trial["used"].get("wall_seconds", 0.0), 1) for trial in trials],
            most_at_once=_most_at_once(trials),
        )
    every = [trial for _, trials in ways.values() for trial in trials]
    lost = [trial for trial in every if trial["state"] != "completed"]
    result.figure("packed_out_of_memory", float(len(lost)))
    result.figure("packed_at_once_most", float(_most_at_once(ways["packed"][1])))
    result.figure("trials_per_hour_ratio_packed", ways["one"][0] / ways["packed"][0])


def _rounds(code: Path, seconds: float) -> int:
    """So many rounds take about so long, alone."""
    begun = time.monotonic()
    words = [sys.executable, "busy.py", "--rounds", "50", "--megabytes", "1", "--out", str(code)]
    subprocess.run(words, cwd=code, check=True)
    return max(1, round(50 * seconds / (time.monotonic() - begun)))


def _most_at_once(trials: List[Dict[str, Any]]) -> int:
    spans = [(tuner.instant(trial["started_at"]), tuner.instant(trial["finished_at"])) for trial in trials]
    return max(sum(a <= begun < b for a, b in spans) for begun, _ in spans)
