"""Pages of a large task table that are rarely asked for: sorted by a metric's bounds, filtered by parameters, deep."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.result import Result
from bench.server import folders, processes, wire
from bench.server.pages import QUESTION

FIGURES = ("tasks_odd_page_p95_ms",)
TASKS, QUICK_TASKS = 100_000, 10_000
ROUNDS, QUICK_ROUNDS = 10, 4
#: How long the server may take to take in the values of parameters that were asked for.
TAKEN_IN_SECONDS = 10.0


def _metric(number: str) -> str:
    """A number of the table's series, as a field."""
    names = (folders.METRIC, folders.VARIANT)
    hashes = (hashlib.md5(name.encode(), usedforsecurity=False).hexdigest() for name in names)
    return ".".join(("last_metrics", *hashes, number))


#: What is asked beside the columns of a table.
ODD: dict[str, dict[str, Any]] = {
    "by a metric's least": {"order_by": [_metric("min_value")]},
    "by a metric's greatest": {"order_by": ["-" + _metric("max_value")]},
    "by a parameter": {"order_by": ["hyperparams.Args.p0.value"]},
    "a parameter's value": {"hyperparams.Args.p3.value": ["0.5"], "order_by": ["-last_update"]},
    "a metric's range": {_metric("value"): [0.5, 0.500001], "order_by": ["-last_update"]},
    "a text": {"search_text": "77777", "order_by": ["-last_update"]},
    "a name's pattern": {"name": "task .*99999$", "order_by": ["-last_update"]},
    "a deep page": {"page": 1_500, "order_by": ["-last_update"]},
    "a deep page by a metric": {"page": 700, "order_by": [_metric("value")]},
    "without a status": {"status": None, "order_by": ["started"]},
}


async def measure(server: processes.Ours, rounds: int) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Milliseconds of the first answer, and of the later ones, by what was asked."""
    client = await wire.sign_in(server.api, server.access_key, server.secret_key)

    async def ask(odd: dict[str, Any]) -> float:
        begun = time.perf_counter()
        await client("tasks.get_all_ex", **{**QUESTION, **odd})
        return (time.perf_counter() - begun) * 1000

    first = {name: await ask(odd) for name, odd in ODD.items()}
    await asyncio.sleep(TAKEN_IN_SECONDS)
    later = {name: [await ask(odd) for _ in range(rounds)] for name, odd in ODD.items()}
    client.connection.close()
    return first, later


def figures(result: Result, quick: bool, options: Any) -> None:
    """The slowest twentieth over all that is asked, the first time left out."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "data"
        pair = folders.make(folder, QUICK_TASKS if quick else TASKS)
        with processes.ours(folder, pair) as server:
            first, took = wire.run(measure(server, QUICK_ROUNDS if quick else ROUNDS))
    for name, each in took.items():
        middle = sorted(each)[len(each) // 2]
        result.row(part="pages", asked=name, first_ms=first[name], median_ms=middle, worst_ms=max(each))
    together = sorted(ms for each in took.values() for ms in each)
    result.figure("tasks_odd_page_p95_ms", together[int(0.95 * len(together))], (together[0], together[-1]))
