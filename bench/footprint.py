"""What the platform itself uses, at rest and under load: server, services process, agents, and the way of each task.

``python -m bench.footprint [--json FILE] [--seconds N] [--quick]`` starts `stackyard up` in a home of its own, watches
its processes without work, then while tasks go through the queue one after another, and stops it. Memory is PSS, each
page counted by the share of those that map it. CPU is of one core. What runs a task (the agent's execute, the entry
script, the supervisor) stands apart from the workload, which is not the platform's.

Study 003 reports the same of a Kubeflow namespace over seven days; this is minutes, on one machine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.result import Result, arguments

FIGURES = (
    "rest_pss_mb",
    "rest_cpu_percent_of_core",
    "load_pss_mb_mean",
    "load_pss_mb_max",
    "load_cpu_percent_of_core",
    "load_tasks_per_minute",
)
SETTLE_SECONDS = 15.0
INTERVAL_SECONDS = 0.5
#: What a process is, by words of its command line; the first that fits.
PARTS = (
    ("workload", "stackyard_task.child"),
    ("task", "clearml_agent execute"),
    ("task", "dispatched.py"),
    ("task", "clearml-agent execute"),
    ("task", "stackyard_task"),
    ("agents", "clearml_agent daemon"),
    ("services", "stackyard.services"),
    ("web app", "stackyard.cli.main web"),
    ("server", "stackyard_server"),
)
_LOAD = """
name = "footprint"
repeats = 400
time_limit_seconds = 60
[axes]
deployment = ["agent"]
[workloads.tiny]
workload = "simulate-firewall"
parameters = { sessions = 500 }
"""


@dataclass
class Period:
    """What was seen of each part in one period."""

    seconds: float = 0.0
    pss: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    #: CPU seconds per part; of processes that ended between two looks only what the last look saw.
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def pss_sums(self) -> list[int]:
        """The platform's sum per look; the workload is not the platform's."""
        kept = [values for part, values in self.pss.items() if part != "workload"]
        return [sum(values) for values in zip(*kept, strict=True)]

    def cpu_percent(self) -> float:
        """CPU of the platform, 100 = one core."""
        used = sum(seconds for part, seconds in self.cpu.items() if part != "workload")
        return 100 * used / self.seconds


def main() -> None:
    """Measure and print."""
    parser = arguments("footprint", "the platform's own RAM and CPU, at rest and under load")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each period (default 60)")
    given = parser.parse_args()
    seconds = 10.0 if given.quick else given.seconds
    result = Result("footprint", FIGURES)
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        stacks = Path(os.environ.get("STACKYARD_HOME", ".stackyard")).resolve() / "stacks"
        if stacks.is_dir():
            (home / "stacks").symlink_to(stacks)
        environment = {**os.environ, "STACKYARD_HOME": str(home)}
        stackyard = str(Path(sys.executable).with_name("stackyard"))
        ports = ["--web-port", "0", "--api-port", "0", "--files-port", "0"]
        up = subprocess.run(
            [stackyard, "up", *ports],
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        try:
            if up.returncode != 0:
                result.row(not_measured=" ".join(up.stderr.split())[-300:])
            else:
                _measure(result, home, stackyard, environment, seconds)
        finally:
            down = [stackyard, "down"]
            subprocess.run(down, env=environment, capture_output=True, timeout=300, check=False)
    result.finish(given.json)


def _measure(result: Result, home: Path, stackyard: str, environment: dict[str, str], seconds: float) -> None:
    time.sleep(SETTLE_SECONDS)
    rest = _watched(home, seconds)
    file = home / "load.toml"
    file.write_text(_LOAD, encoding="utf-8")
    out = home / "load"
    command = [stackyard, "scenario", "run", str(file), "--out", str(out)]
    # its own process group member of our home's environment, but no part of the platform: it only submits
    load = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(lambda: len(list((out / "runs").glob("*/record.json"))) >= 2, 120)
        before = len(list((out / "runs").glob("*/record.json")))
        busy = _watched(home, seconds, {load.pid})
        done = len(list((out / "runs").glob("*/record.json"))) - before
    finally:
        load.terminate()
        load.wait(120)
    for name, period in (("rest", rest), ("load", busy)):
        for part in sorted(period.pss):
            result.row(
                period=name,
                part=part,
                pss_mb_mean=round(statistics.fmean(period.pss[part]) / 1e6, 1),
                pss_mb_max=round(max(period.pss[part]) / 1e6, 1),
                cpu_percent_of_core=round(100 * period.cpu[part] / period.seconds, 2),
            )
    result.figure("rest_pss_mb", statistics.median(rest.pss_sums()) / 1e6)
    result.figure("rest_cpu_percent_of_core", rest.cpu_percent())
    result.figure("load_pss_mb_mean", statistics.fmean(busy.pss_sums()) / 1e6)
    result.figure("load_pss_mb_max", max(busy.pss_sums()) / 1e6)
    result.figure("load_cpu_percent_of_core", busy.cpu_percent())
    if done:
        result.figure("load_tasks_per_minute", 60 * done / busy.seconds)
    else:
        result.row(not_measured=f"tasks per minute: none ended within {busy.seconds:.0f} s")


def _watched(home: Path, seconds: float, without: set[int] | None = None) -> Period:
    period, begun = Period(), time.monotonic()
    first: dict[psutil.Process, float] = {}
    last: dict[psutil.Process, tuple[str, float]] = {}
    looks = 0
    while (now := time.monotonic()) - begun < seconds:
        sums: dict[str, int] = dict.fromkeys((part for part, _ in PARTS), 0)
        for process, part in _of_home(home, without or set()):
            try:
                times = process.cpu_times()
                sums[part] += int(process.memory_full_info().pss)
            except psutil.Error:
                continue
            used = times.user + times.system
            # a process that was not there at the first look has used all of it in this period
            first.setdefault(process, used if looks == 0 else 0.0)
            last[process] = (part, used)
        for part, value in sums.items():
            period.pss[part].append(value)
        looks += 1
        time.sleep(max(0.0, INTERVAL_SECONDS - (time.monotonic() - now)))
    period.seconds = time.monotonic() - begun
    for process, (part, used) in last.items():
        period.cpu[part] += used - first[process]
    return period


def _of_home(home: Path, without: set[int]) -> list[tuple[psutil.Process, str]]:
    """The processes of the platform in that home, each with what it is."""
    found = []
    mark = str(home)
    for process in psutil.process_iter():
        if process.pid == os.getpid() or process.pid in without:
            continue
        try:
            words = " ".join(process.cmdline())
            if mark not in words and not any(mark in value for value in process.environ().values()):
                continue
        except psutil.Error:
            continue
        part = next((name for name, sign in PARTS if sign in words), "task")
        found.append((process, part))
    return found


def _await(what, seconds: float) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise SystemExit("footprint: no task came back within two minutes")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
