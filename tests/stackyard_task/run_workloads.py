"""Small workloads of a user's own, named "run_workloads:function" by the tests of the supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict

from stackyard_task.channel import BadInput, Channel, GateClosed


def complete(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    channel.phase("data")
    channel.phase("warmup")
    channel.phase("steady")
    for index in range(20):
        channel.step(0.001 * (index + 1))
    channel.loss(1, training=0.5)
    channel.progress(20, 20)
    channel.results(answer=42, nothing=float("nan"), word="x")
    (output / "made.txt").write_text(str(parameters.get("text", "")), encoding="utf-8")
    print("printed by the workload")


def telling(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    channel.results(long="x" * (9 << 20))


def raising(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    raise KeyError("missing column")


def refusing(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    raise BadInput("the file is empty, expected at least one session")


def gated(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    raise GateClosed("F1 0.4, at least 0.9 is demanded")


def exiting(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    os._exit(7)


def leaving(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    os._exit(0)


def killing_itself(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    os.kill(os.getpid(), getattr(signal, parameters["signal"]))
    time.sleep(60)


def endless(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    """A tree that does not end by itself, if "stubborn" not even on SIGTERM; writes its process ids."""
    if parameters.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    other = os.fork()
    (output / f"pid-{os.getpid()}").write_text("", encoding="utf-8")
    channel.phase("steady")
    if other:
        (output / "ready").write_text("", encoding="utf-8")
    while True:
        time.sleep(60)


def allocate(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    channel.phase("steady")
    blocks = []
    for _ in range(int(parameters["megabytes"]) // 10):
        blocks.append(b"\1" * 10_000_000)
    channel.results(blocks=len(blocks))


def orphaned(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    """Leaves a grandchild without a parent that burns CPU, or idles for long."""
    middle = os.fork()
    if middle == 0:
        if os.fork() == 0:
            end = time.process_time() + float(parameters.get("burn", 0))
            while time.process_time() < end:
                pass
            time.sleep(float(parameters.get("idle", 0)))
        os._exit(0)
    os.waitpid(middle, 0)


def spawning(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    """A chain of programs: child, grandchild, great-grandchild, the last one holding the memory."""
    channel.phase("steady")
    hold = f"x = b'1' * {int(parameters['megabytes'])} * 1000000; import time; time.sleep(0.2)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}], check=True)"
    subprocess.run([sys.executable, "-c", outer], check=True)


def variables(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    channel.results(
        threads=os.environ["OMP_NUM_THREADS"],
        chosen=os.environ.get("CHOSEN", ""),
        cores=len(os.sched_getaffinity(0)),
        torch="torch" in sys.modules,
        channel=os.environ.get("STACKYARD_CHANNEL", "hidden"),
    )
