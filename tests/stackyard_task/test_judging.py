"""A run that is not worth its cost is stopped at its criteria, whole tree and all, and has its record."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from stackyard_task.commands import Command
from stackyard_task.criteria import Criteria
from stackyard_task.records import SERIES_FILE, TASK_FILE, RunRecord, TaskSpec, write_json
from stackyard_task.run import supervise
from stackyard_task.workloads import Workload

REPORT = "import sys; sys.path.insert(0, {!r}); from stackyard_task import report\n"
SOURCE = str(Path(__file__).resolve().parents[2] / "src")


def stopped(folder: Path, script: str, method: str = "auto", **limits: Any) -> RunRecord:
    """The record of a Python script that is held to limits."""
    place = folder / "run"
    place.mkdir()
    (folder / "script.py").write_text(REPORT.format(SOURCE) + script, encoding="utf-8")
    command = Command((sys.executable, "script.py"), folder=str(folder))
    spec = TaskSpec(
        "r", "script", declared=Workload("script", "", "", command=command), criteria=Criteria(**limits)
    )
    write_json(spec, place / TASK_FILE)
    return supervise(place, python=sys.executable, method=method)


@pytest.mark.parametrize("method", ["auto", "processes"])
def test_a_tree_that_will_not_end_is_ended_at_its_limit_of_memory(tmp_path: Path, method: str) -> None:
    record = stopped(
        tmp_path,
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "report.results(before=1)\n"
        "report.metrics(3, loss=0.5)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "open(f'pid-{os.getpid()}', 'w').close()\n"
        "held = [bytearray(30_000_000)]\n"
        "time.sleep(0.5)\n"
        "held.append(bytearray(100_000_000))\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
        "time.sleep(600)\n",
        method,
        ram_bytes=150_000_000,
    )
    assert (record.status, record.failure) == ("stopped", None)
    assert record.stopped is not None
    assert (record.stopped.criterion, record.stopped.unit) == ("ram_bytes", "bytes")
    assert (record.measurement.peak_rss_bytes or 0) >= record.stopped.seen > 150_000_000
    assert (record.stopped.ended_seconds or 9) < 5
    assert record.results == {"before": 1, "loss": 0.5}
    assert json.loads((tmp_path / "run" / SERIES_FILE).read_text())["loss"][0][:2] == [3, 0.5]
    pids = [path.name.partition("-")[2] for path in tmp_path.glob("pid-*")]
    assert len(pids) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
