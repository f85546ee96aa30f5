"""What the bounds cost: ingest, hand-outs and pages of this checkout and of another one, turn by turn."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.result import NotHere, Result

#: The figures compared, and whether more of them is better.
COMPARED = {
    "ingest_rows_per_second_1": True,
    "ingest_rows_per_second_10": True,
    "ingest_rows_per_second_100": True,
    "ingest_rows_per_second_1000": True,
    "next_task_p50_ms": False,
    "next_task_p99_ms": False,
    "tasks_page_p50_ms_1k": False,
    "tasks_page_p50_ms_10k": False,
}
FIGURES = tuple(f"cost_ratio_{name}" for name in COMPARED)
ROUNDS, QUICK_ROUNDS = 3, 1
ROOT = Path(__file__).resolve().parents[2]


def measured(checkout: Path) -> dict[str, float | None]:
    """The figures of a checkout's own ``bench.server``, with that checkout's code."""
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "server.json"
        command = [sys.executable, "-m", "bench.server", "--quick", "--json", str(told)]
        command += [word for part in ("ingest", "queue", "pages") for word in ("--only", part)]
        # the folders of a checkout go before what is installed
        environment = {**os.environ, "PYTHONPATH": f"{checkout / 'src'}:{checkout}"}
        subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
        found: dict[str, float | None] = json.loads(told.read_text(encoding="utf-8"))["figures"]
        return found


def figures(result: Result, quick: bool, options: Any) -> None:
    """The median of this checkout's figures as a part of the other's; above 1 is better, for every figure."""
    if options.baseline is None:
        raise NotHere("no other checkout is named (--baseline DIR)")
    ours: list[dict[str, float | None]] = []
    others: list[dict[str, float | None]] = []
    for number in range(QUICK_ROUNDS if quick else ROUNDS):
        turns = [(ROOT, ours), (options.baseline.resolve(), others)]
        for checkout, into in turns if number % 2 == 0 else turns[::-1]:
            into.append(measured(checkout))
    for name, more in COMPARED.items():
        here = [value for one in ours if (value := one.get(name)) is not None]
        there = [value for one in others if (value := one.get(name)) is not None]
        if here and there:
            ratio = statistics.median(here) / statistics.median(there)
            result.figure(f"cost_ratio_{name}", ratio if more else 1 / ratio)
            result.row(part="baseline", figure=name, here=here, there=there)
