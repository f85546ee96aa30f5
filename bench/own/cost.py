"""What measuring costs the measured: the start-up hook of a stack's Python, and the CPU time of a training script."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List

from bench.measure import median_interval
from bench.own.yard import SCRIPTS, STACK, Yard, last_line
from bench.result import NotHere, Result

FIGURES = ("python_hook_ms", "task_slowdown_percent", "task_slowdown_wall_percent")
HOOK_PAIRS = 60
#: Steps of about 20 s of CPU, and pairs.
STEPS, PAIRS = 2000, 7
#: What loads as much as a training script does, and then times what the hook does at its end.
_END = """
import os, time
import numpy, torch
hook = __import__("_stackyard_hook")
before = time.perf_counter()
hook._end(os.environ["STACKYARD_REPORT"])
print((time.perf_counter() - before) * 1e3)
"""


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """The hook first, then the script."""
    hook(result, yard, 10 if quick else HOOK_PAIRS, 2 if quick else 7)
    slowdown(result, yard, 100 if quick else STEPS, 1 if quick else PAIRS)


@contextmanager
def listener(yard: Yard) -> Iterator[Path]:
    """A FIFO that somebody reads."""
    path = yard.new("fifo")
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            os.read(descriptor, 65536)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield path
    finally:
        ended.set()
        os.write(descriptor, b"\n")
        reader.join(5)
        os.close(descriptor)


def hook(result: Result, yard: Yard, pairs: int, ends: int) -> None:
    """The figure is the time from start to end that the hook adds to a Python that has loaded torch.

    It is told from two: what it adds to a Python that does nothing, in alternated pairs, and what it does at the end
    of one that has loaded torch, timed inside; an import of torch takes too long to tell milliseconds from its outside.
    """
    python = yard.stack_python()
    yard.run([*yard.ours(yard.new("run"), stack=STACK), "python", "-c", "pass"])  # lays the hook as it is now
    with listener(yard) as fifo:
        more: List[float] = []
        for pair in range(pairs):
            took: Dict[str, float] = {}
            for asked in ("1", "0") if pair % 2 else ("0", "1"):
                variables = yard.variables(STACKYARD_REPORT=str(fifo), STACKYARD_HOOK=asked)
                if asked == "0":
                    del variables["STACKYARD_REPORT"]
                begun = time.perf_counter()
                subprocess.run([python, "-c", "pass"], env=variables, check=True, stdin=subprocess.DEVNULL)
                took[asked] = time.perf_counter() - begun
            more.append(1e3 * (took["1"] - took["0"]))
        variables = yard.variables(STACKYARD_REPORT=str(fifo), STACKYARD_HOOK="1")
        at_end = []
        for _ in range(ends):
            told = subprocess.run(
                [python, "-c", _END], env=variables, capture_output=True, text=True, check=False
            )
            if told.returncode != 0:
                raise NotHere(f"the stack's Python has no hook ({last_line(told.stderr.encode())})")
            at_end.append(float(told.stdout))
    low, high = median_interval(more)
    end = statistics.median(at_end)
    result.figure("python_hook_ms", statistics.median(more) + end, (low + end, high + end))
    result.row(
        part="cost",
        idle_python_more_ms=round(statistics.median(more), 3),
        end_with_torch_ms=[round(value, 3) for value in at_end],
    )


def slowdown(result: Result, yard: Yard, steps: int, pairs: int) -> None:
    """CPU seconds that a training script says it used, with us and without, in alternated pairs; wall beside."""
    python, script = yard.stack_python(), str(SCRIPTS / "train.py")
    cpu: List[float] = []
    wall: List[float] = []
    for pair in range(pairs):
        used: Dict[bool, float] = {}
        took: Dict[bool, float] = {}
        for ours in (True, False) if pair % 2 else (False, True):
            before = yard.ours(yard.new("run"), stack=STACK) if ours else []
            # the variables that the stack sets are the same for both
            variables = {**yard.variables(), **yard.stack_variables()}
            begun = time.monotonic()
            told = subprocess.run(
                [*before, python, script, "--steps", str(steps)],
                env=variables,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            took[ours] = time.monotonic() - begun
            if told.returncode != 0:
                raise NotHere(f"the training script failed: {last_line(told.stderr.encode())}")
            used[ours] = float(told.stdout.split()[-1])
        cpu.append(100 * (used[True] / used[False] - 1))
        wall.append(100 * (took[True] / took[False] - 1))
        result.row(part="cost", cpu_seconds_with_and_without=[used[True], used[False]], wall_seconds=took)
        result.figure("task_slowdown_percent", statistics.median(cpu), median_interval(cpu))
        result.figure("task_slowdown_wall_percent", statistics.median(wall), median_interval(wall))
        try:
            yard.check_time(480 + 2 * max(took.values()))  # the parts after this one need theirs
        except NotHere as reason:
            if pair + 1 < pairs:
                result.row(part="cost", pairs=pair + 1, not_measured=f"further pairs: {reason}")
            break
