"""How soon a trial ends that breaks a limit: from the moment it says so itself to its last sign of life.

Three limits (RAM, CPU, wall time) are broken by programs that end at once, that ignore SIGTERM, and that leave a forked
process behind; each deployment that this machine has.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

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
#: What agents run the programs on.
STACK = "torch-2.13.0-cpu"
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
    for deployment in ("bare", "agent", "container"):
        try:
            with _installation(deployment, ground) as variables:
                found, lost = _deployment(result, quick, ground, deployment, variables)
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


@contextlib.contextmanager
def _installation(deployment: str, ground: Ground) -> Iterator[Optional[Dict[str, str]]]:
    """A server with an agent where a deployment needs them; answers the environment of its commands."""
    if deployment == "bare":
        yield None
        return
    from stackyard.machine.docker_engine import obstacle
    from stackyard.settings import Settings
    from stackyard.stacks import images
    from tests.installation.lab import lab

    settings = Settings.from_environment()
    if deployment == "container":
        reason = obstacle()
        if reason or STACK not in images.recorded(settings):
            raise NotHere(reason or f"no image of {STACK}; make one: stackyard stack image build {STACK}")
    if not any((settings.home / "stacks").glob(f"{STACK}-*")):
        raise NotHere(f"{STACK} is not built; build it: stackyard stack build {STACK}")
    home = ground.new("home")
    home.mkdir(parents=True)
    for name in ("stacks", "images.json"):
        if (settings.home / name).exists():
            (home / name).symlink_to((settings.home / name).resolve())
    with lab(home, containers=1 if deployment == "container" else 0) as made:
        yield made.variables


def _deployment(
    result: Result, quick: bool, ground: Ground, deployment: str, variables: Optional[Dict[str, str]]
) -> Tuple[List[float], int]:
    """Latencies of one deployment's stops, and the programs that nobody stopped."""
    stack = "none" if variables is None else STACK
    every: List[float] = []
    missed = 0
    for kind, (key, value, limit) in KINDS.items():
        ground.check_time(60)
        folder = ground.new(f"stops-{kind}")
        count = 1 if quick else 4 if deployment == "bare" else 2
        after = [round(0.3 + 0.17 * number, 2) for number in range(count)]
        text = STUDY.format(
            deployment=deployment,
            stack=stack,
            kind=kind,
            limit=limit,
            after=json.dumps(after),
            key=key,
            value=value,
            code=SCRIPT.parent,
        )
        tuner.run(text, folder, expected=(0, 4), variables=variables)
        for trial in tuner.trials(folder):
            outputs = folder / "study" / trial["folder"] / "outputs"
            missed += trial["state"] != "stopped"
            last = float((outputs / "beats").read_text().split()[-1])
            try:
                latency = max(0.0, last - float((outputs / "breach").read_text()))
            except (
                OSError
            ):  # what it used before its first line counts too: it was ended before it saw the limit itself
                latency = 0.0
            every.append(latency)
            result.row(
                part="stops",
                deployment=deployment,
                kind=kind,
                manner=trial["parameters"]["manner"],
                latency_seconds=round(latency, 3),
                state=trial["state"],
            )
    print(
        f"  {deployment}: {len(every)} stops, median {statistics.median(every):.2f} s",
        file=sys.stderr,
        flush=True,
    )
    return every, missed
