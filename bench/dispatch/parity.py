"""Whether the way a run is started changes its work: steady wall against bare, in randomised blocks.

``parity_agent_ratio``, ``parity_container_ratio``: median over blocks of the ratio within the block, with its interval
(``stackyard.reports.statistics``), allocator tunables on, one thread, so that server, agent and supervisor have a core
to themselves. Each block makes one run of each deployment.
"""

from __future__ import annotations

import random
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.dispatch.yard import yard
from bench.result import NotHere, Result
from stackyard.reports.statistics import paired_ratio
from stackyard_task.records import TaskSpec
from tests.stackyard_detector.declared import WORKLOADS

FIGURES = ("parity_agent_ratio", "parity_container_ratio")
BLOCKS = 12


def figures(result: Result, quick: bool, options: Any) -> None:
    """Measure blocks of bare, agent and container."""
    blocks = 2 if quick else max(10, options.blocks)
    steady: dict[str, list[float]] = {"bare": [], "agent": [], "container": []}
    reasons: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch, yard(Path(scratch)) as here, ExitStack() as stack:
        launchers = {"bare": here.launcher("bare")}
        for name in ("agent", "container"):
            try:
                stack.enter_context(here.agent(name))
                launchers[name] = here.launcher(name)
            except NotHere as reason:
                reasons[name] = str(reason)
        data = _data(here, launchers["bare"])
        order = random.Random(1)
        for block in range(-1, blocks):  # the first one warms up
            for name in order.sample(sorted(launchers), len(launchers)):
                record = here.run(launchers[name], _task(here, data, quick))
                if block >= 0:
                    steady[name].append(record.measurement.steady_seconds or 0.0)
    for name in ("agent", "container"):
        figure = f"parity_{name}_ratio"
        if name in reasons:
            result.row(figure=figure, not_measured=reasons[name])
            continue
        ratio = paired_ratio(steady["bare"], steady[name])
        found = None if ratio.low is None or ratio.high is None else (ratio.low, ratio.high)
        result.figure(figure, ratio.ratio, found)
        result.row(figure=figure, n=ratio.n, verdict=ratio.verdict)
    for name, seconds in steady.items():
        result.row(deployment=name, steady_seconds=[round(s, 3) for s in seconds])


def _data(here: Any, launcher: Any) -> str:
    """Simulated sessions to train on, made once."""
    task = TaskSpec(
        "data",
        "simulate-firewall",
        {"sessions": 1500},
        WORKLOADS["simulate-firewall"],
        stack=here.pin(checked=False),
    )
    here.run(launcher, task)
    return str(here.newest / "outputs" / "benign.txt")


def _task(here: Any, data: str, quick: bool) -> TaskSpec:
    return TaskSpec(
        "parity",
        "detector-train",
        {
            "data": {"sources": [{"path": data, "format": "sequences", "label": 0}]},
            "epochs": 1 if quick else 4,
            "hidden_size": 64,
        },
        WORKLOADS["detector-train"],
        stack=here.pin(checked=True),
        threads=1,
        environment={**here.stack.environment, **here.stack.tunables, "CUDA_VISIBLE_DEVICES": ""},
        measure="alike",
    )
