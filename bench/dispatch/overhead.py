"""What a tiny task costs beside its work: one hundred through one queue, and the same through other tools.

The tiny task is one start of the stack's Python that adds up a thousand numbers. ``overhead_per_tiny_task_seconds``
is (time from the first submission to the last end) / tasks - the time of the same as a plain subprocess; ours
measures every task and leaves a record. ``overhead_ratio_<peer>`` is the peer's overhead divided by ours: above 1,
ours is less. Peers run as their manuals begin, on one machine, one task at a time, in an environment of their own:

* Prefect: a served flow, so each run waits on the server and gets a process of its own, as ours do. The same as tasks
  inside one flow run (one process for all, nothing dispatched) is in the rows.
* Metaflow: one flow with a step per task (foreach), which starts a process per task.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from bench.dispatch.yard import PATIENCE_SECONDS, running, yard
from bench.result import NotHere, Result
from bench.server.processes import free_port
from stackyard.launch import Place
from stackyard.launch.agent import AgentLauncher

FIGURES = ("overhead_per_tiny_task_seconds", "overhead_ratio_prefect", "overhead_ratio_metaflow")
#: Prefect 3 names an argument that later FastAPIs no longer know.
PREFECT, METAFLOW = ("prefect>=3.4,<4", "fastapi>=0.139,<0.150"), ("metaflow>=2.18,<3",)
WORK = "sum(range(1000))"

PREFECT_SERVED = """
import subprocess, sys, threading, time
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment

PYTHON, COUNT = sys.argv[1], int(sys.argv[2])

@flow
def tiny():
    subprocess.run([PYTHON, "-c", "sum(range(1000))"], check=True)

def submit():
    for _ in range(200):
        try:
            with get_client(sync_client=True) as client:
                client.read_deployment_by_name("tiny/bench")
            break
        except Exception:
            time.sleep(0.2)
    run_deployment("tiny/bench", timeout=None)  # the first one warms up
    begun = time.time()
    runs = [run_deployment("tiny/bench", timeout=0).id for _ in range(COUNT)]
    with get_client(sync_client=True) as client:
        while not all(client.read_flow_run(run).state.is_final() for run in runs):
            time.sleep(0.1)
        states = [client.read_flow_run(run).state.type.value for run in runs]
    print("TOOK", time.time() - begun, states.count("COMPLETED"), flush=True)
    import os
    os._exit(0)

if __name__ == "__main__":
    threading.Thread(target=submit, daemon=True).start()
    tiny.serve(name="bench", limit=1)
"""
PREFECT_INSIDE = """
import subprocess, sys, time
from prefect import flow, task

@task
def tiny():
    subprocess.run([sys.argv[1], "-c", "sum(range(1000))"], check=True)

@flow
def all_of_them(count):
    begun = time.time()
    for _ in range(count):
        tiny()
    print("TOOK", time.time() - begun, count, flush=True)

if __name__ == "__main__":
    all_of_them(int(sys.argv[2]))
"""
METAFLOW_FLOW = """
import os, subprocess
from metaflow import FlowSpec, step

class TinyFlow(FlowSpec):
    @step
    def start(self):
        self.items = list(range(int(os.environ["BENCH_COUNT"])))
        self.next(self.tiny, foreach="items")

    @step
    def tiny(self):
        subprocess.run([os.environ["BENCH_PYTHON"], "-c", "sum(range(1000))"], check=True)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    TinyFlow()
"""


def figures(result: Result, quick: bool, options: Any) -> None:
    """Measure ours, then the peers."""
    count, peers = (6, 3) if quick else (100, 30)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with yard(folder / "yard") as here:
            plain = _plain(here.python)
            mine, each = _through_a_queue(here, count)
        result.figure("overhead_per_tiny_task_seconds", mine - plain)
        result.row(
            figure="overhead_per_tiny_task_seconds",
            n=count,
            seconds_per_task=mine,
            plain_seconds=plain,
            **each,
        )
        for name, measure in (("prefect", _prefect), ("metaflow", _metaflow)):
            try:
                took, more = measure(folder, here.python, peers)
            except NotHere as reason:
                result.row(figure=f"overhead_ratio_{name}", not_measured=str(reason))
                continue
            result.figure(f"overhead_ratio_{name}", (took - plain) / (mine - plain))
            result.row(figure=f"overhead_ratio_{name}", n=peers, seconds_per_task=took, **more)


def _plain(python: Path) -> float:
    begun = time.perf_counter()
    for _ in range(20):
        subprocess.run([str(python), "-c", WORK], check=True)
    return (time.perf_counter() - begun) / 20


def _through_a_queue(here: Any, count: int) -> tuple[float, dict[str, Any]]:
    """Seconds per task, and where they go."""
    launcher = AgentLauncher(here.sender, "cpu")
    with here.agent("agent"):
        here.run(launcher, here.tiny())
        begun = time.time()
        runs = [
            launcher.start(here.tiny(), Place(here.place(), here.python, here.code)) for _ in range(count)
        ]
        submitted = time.time() - begun
        deadline = time.monotonic() + max(PATIENCE_SECONDS, 20.0 * count)
        statuses = []
        for run in runs:
            while (status := run.wait(1.0)) is None:
                if time.monotonic() > deadline:
                    raise NotHere("the tiny tasks did not end in time")
            statuses.append(status)
        took = time.time() - begun
    if any(statuses):
        raise NotHere(f"{sum(map(bool, statuses))} of {count} tiny tasks failed")
    return took / count, {"submitting_seconds_per_task": submitted / count}


def _prefect(folder: Path, python: Path, count: int) -> tuple[float, dict[str, Any]]:
    peer = installed("prefect", PREFECT)
    home = folder / "prefect"
    home.mkdir()
    port = free_port()
    environment = {
        **_clean(),
        "HOME": str(home),
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "DO_NOT_TRACK": "1",
    }
    server = [str(peer), "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with running(server, environment, home / "server"):
        _until_answers(port, "/api/health")
        served = _took(peer, PREFECT_SERVED, python, count, environment, home)
        inside = _took(peer, PREFECT_INSIDE, python, count, environment, home)
    return served, {"inside_one_flow_seconds_per_task": inside, "version": _version(peer, "prefect")}


def _metaflow(folder: Path, python: Path, count: int) -> tuple[float, dict[str, Any]]:
    peer = installed("metaflow", METAFLOW)
    home = folder / "metaflow"
    home.mkdir()
    (home / "flow.py").write_text(METAFLOW_FLOW)
    environment = {
        **_clean(),
        "HOME": str(home),
        "USERNAME": "bench",
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(home / "store"),
        "BENCH_PYTHON": str(python),
    }
    command = [str(peer), "flow.py", "run", "--max-workers", "1", "--max-num-splits", str(count + 1)]

    def run(tasks: int) -> float:
        begun = time.time()
        _checked(command, {**environment, "BENCH_COUNT": str(tasks)}, home)
        return time.time() - begun

    run(1)
    few, many = run(1), run(count + 1)  # the difference leaves out start, join and end
    return (many - few) / count, {"version": _version(peer, "metaflow")}


def _took(peer: Path, text: str, python: Path, count: int, environment: dict[str, str], home: Path) -> float:
    script = home / "bench_flow.py"
    script.write_text(text)
    out = _checked([str(peer), str(script), str(python), str(count)], environment, home)
    for line in out.splitlines():
        if line.startswith("TOOK "):
            _word, seconds, done = line.split()
            if int(done) != count:
                raise NotHere(f"{done} of {count} tasks completed")
            return float(seconds) / count
    raise NotHere(f"no result: {' '.join(out.split())[-200:]}")


def _checked(command: list[str], environment: dict[str, str], home: Path) -> str:
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=900,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise NotHere("it did not end within 900 s") from error
    if done.returncode != 0 and "TOOK" not in done.stdout:
        raise NotHere(
            f"exit status {done.returncode}: {' '.join((done.stderr or done.stdout).split())[-300:]}"
        )
    return done.stdout


def _until_answers(port: int, path: str) -> None:
    deadline = time.monotonic() + 90
    with httpx.Client(trust_env=False, timeout=5) as client:
        while True:
            try:
                if client.get(f"http://127.0.0.1:{port}{path}").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise NotHere("its server did not answer within 90 s")
            time.sleep(0.2)


def installed(name: str, requirements: tuple[str, ...]) -> Path:
    """The Python of a peer's environment, made on first use.

    Raises:
        NotHere: it cannot be installed.
    """
    folder = (Path(os.environ.get("STACKYARD_HOME", ".stackyard")) / f"bench-{name}").absolute()
    python = folder / "bin" / "python"
    try:
        if python.exists() and _version(python, name):
            return python
    except NotHere:
        pass
    print(f"installing {name} into {folder} ...", flush=True)
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True
        )
        install = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *requirements,
        ]
        subprocess.run(install, check=True, capture_output=True, timeout=900)
    except (subprocess.SubprocessError, OSError) as fault:
        raise NotHere(f"{name} could not be installed: {fault}") from fault
    return python


def _version(python: Path, name: str) -> str:
    code = f"import importlib.metadata as m, json; print(json.dumps(m.version({name!r})))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotHere(f"{name} is not in its environment")
    return str(json.loads(done.stdout))


def _clean() -> dict[str, str]:
    """The shell's environment without what is another Python's or another tool's."""
    left = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("PYTHON", "VIRTUAL_ENV", "CLEARML", "STACKYARD"))
    }
    return {**left, "NO_PROXY": "127.0.0.1,localhost"}
