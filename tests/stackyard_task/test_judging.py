"""A run that is not worth its cost is stopped at its criteria, whole tree and all, and has its record."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List, Optional

import pytest

from stackyard_task.commands import Command
from stackyard_task.criteria import Criteria
from stackyard_task.judging import Judge
from stackyard_task.measure.gpu import Device, GpuMeter
from stackyard_task.pace import Pace
from stackyard_task.records import (
    SERIES_FILE,
    TASK_FILE,
    GpuUse,
    Measurement,
    RunRecord,
    TaskSpec,
    write_json,
)
from stackyard_task.run import TaskError, main, supervise
from stackyard_task.workloads import Workload

REPORT = "import sys; sys.path.insert(0, {!r}); from stackyard_task import report\n"
SOURCE = str(Path(__file__).resolve().parents[2] / "src")


def stopped(
    folder: Path, script: str, method: str = "auto", sources: Optional[Dict[str, str]] = None, **limits: Any
) -> RunRecord:
    """The record of a Python script that is held to limits."""
    place = folder / "run"
    place.mkdir()
    (folder / "script.py").write_text(REPORT.format(SOURCE) + script, encoding="utf-8")
    command = Command((sys.executable, "script.py"), folder=str(folder), metrics=sources or {})
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


def test_what_grows_while_it_is_being_ended_is_ended_at_once(tmp_path: Path) -> None:
    record = stopped(
        tmp_path,
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "held = []\n"
        "while True:\n"
        "    held.append(bytearray(10_000_000))\n"
        "    time.sleep(0.01)\n",
        ram_bytes=80_000_000,
    )
    assert record.stopped is not None
    assert (record.measurement.peak_rss_bytes or 0) < 400_000_000  # a second of it is a gigabyte


def test_time_on_the_processor_is_that_of_all_processes(tmp_path: Path) -> None:
    record = stopped(
        tmp_path,
        "import os\nfor _ in range(2):\n    if os.fork() == 0:\n        while True: pass\nos.wait()\n",
        sources={"late": "json:late.json#value"},
        cpu_seconds=0.3,
    )
    assert record.stopped is not None
    assert record.stopped.criterion == "cpu_seconds"
    assert not record.notes  # what it would have written at its end is not missed
    assert (record.measurement.cpu_seconds or 0) > 0.3
    assert record.status == "stopped"


def test_the_run_time_is_over_when_it_is(tmp_path: Path) -> None:
    record = stopped(tmp_path, "import time; time.sleep(600)", wall_seconds=0.4)
    assert record.stopped is not None
    assert 0.4 < record.stopped.seen < 5
    assert record.measurement.wall_seconds == pytest.approx(
        record.stopped.at_seconds + (record.stopped.ended_seconds or 0)
    )


def test_slow_steps_are_seen_beyond_the_first_ones(tmp_path: Path) -> None:
    script = (
        "import time\n"
        "for number in report.steps(range(100)):\n"
        "    time.sleep(0.3 if number < 2 else 0.01 if number < 20 else 0.1)\n"
        "    report.loss(number, training=1.0)\n"
    )
    record = stopped(tmp_path, script, step_seconds=0.05)
    assert record.stopped is not None
    assert record.stopped.criterion == "step_seconds"
    assert record.measurement.steps is not None
    assert 20 < record.measurement.steps.count < 90


def test_a_step_that_hangs_is_seen(tmp_path: Path) -> None:
    script = (
        "import time\n"
        "for _ in range(5):\n"
        "    time.sleep(0.01)\n"
        "    report.step(0.01)\n"
        "report.flush()\n"
        "time.sleep(600)\n"
    )
    record = stopped(tmp_path, script, step_seconds=0.05)
    assert record.stopped is not None
    assert "has not ended" in record.stopped.message


def test_after_its_steps_nobody_waits_for_one(tmp_path: Path) -> None:
    script = (
        "import time\n"
        "report.phase('steady')\n"
        "for _ in range(5):\n"
        "    report.step(0.01)\n"
        "report.phase('finish')\n"
        "time.sleep(0.9)\n"
    )
    assert stopped(tmp_path, script, step_seconds=0.02).status == "completed"


def test_energy_that_is_simulated_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKYARD_ENERGY", "simulated:20")
    record = stopped(tmp_path, "while True: pass", energy_joules=8)
    assert record.stopped is not None
    assert (record.stopped.criterion, record.stopped.unit) == ("energy_joules", "joules")
    assert record.measurement.energy_method == "simulated: 20 W for each busy core"


class SimulatedGpus(GpuMeter):
    """One GPU, on which each process of the run has as much memory as a file says."""

    told = Path()

    def __init__(self) -> None:
        super().__init__()
        self.devices = [Device(None, GpuUse(0, "Simulated GPU"), False, None, None)]

    def sample(self, pids: Any) -> None:
        device = self.devices[0]
        device.memory_bytes = int(self.told.read_text()) if pids and self.told.exists() else None
        device.sampled_peak = device.memory_bytes or device.sampled_peak

    def _ask(self, name: str, *arguments: Any) -> Any:
        return None


def test_memory_of_a_gpu_that_is_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKYARD_NVML", "0")
    monkeypatch.setattr("stackyard_task.run.GpuMeter", SimulatedGpus)
    monkeypatch.setattr(SimulatedGpus, "told", tmp_path / "gpu")
    script = (
        "import os, time\nopen('new', 'w').write('3000000000')\nos.rename('new', 'gpu')\ntime.sleep(600)\n"
    )
    record = stopped(tmp_path, script, gpu_memory_bytes=2_000_000_000)
    assert record.stopped is not None
    assert record.stopped.message == "stopped at its limit of GPU memory: 3 GB seen, 2 GB allowed"


def test_what_cannot_be_judged_here_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKYARD_NVML", "0")
    monkeypatch.setattr("stackyard_task.measure.energy.os.listdir", lambda _folder: [])
    record = stopped(tmp_path, "print(1)", gpu_memory_bytes=1, energy_joules=1, step_seconds=1, slowing=2)
    assert record.status == "completed"
    assert record.notes == [
        "the limit of GPU memory held nothing: no GPU can be measured on this machine",
        "the limit of step time held nothing: the run told no steps",
        "the limit of energy held nothing: this machine has no energy counters that can be read",
        "the limit of slowing held nothing: the run told no steps",
    ]


def test_a_limit_that_came_too_late_is_told_in_words_and_units() -> None:
    judge = Judge(Criteria(ram_minus_shared_bytes=100_000_000, cpu_seconds=1.0))
    listener: Any = SimpleNamespace(pace=Pace())
    sampler: Any = SimpleNamespace(peak_gpu_memory_bytes=None, energy_joules=lambda: None)
    measured = Measurement(peak_rss_minus_shared_bytes=150_000_000, cpu_seconds=1.5)
    late = "the run ended before it could be stopped: "
    assert judge.notes(listener, sampler, measured) == [
        f"{late}150 MB of RAM without shared pages, 100 MB allowed",
        f"{late}1.5 s of CPU time, 1 s allowed",
    ]


def test_a_limit_that_holds_nothing_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"criteria.ram_bytes is 5 MB, less than .* idle interpreter"):
        stopped(tmp_path, "", ram_bytes=5_000_000)


def test_a_supervisor_says_by_its_exit_status_that_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(tmp_path, "import time; time.sleep(600)", wall_seconds=0.3)
    assert main([str(tmp_path / "run")]) == 4
    assert capsys.readouterr().err.startswith("stopped at its limit of wall time: ")


def test_what_a_run_leaves_running_breaks_no_limit_of_time(tmp_path: Path) -> None:
    script = (
        "import os, time\n"
        "report.phase('steady')\n"
        "for _ in range(5):\n"
        "    report.step(0.01)\n"
        "report.flush()\n"
        "if os.fork() == 0:\n"
        "    time.sleep(600)\n"
        "os._exit(0)\n"
    )
    record = stopped(tmp_path, script, step_seconds=0.02, wall_seconds=1.5)
    assert (record.status, record.measurement.orphans_ended) == ("completed", 1)


#: Starts a process that is nobody's child, ignores SIGTERM and works, while the script itself ends at once.
ORPHAN = (
    "import os, signal, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        for number in range(3, 64):\n"
    "            try: os.close(number)\n"
    "            except OSError: pass\n"
    "        signal.signal(signal.SIGTERM, {at_end})\n"
    "        {work}\n"
    "        os._exit(0)\n"
    "    os._exit(0)\n"
    "os.wait()\n"
    "report.results(loss=0.5)\n"
)
SPIN = "until = time.time() + 20\n        while time.time() < until: pass"


@pytest.mark.parametrize(
    ("method", "limits"),
    [
        ("auto", {"cpu_seconds": 0.3}),
        ("processes", {"cpu_seconds": 0.3}),
        ("auto", {"wall_seconds": 0.4}),
        ("auto", {"energy_joules": 6}),
    ],
)
def test_what_works_on_once_the_script_has_ended_is_held_to_its_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, limits: Any
) -> None:
    monkeypatch.setenv("STACKYARD_ENERGY", "simulated:20")
    script = ORPHAN.format(at_end="signal.SIG_IGN", work=SPIN)
    record = stopped(tmp_path, script, method, **limits)
    assert record.status == "stopped"
    assert record.stopped is not None
    assert record.stopped.criterion == next(iter(limits))
    assert 0 < (record.stopped.ended_seconds or 0) < 5
    assert (record.measurement.cpu_seconds or 0) < 10
    assert (record.results, record.notes) == ({"loss": 0.5}, [])


def test_what_works_instead_of_ending_is_held_to_its_limits(tmp_path: Path) -> None:
    work = "signal.pause()"
    script = ORPHAN.format(at_end=f"lambda *_: exec({'while True: pass'!r})", work=work)
    record = stopped(tmp_path, script, cpu_seconds=0.4)
    assert record.stopped is not None
    assert record.stopped.criterion == "cpu_seconds"
    assert 0 <= (record.stopped.ended_seconds or 0) < 1


def test_a_wait_for_what_only_lingers_is_no_time_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The script itself may take nearly as long as its limit on a busy machine; what it left sleeps beyond it.
    monkeypatch.setattr("stackyard_task.vigil.ORPHAN_IDLE_SECONDS", 60.0)
    script = ORPHAN.format(at_end="signal.SIG_DFL", work="time.sleep(3.5)")
    record = stopped(tmp_path, script, wall_seconds=3.0)
    assert record.status == "completed"
    assert [note.partition(": ")[2] for note in record.notes] == [
        "at its limit it only waited for idle processes that it had left running"
    ]


def test_whoever_follows_sees_what_works_on(tmp_path: Path) -> None:
    moments: List[float] = []
    place = tmp_path / "run"
    place.mkdir()
    work = "while time.process_time() < 1.2: pass"
    script = ORPHAN.format(at_end="signal.SIG_DFL", work=work)
    (tmp_path / "script.py").write_text(REPORT.format(SOURCE) + script, encoding="utf-8")
    command = Command((sys.executable, "script.py"), folder=str(tmp_path))
    write_json(TaskSpec("r", "s", declared=Workload("s", "", "", command=command)), place / TASK_FILE)
    supervise(place, python=sys.executable, watcher=lambda moment: moments.append(moment.told["cpu_seconds"]))
    assert moments[-1] > 0.15  # it is told about once a second
