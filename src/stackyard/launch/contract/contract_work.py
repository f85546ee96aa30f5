"""Workloads of the launchers' contract; they travel inside the package, as its own ones do. Python 3.9."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, Dict

from stackyard_task.channel import BadInput, Channel

#: What must not be loaded in a workload's process.
SUPERVISORS = ("stackyard_task.run", "stackyard_task.measure", "stackyard_task.dispatched")


def complete(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    """Reads what it is given, leaves files, says what it sees of its surroundings."""
    channel.phase("data")
    text = Path(parameters["data"]).read_text(encoding="utf-8")
    model = Path(parameters["model"])
    found = {
        p.relative_to(model).as_posix(): p.read_text(encoding="utf-8")
        for p in model.rglob("*")
        if p.is_file()
    }
    channel.phase("steady")
    for index in range(20):
        channel.step(0.001 * (index + 1))
    channel.progress(20, 20, "steps")
    (output / "deep").mkdir()
    (output / "deep" / "made.txt").write_text(text.upper(), encoding="utf-8")
    print("said by the workload")
    channel.results(
        characters=len(text),
        model=sorted(found),
        words=found["weights/words.txt"],
        foreign=sorted(
            name for name in sys.modules if name.split(".")[0] in ("clearml", "clearml_agent", "psutil")
        ),
        supervisor=sorted(
            name for name in sys.modules if name.startswith(("stackyard_task.run", "stackyard_task.measure"))
        ),
        secrets=sorted(k for k in os.environ if k.startswith(("CLEARML", "TRAINS")) or "SECRET" in k),
        environment=sorted(name for name in os.environ if name.startswith("PYTHON")),
        here=sorted(os.listdir(".")),
        chosen=os.environ.get("CHOSEN"),
        threads=os.environ["OMP_NUM_THREADS"],
    )


def fail(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    """Fails in the way it is told."""
    channel.phase("steady")
    (output / "half.txt").write_text("half", encoding="utf-8")
    if parameters["how"] == "refuse":
        raise BadInput("the file is empty, expected at least one session")
    if parameters["how"] == "memory":
        blocks = []
        for _ in range(20):  # 200 MB, then it waits to be ended: how late that comes changes no figure
            blocks.append(b"\1" * 10_000_000)
            time.sleep(0.01)
        time.sleep(600)
    raise KeyError("missing column")


def endless(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    """A tree of two that does not end by itself."""
    os.fork()
    channel.phase("steady")
    channel.progress(1, 2, "steps")
    while True:
        time.sleep(60)


def burn(parameters: Dict[str, Any], channel: Channel, output: Path) -> None:
    """Waits to be found, then burns CPU and holds memory, then waits to be let go. Hands in files below /tmp."""
    meeting = Path("/tmp") / parameters["meeting"]
    meeting.mkdir()
    _wait_for(meeting / "begin", meeting / "here")
    channel.phase("steady")
    held = b"\1" * (int(parameters["megabytes"]) * 1_000_000)
    end = time.process_time() + float(parameters["seconds"])
    while time.process_time() < end:
        sum(range(10_000))
    _wait_for(meeting / "go", meeting / "burnt")
    channel.results(held=len(held))


def _wait_for(file: Path, saying: Path) -> None:
    saying.write_text(str(os.getpid()), encoding="utf-8")
    while not file.exists():
        time.sleep(0.02)
