"""How soon a trial ends that breaks a limit: from the moment it says so itself to its last sign of life.

Three limits (RAM, CPU, wall time) are broken by programs that end at once, that ignore SIGTERM, and that leave a forked
process behind; each deployment that this machine has.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any, List, Optional

from bench.result import Ground, NotHere, Result
from bench.tuning import tuner

FIGURES = ("stop_latency_p95_seconds", "stop_latency_p50_seconds", "stops_missed")
SCRIPT = Path(__file__).resolve().parent / "scripts" / "breach.py"
#: Limit of a kind, as the study file has it -> (key, value, what the script is told).
KINDS = {
    "ram": ("max_ram", '"120 MB"', 120e6),
    "cpu": ("max_cpu_seconds", "0.6", 0.6),
    "wall": ("max_wall_seconds", "0.8", 0.8),
}
MANNERS = ("plain", "deaf", "forked")
STUDY = """
name = "stops"
[axes]
deployment = ["{deployment}"]
stack = ["{stack}"]
[workloads.w]
command = ["python3", "breach.py", "--kind", "{kind}", "--limit", "{limit}", "--out", "{{outputs}}"]
arguments = "gnu"
code = "{code}"
metrics = {{ never = "json:never.json#never" }}
[space]
after = {after}
manner = ["plain", "deaf", "forked"]
[objectives]
never = "minimise"
[limits]
{key} = {value}
[search]
sampler = "grid"
"""


def figures(result: Result, quick: bool, ground: Ground, options: Any) -> None:
    """Stop programs at their limits and set the figures."""
    every: List[float] = []
    missed = 0
    for deployment, stack in (("bare", "none"), ("agent", None), ("container", None)):
        try:
            found, lost = _deployment(result, quick, ground, deployment, stack)
        except NotHere as reason:
            result.row(part="stops", deployment=deployment, not_measured=str(reason))
            print(f"  {deployment}: not measured: {reason}", flush=True)
            continue
        every += found
        missed += lost
    if not every:
        raise NotHere("no program was stopped")
    result.figure("stop_latency_p95_seconds", tuner.quantile(every, 0.95))
    result.figure("stop_latency_p50_seconds", statistics.median(every))
    result.figure("stops_missed", float(missed))


def _deployment(
    result: Result, quick: bool, ground: Ground, deployment: str, stack: Optional[str]
) -> "tuple[List[float], int]":
    if stack is None:
        raise NotHere("only what runs on this machine without a server is stopped here; see the tests of deployments")
    every: List[float] = []
    missed = 0
    for kind, (key, value, limit) in KINDS.items():
        ground.check_time(60)
        folder = ground.new(f"stops-{kind}")
        count = 1 if quick else 4
        after = [round(0.3 + 0.17 * number, 2) for number in range(count)]
        text = STUDY.format(
            deployment=deployment, stack=stack, kind=kind, limit=limit, after=json.dumps(after), key=key, value=value,
            code=SCRIPT.parent,
        )
        tuner.run(text, folder, expected=(0, 4))
        for trial in tuner.trials(folder):
            outputs = folder / "study" / trial["folder"] / "outputs"
            try:
                breach = float((outputs / "breach").read_text())
                last = float((outputs / "beats").read_text().split()[-1])
            except (OSError, ValueError, IndexError):
                missed += 1
                continue
            missed += trial["state"] != "stopped"
            every.append(max(0.0, last - breach))
            result.row(
                part="stops", deployment=deployment, kind=kind, manner=trial["parameters"]["manner"],
                latency_seconds=round(last - breach, 3), state=trial["state"],
            )
    print(f"  {deployment}: {len(every)} stops, median {statistics.median(every):.2f} s", file=sys.stderr, flush=True)
    return every, missed
