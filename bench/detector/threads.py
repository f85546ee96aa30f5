"""What a quota and a busy machine do to training: threads follow the cgroup quota, waiting threads sleep.

Real runs under the supervisor, with the tunables of the default stack as their environment:

- ``quota_half_slowdown``: steady seconds at half a core over steady seconds at one (2 would be ideal);
- ``busy_slowdown``: steady seconds with one burner per core beside it over steady seconds without, both with
  all cores and as many threads.

The machine should be otherwise idle; the share of it that others used is in the rows. Standard library only.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from bench.detector import hdfs
from bench.result import Result
from stackyard_task.records import RECORD_FILE, TASK_FILE, Limits, TaskSpec, write_json
from tests.stackyard_detector.declared import WORKLOADS

FIGURES = ("quota_half_slowdown", "busy_slowdown")
STACK_FILE = Path(__file__).resolve().parent.parent.parent / "agents/stacks/torch-2.13.0-cpu/stack.toml"


def figures(data_folder: Path, result: Result, quick: bool = False) -> None:
    """Measure both figures and put them into ``result``; ``quick``: one repeat instead of five."""
    for name in FIGURES:
        result.figures.setdefault(name, None)
    tunables = _tunables()
    result.row(part="threads", tunables=tunables)
    quota: List[float] = []
    busy: List[float] = []
    for repeat in range(1 if quick else 5):
        one = _run(data_folder, result, repeat, "one core", tunables, cores=1.0)
        half = _run(data_folder, result, repeat, "half a core", tunables, cores=0.5)
        free = _run(data_folder, result, repeat, "all cores, free", tunables)
        with _burners(len(os.sched_getaffinity(0))):
            crowded = _run(data_folder, result, repeat, "all cores, busy", tunables)
        if one is not None and half is not None:
            quota.append(half / one)
        if free is not None and crowded is not None:
            busy.append(crowded / free)
    for name, values in (("quota_half_slowdown", quota), ("busy_slowdown", busy)):
        if values:
            interval = (min(values), max(values)) if len(values) > 1 else None
            result.figure(name, statistics.median(values), interval)


def _run(
    data_folder: Path,
    result: Result,
    repeat: int,
    case: str,
    tunables: Dict[str, str],
    cores: Optional[float] = None,
) -> Optional[float]:
    """Steady seconds of one training run; ``None``, with the reason as a row, where it failed."""
    path = str(hdfs.path_of(data_folder, hdfs.TRAIN))
    spec = TaskSpec(
        run_id="bench",
        workload="detector-train",
        declared=WORKLOADS["detector-train"],
        parameters={
            "data": {"sources": [{"path": path, "format": "sequences", "label": 0}]},
            "epochs": 3,
        },
        limits=Limits(cores=cores),
        environment=tunables,
    )
    with tempfile.TemporaryDirectory(prefix="bench-threads-") as folder:
        write_json(spec, Path(folder) / TASK_FILE)
        command = [sys.executable, "-m", "stackyard_task.run", folder]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        record: Dict[str, Any] = json.loads((Path(folder) / RECORD_FILE).read_text(encoding="utf-8"))
    if record["status"] != "completed":
        reason = record["failure"]["message"]
        print(f"  {case}: not measured: {reason}", flush=True)
        result.row(part="threads", case=case, repeat=repeat, not_measured=reason)
        return None
    measurement, environment = record["measurement"], record["environment"]
    row = {
        "steady_seconds": measurement["steady_seconds"],
        "cpu_seconds": measurement["cpu_seconds"],
        "threads": environment["threads"],
        "limit_mechanism": environment["limit_mechanism"],
        "other_cpu_percent_of_machine": environment["other_cpu_percent_of_machine"],
        "throttled_seconds": environment["throttled_seconds"],
    }
    print(f"  {case}: {row}", flush=True)
    result.row(part="threads", case=case, repeat=repeat, **row)
    steady: float = measurement["steady_seconds"]
    return steady


def _tunables() -> Dict[str, str]:
    """The default stack's tunables."""
    if sys.version_info < (3, 11):
        return {}
    import tomllib

    stack = tomllib.loads(STACK_FILE.read_text(encoding="utf-8"))
    return {name: str(value) for name, value in stack.get("tunables", {}).items()}


@contextmanager
def _burners(count: int) -> Iterator[None]:
    """``count`` processes that only use CPU."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
