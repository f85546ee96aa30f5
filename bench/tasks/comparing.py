"""How long 1,000 tasks with 20 scalars each take to compare, from the first request to the last verdict.

The embedded server runs in a process of its own and holds the tasks: each has a record as a measured task carries it,
20 parameters beside the one that is grouped by, and a script of 6 KB. Figures are the median over repeats; rows say
how long each stage took. Also runs alone: ``python -m bench.tasks.comparing [--quick]``.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from typing import Any

from bench.result import Result
from bench.server import processes
from stackyard.clearml.client import Client
from stackyard.clearml.connection import Connection
from stackyard.comparing import metrics, reading, study
from stackyard.comparing.grouping import Grouping
from stackyard.comparing.selection import Selection
from stackyard.reports.analysis import analyse
from stackyard.reports.report import ReportOptions
from stackyard_task import records
from stackyard_task.records import Environment, Measurement, RunRecord

FIGURES = ("compare_1000_tasks_seconds", "compare_1000_tasks_100_groups_seconds")
TASKS, METRICS, REPEATS = 1_000, 20, 9
#: Parameter -> how many values the tasks have of it: groups of 100 tasks, and of 10.
KEYS = {"Args/lr": 10, "Args/net": 100}
PROJECT = "Compared"


def figures(result: Result, quick: bool, _place: Any = None, _options: Any = None) -> None:
    """Make the tasks, compare them by either key."""
    tasks, repeats = (200, 3) if quick else (TASKS, REPEATS)
    with processes.ours() as server:
        # no file is asked for: the records are whole in what the server shows of them
        place = Connection(server.api, server.api, server.api, server.access_key, server.secret_key)
        with Client(place) as client:
            make(client, tasks)
            for figure, key in zip(FIGURES, KEYS, strict=True):
                runs = [compare(client, key) for _ in range(repeats)]
                whole = [sum(run.values()) for run in runs]
                result.figure(figure, statistics.median(whole), (min(whole), max(whole)))
                for run in runs:
                    result.row(key=key, tasks=tasks, metrics=METRICS, **run)


def make(client: Client, tasks: int) -> None:
    """Put the tasks on the server."""
    generator = random.Random(12)
    project = client.call("projects.create", name=PROJECT, description="")["id"]
    script = {"entry_point": "train.py", "diff": "x = 1\n" * 1_000}
    lines: list[dict[str, Any]] = []
    for number in range(tasks):
        given = {
            "lr": number % KEYS["Args/lr"] / 100,
            "net": number % KEYS["Args/net"],
            "seed": number,
            **dict.fromkeys((f"p{n}" for n in range(20)), 1),
        }
        parameters = {n: {"section": "Args", "name": n, "value": str(v)} for n, v in given.items()}
        id = client.call(
            "tasks.create",
            name="train",
            project=project,
            type="training",
            hyperparams={"Args": parameters},
            script=script,
        )["id"]
        client.call("tasks.started", task=id)
        artifact = {
            "key": "record",
            "type": "JSON",
            "mode": "output",
            "uri": f"{client.connection.files}/none",
        }
        text = json.dumps(records.to_json(_record(id, 10 + generator.random())), indent=1)
        client.call(
            "tasks.add_or_update_artifacts", task=id, artifacts=[{**artifact, "type_data": {"preview": text}}]
        )
        for variant in range(METRICS):
            value = 1 + generator.random() + number % KEYS["Args/lr"] / 10
            event = {"type": "training_stats_scalar", "task": id, "metric": "m", "variant": f"v{variant}"}
            lines += [{**event, "iter": step, "value": value / (step + 1)} for step in range(2)]
        if len(lines) > 4_000 or number == tasks - 1:
            client.call_lines("events.add_batch", lines)
            lines = []
        client.call("tasks.completed", task=id)


def _record(id: str, wall: float) -> RunRecord:
    return RunRecord(
        run_id=id,
        workload="train",
        status="completed",
        started_at="2026-11-30T12:00:00+00:00",
        finished_at="2026-11-30T12:00:10+00:00",
        measurement=Measurement(
            wall_seconds=wall,
            steady_seconds=wall * 0.9,
            startup_seconds=wall * 0.1,
            cpu_seconds=wall * 0.95,
            cpu_method="cgroup v2 cpu.stat",
            peak_rss_bytes=int(wall * 4e7),
            peak_rss_method="cgroup v2 rss + mapped",
        ),
        environment=Environment(
            host="yard", cpu_model="a CPU", stack="torch-2.13.0-cpu", stack_digest="0" * 64
        ),
    )


def compare(client: Client, key: str) -> dict[str, float]:
    """Seconds of each stage of one comparison."""
    asked = [metrics.wanted(f"m/v{n}:min") for n in range(METRICS)]
    at = [time.perf_counter()]
    found = reading.read([client], Selection(PROJECT), asked)
    at.append(time.perf_counter())
    made, options = study.study(found, Grouping([key]), asked, ReportOptions(), lambda: [])
    at.append(time.perf_counter())
    report = analyse(made, options, rows=False)
    at.append(time.perf_counter())
    if len(report.metrics) != METRICS or not report.workloads[0].comparisons:
        raise RuntimeError("not everything was compared")
    names = ("read_seconds", "study_seconds", "analyse_seconds")
    return {name: end - begin for name, begin, end in zip(names, at, at[1:])}


def main() -> None:
    """Parse the options, measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="200 tasks, three times")
    options = parser.parse_args()
    result = Result("tasks", FIGURES)
    figures(result, options.quick)
    result.finish(options.json)


if __name__ == "__main__":
    main()
