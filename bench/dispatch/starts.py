"""How soon an agent takes a task, and how soon the task's own code runs; the agent's default way beside ours.

``pickup_p50_seconds``: into the queue -> taken, the agent idle and the task put in at a random moment of its polling.
``agent_start_p50_seconds``, ``container_start_p50_seconds``: taken -> first line of the entry script, stack prebuilt.
``*_ratio_default``: how many times longer an agent with ClearML's own defaults takes for the same way. It makes an
environment for each task; ours asks it for nothing but clearml and numpy, far less than a stack.
"""

from __future__ import annotations

import os
import random
import re
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.dispatch.yard import Yard, running, wait_for_worker, yard
from bench.result import NotHere, Result
from stackyard.reports.statistics import bootstrap_medians
from stackyard_task.records import Dispatch

FIGURES = (
    "pickup_p50_seconds",
    "agent_start_p50_seconds",
    "agent_start_ratio_default",
    "container_start_p50_seconds",
    "container_start_ratio_default",
)
#: The default way may take minutes; so long is waited for it.
DEFAULT_SECONDS = 420.0
#: Named by the task as a user's would be.
REQUIREMENTS = "clearml\nnumpy\n"
SCRIPT = 'import time\nprint(f"BEGUN {time.time():.3f}", flush=True)\n'


def figures(result: Result, quick: bool, options: Any) -> None:
    """Measure the starts of both deployments."""
    count, defaults = (4, 1) if quick else (20, 3)
    pickups: list[float] = []
    with tempfile.TemporaryDirectory() as scratch, yard(Path(scratch)) as here:
        for deployment in ("agent", "container"):
            name = f"{deployment}_start_p50_seconds"
            try:
                with here.agent(deployment):
                    launcher = here.launcher(deployment)
                    here.run(launcher, here.tiny())  # the first one fetches the code
                    ways = [_way(here, launcher) for _ in range(count)]
            except NotHere as reason:
                result.row(figure=name, not_measured=str(reason))
                continue
            pickups += [between(way.enqueued_at, way.pulled_at) for way in ways]
            starts = [between(way.pulled_at, way.user_code_at) for way in ways]
            result.figure(name, statistics.median(starts), interval(starts))
            result.row(figure=name, n=len(starts), seconds=[round(s, 3) for s in sorted(starts)])
        if pickups:
            result.figure("pickup_p50_seconds", statistics.median(pickups), interval(pickups))
            result.row(
                figure="pickup_p50_seconds", n=len(pickups), seconds=[round(s, 3) for s in sorted(pickups)]
            )
        for deployment in ("agent", "container"):
            name, ours = (
                f"{deployment}_start_ratio_default",
                result.figures[f"{deployment}_start_p50_seconds"],
            )
            try:
                if ours is None:
                    raise NotHere("our own way was not measured")
                theirs = default_starts(here, deployment, defaults)
            except NotHere as reason:
                result.row(figure=name, not_measured=str(reason))
                continue
            result.figure(name, statistics.median(theirs) / ours)
            result.row(figure=name, n=len(theirs), default_seconds=[round(s, 2) for s in theirs])


def _way(here: Yard, launcher: Any) -> Dispatch:
    time.sleep(random.uniform(0.0, 0.5))
    way = here.run(launcher, here.tiny()).dispatch
    if way is None or way.user_code_at is None:
        raise NotHere("a run told nothing of its way")
    return way


def default_starts(here: Yard, deployment: str, count: int) -> list[float]:
    """Taken -> first line, with an agent that is configured as ClearML's manual begins.

    Raises:
        NotHere: it did not get there.
    """
    image, engine = None, []
    if deployment == "container":
        image = os.environ.get("STACKYARD_BENCH_DEFAULT_IMAGE")
        if not image:
            raise NotHere(
                "set STACKYARD_BENCH_DEFAULT_IMAGE to a plain Python image, such as python:3.11-slim"
            )
        here.image()  # an engine answers
        engine = os.environ.get("STACKYARD_BENCH_DEFAULT_ARGUMENTS", "").split()
    queue = f"default-{deployment}"
    home = here.home / queue
    home.mkdir()
    conf = home / "clearml.conf"
    connection = here.connection()
    listed = ", ".join(f'"{word}"' for word in ["--network", "host", *engine])
    conf.write_text(
        f'api {{ api_server: "{connection.api}", web_server: "{connection.web}", files_server: "{connection.files}"\n'
        f'credentials {{ access_key: "{connection.access_key}", secret_key: "{connection.secret_key}" }} }}\n'
        f'agent {{ worker_id: "{queue}", disable_ssh_mount: true, extra_docker_arguments: [{listed}] }}\n'
    )
    conf.chmod(0o600)
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("CLEARML", "PYTHON", "STACKYARD"))
    }
    environment.update(HOME=str(home), TMPDIR=str(home), CLEARML_CONFIG_FILE=str(conf))
    command = [
        sys.executable,
        "-m",
        "clearml_agent",
        "daemon",
        "--queue",
        queue,
        "--create-queue",
        "--cpu-only",
        "--foreground",
    ]
    command += ["--docker", image] if image else []
    found = []
    with running(command, environment, home):
        wait_for_worker(here.client, queue)
        for _ in range(count):
            found.append(_default_start(here, queue, image))
    return found


def _default_start(here: Yard, queue: str, image: str | None) -> float:
    client = here.client
    script = {
        "binary": "python3",
        "entry_point": "script.py",
        "working_dir": ".",
        "repository": "",
        "diff": SCRIPT,
        "requirements": {"pip": REQUIREMENTS},
    }
    more = {"container": {"image": image}} if image else {}
    id = client.call("tasks.create", name="default", type="training", script=script, **more)["id"]
    client.call("tasks.enqueue", task=id, queue_name=queue)
    deadline = time.monotonic() + DEFAULT_SECONDS
    while True:
        task = client.call("tasks.get_by_id", task=id)["task"]
        if task["status"] in ("completed", "failed", "stopped"):
            break
        if time.monotonic() > deadline:
            client.call("tasks.stopped", task=id, force=True)
            raise NotHere(f"the default way was not at the first line after {DEFAULT_SECONDS:g} s")
        time.sleep(0.25)
    time.sleep(1.0)  # the agent's last lines
    events = client.call("events.get_task_log", task=id, order="asc", batch_size=2000)["events"]
    text = "".join(event["msg"] for event in events)
    begun = re.search(r"BEGUN (\d+\.\d+)", text)
    if begun is None:
        raise NotHere(f"the default way ended as {task['status']}: {' '.join(text.split())[-200:]}")
    return float(begun[1]) - datetime.fromisoformat(task["started"]).timestamp()


def between(earlier: str | None, later: str | None) -> float:
    """Seconds between two instants."""
    if earlier is None or later is None:
        raise NotHere("an instant was not recorded")
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def interval(values: list[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    medians = sorted(bootstrap_medians(values, 10_000, 1))
    return float(medians[250]), float(medians[9749])
