"""The same cases seen by others: psutil polling, and ClearML's own resource monitor.

psutil is asked the way most scripts ask it: every so often, the process and its children, RSS summed, CPU
times of whatever was seen. ClearML runs in a virtual environment of its own, offline, with time limits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

ROOT = Path(__file__).resolve().parent.parent
CLEARML = "clearml==2.1.12"


def case_environment() -> Dict[str, str]:
    """Variables under which a case finds its modules."""
    variables = dict(os.environ)
    variables["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return variables


def poll_case(interval_seconds: float, name: str, **parameters: Any) -> Tuple[float, float]:
    """(greatest summed RSS in bytes, CPU seconds seen) of a case, polled with psutil."""
    import psutil

    pairs = [f"{key}={value}" for key, value in parameters.items()]
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.measure_cases", name, *pairs], env=case_environment()
    )
    peak, cpu = 0.0, {}
    process = psutil.Process(child.pid)
    while child.poll() is None:
        rss = 0
        try:
            for member in [process, *process.children(recursive=True)]:
                try:
                    rss += member.memory_info().rss
                    times = member.cpu_times()
                    cpu[member.pid] = times.user + times.system
                except psutil.NoSuchProcess:
                    continue
        except psutil.NoSuchProcess:
            break
        peak = max(peak, rss)
        time.sleep(interval_seconds)
    return peak, sum(cpu.values())


_CLEARML_SCRIPT = """
import json, sys, time
from pathlib import Path
from clearml import Task
Task.set_offline(True)
# Offline no iteration is ever detected, and the monitor would wait 180 s for one before its first report.
at_once = {"wait_for_first_iteration_to_start_sec": 0.0}
task = Task.init(
    project_name="bench", task_name="spikes", auto_connect_frameworks=False, auto_resource_monitoring=at_once
)
from bench.measure_cases import MEGABYTE, resident_bytes
base = resident_bytes()
print("FOLDER", task.get_offline_mode_folder(), flush=True)
print("BASE", base, flush=True)
end = time.monotonic() + float(sys.argv[1])
count = 0
while time.monotonic() < end:
    if count < 25:
        block = b"\\1" * (300 * MEGABYTE)
        time.sleep((0.005, 0.02, 0.05, 0.1, 0.3)[count % 5])
        del block
        count += 1
    time.sleep(1.0)
print("DONE", count, flush=True)
task.flush(wait_for_uploads=True)
time.sleep(2)
import os
os._exit(0)
"""


def clearml_python(home: Path) -> Tuple[Optional[Path], Optional[str]]:
    """A Python that has ClearML, made on first use below ``home``; or ``None`` and why not."""
    folder = home / "bench-clearml"
    python = folder / "bin" / "python"
    marker = folder / "complete"
    if marker.exists():
        return python, None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=120
        )
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", CLEARML]
        subprocess.run(install, check=True, capture_output=True, timeout=240)
    except (OSError, subprocess.SubprocessError) as error:
        return None, f"{CLEARML} could not be installed ({type(error).__name__})"
    marker.write_text("ok\n", encoding="utf-8")
    return python, None


def clearml_points(
    python: Path, seconds: float = 65.0
) -> Tuple[Dict[str, List[float]], Optional[float], str]:
    """What ClearML's monitor reported of a task with 25 spikes: series -> values; base RSS; a remark.

    It closes by force: leaving in order waits more than a minute when offline.
    """
    with tempfile.TemporaryDirectory() as cache:
        variables = case_environment()
        variables.update(CLEARML_CACHE_DIR=cache, CLEARML_OFFLINE_MODE="1", HOME=cache)
        command = [str(python), "-c", _CLEARML_SCRIPT, str(seconds)]
        try:
            done = subprocess.run(
                command, env=variables, capture_output=True, text=True, timeout=seconds + 60, check=False
            )
            output = done.stdout
        except subprocess.TimeoutExpired as error:
            output = (error.stdout or b"").decode("utf-8", "replace")
        words = dict(
            line.split(" ", 1) for line in output.splitlines() if line.startswith(("FOLDER ", "BASE "))
        )
        if "FOLDER" not in words:
            return {}, None, "the offline task did not start"
        return (
            _reported(Path(words["FOLDER"])),
            float(words["BASE"]),
            f"{seconds:g} s, 25 spikes, told not to wait 180 s for a first iteration",
        )


def _reported(folder: Path) -> Dict[str, List[float]]:
    """The monitor's scalars in an offline session's files."""
    found: Dict[str, List[float]] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                events = json.loads(line)
            except ValueError:
                continue
            for event in events if isinstance(events, list) else [events]:
                if isinstance(event, dict) and str(event.get("metric", "")).startswith(":monitor"):
                    found.setdefault(str(event.get("variant")), []).append(float(event.get("value", 0.0)))
    return found
