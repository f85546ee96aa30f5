"""What ``stackyard run`` adds to a command's time: alternated pairs with the command alone."""

from __future__ import annotations

import statistics
import sys
from typing import Any, Dict, List

from bench.measure import median_interval
from bench.own.yard import STACK, Ended, Yard, last_line
from bench.result import NotHere, Result

FIGURES = (
    "run_overhead_seconds",
    "run_overhead_cpu_seconds",
    "run_overhead_seconds_default_stack",
    "run_overhead_cpu_seconds_default_stack",
)
PAIRS = 30
#: A command that is over at once.
SHORT = ["true"]


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """Measure on one's own programs, and on the default stack."""
    pairs = 5 if quick else PAIRS
    measured(result, yard, "", "none", pairs)
    try:
        yard.stack_python()
    except NotHere as reason:
        result.row(part="overhead", stack=STACK, not_measured=str(reason))
    else:
        measured(result, yard, "_default_stack", STACK, pairs)


def measured(result: Result, yard: Yard, suffix: str, stack: str, pairs: int) -> None:
    """The figures of so many pairs; beside each pair a Python that does nothing, which tells how busy a machine is."""
    more: List[float] = []
    used: List[float] = []
    python: List[float] = []
    yard.run([*yard.ours(None, stack=stack), *SHORT])  # what is compiled or read once
    for pair in range(pairs):
        ran: Dict[bool, Ended] = {}
        for ours in (True, False) if pair % 2 else (False, True):
            words = [*yard.ours(None, stack=stack), *SHORT] if ours else SHORT
            ran[ours] = ended = yard.run(words, counted=True)
            if ended.status != 0:
                raise NotHere(
                    f"{' '.join(words)} ended with status {ended.status}: {last_line(ended.stderr)}"
                )
        more.append(ran[True].wall_seconds - ran[False].wall_seconds)
        if ran[True].cpu_seconds is not None and ran[False].cpu_seconds is not None:
            used.append(ran[True].cpu_seconds - ran[False].cpu_seconds)
        python.append(yard.run([sys.executable, "-c", "pass"]).wall_seconds)
    result.figure("run_overhead_seconds" + suffix, statistics.median(more), median_interval(more))
    if used:
        result.figure("run_overhead_cpu_seconds" + suffix, statistics.median(used), median_interval(used))
    result.row(
        part="overhead",
        stack=stack,
        pairs=pairs,
        seconds=[round(value, 4) for value in more],
        least_seconds=round(min(more), 4),
        idle_python_seconds=round(statistics.median(python), 4),
    )
