"""``tasks_with_record_percent``: of tasks that end in every way, how many have their record with them afterwards.

Completed; failed (an exception, an exit status, a signal); aborted from the web app; out of memory, by the kernel where
the script can lower its own cgroup's limit, else by Python's MemoryError; agent killed, alone or with all that it
started. A task counts where its server has the record and, unless it completed, a failure stands in it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.result import NotHere, Result
from bench.tasks.yard import RECORD_SECONDS, SLOT, Yard
from stackyard.clearml.tasks import submissions

FIGURES = ("tasks_with_record_percent",)
_LASTS = "import time; open({file!r}, 'w').close()\nwhile True: time.sleep(0.1)\n"
_FAILING = (
    "raise ValueError('no')",
    "raise SystemExit(3)",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
)
_OUT_OF_MEMORY = """
import resource
place = ""
for line in open("/proc/self/cgroup"):
    number, controllers, path = line.strip().split(":", 2)
    if controllers == "memory":
        place = f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"
    elif controllers == "" and not place:
        place = f"/sys/fs/cgroup{path}/memory.max"
try:
    if "stackyard" not in place:
        raise OSError("it is not this task's own")
    with open(place, "w") as limit:
        limit.write(str(200_000_000))
except OSError:
    resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, 2_000_000_000))
held = []
while True:
    held.append(b"x" * 10_000_000)
"""


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """Several of each kind."""
    count = 1 if quick else 3
    kinds: dict[str, Callable[[int], str]] = {
        "completed": lambda _: yard.send("completed", "print('here')\n"),
        "failed": lambda number: yard.send("failed", _FAILING[number % len(_FAILING)] + "\n"),
        "aborted": lambda _: _under_way(yard, _abort),
        "out of memory": lambda _: yard.send("out of memory", _OUT_OF_MEMORY),
        "agent killed": lambda number: _under_way(yard, _kill_all if number % 2 else _kill_agent),
    }
    kept = ran = 0
    for kind, begin in kinds.items():
        for number in range(count):
            try:
                yard.check_time(30.0)
                yard.lab.agent(SLOT)
                task = yard.ended(id := begin(number))
                record = yard.record(id, RECORD_SECONDS)
            except NotHere as reason:
                result.row(part="kept", kind=kind, not_measured=str(reason))
                continue
            failure = (record or {}).get("failure")
            good = record is not None and (failure is not None) == (kind != "completed")
            ran, kept = ran + 1, kept + good
            result.figure("tasks_with_record_percent", 100 * kept / ran)
            told = None if failure is None else f"{failure['kind']}: {failure['message']}"[:200]
            result.row(
                part="kept", kind=kind, has_record=record is not None, status=task["status"], failure=told
            )
    yard.lab.agent(SLOT)


def _under_way(yard: Yard, end: Callable[[Yard, str], None]) -> str:
    """A task that is ended once its script runs."""
    file = yard.new("runs")
    id = yard.send("lasting", _LASTS.format(file=str(file)))
    deadline = time.monotonic() + 60
    while not file.exists():
        if time.monotonic() > deadline:
            raise NotHere(f"a task did not start: {yard.said(id)}")
        time.sleep(0.05)
    end(yard, id)
    return id


def _abort(yard: Yard, id: str) -> None:
    submissions.abort(yard.client, yard.task(id))


def _kill_agent(yard: Yard, _id: str) -> None:
    os.kill(yard.lab.agent(SLOT).pid, signal.SIGKILL)


def _kill_all(yard: Yard, _id: str) -> None:
    """The agent, the supervisor and the script, the agent first: what it started is told by its mark."""
    yard.lab.agent(SLOT)
    for process in yard.lab.processes():
        with contextlib.suppress(OSError):
            mark = Path(f"/proc/{process.pid}/environ").read_bytes()
            if f":{SLOT}\0".encode() in mark + b"\0":
                os.kill(process.pid, signal.SIGKILL)
