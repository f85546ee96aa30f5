"""The first page of a task table, as the web app asks for it, at 1,000, 10,000 and 100,000 tasks."""

from __future__ import annotations

import hashlib
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.result import Result

from . import folders, processes, wire

SIZES = {"1k": 1_000, "10k": 10_000, "100k": 100_000}
FIGURES = tuple(f"tasks_page_p50_ms_{name}" for name in SIZES)


def _md5(text: str) -> str:
    """ClearML's name of a metric in last_metrics."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


METRIC_FIELD = f"last_metrics.{_md5(folders.METRIC)}.{_md5(folders.VARIANT)}.value"
#: 50 tasks of two statuses, not archived, best metric first, with the columns a table shows.
QUESTION: dict[str, Any] = {
    "status": ["completed", "failed"],
    "system_tags": ["-archived"],
    "order_by": [METRIC_FIELD],
    "page": 0,
    "page_size": 50,
    "only_fields": [
        "id", "name", "type", "status", "tags", "user.name", "project.name", "last_update", "started", "last_iteration",
        METRIC_FIELD, "hyperparams.Args.p0.value",
    ],
}  # fmt: skip


async def measure(server: processes.Ours, count: int) -> list[float]:
    """Milliseconds of each answer; the first ones warm up and are left out."""
    client = await wire.sign_in(server.api, server.access_key, server.secret_key)
    project = (await client("projects.get_all", name="^project 03$", only_fields=["id"]))["projects"][0]["id"]
    took = []
    for number in range(count + 5):
        begun = time.perf_counter()
        answer = await client("tasks.get_all_ex", **QUESTION, project=[project])
        if number >= 5:
            took.append((time.perf_counter() - begun) * 1000)
        shown = [t["last_metrics"] for t in answer["tasks"]]
        values = [next(iter(next(iter(m.values())).values()))["value"] for m in shown]
        if values != sorted(values) or not values:
            raise RuntimeError("the page is not in order")
    client.connection.close()
    return took


def figures(result: Result, quick: bool, options: Any) -> None:
    """Each size on a folder and a server of its own."""
    for name, tasks in SIZES.items():
        if quick and tasks > 10_000:
            result.row(part="pages", tasks=tasks, not_measured="left out by --quick")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "data"
            pair = folders.make(folder, tasks)
            with processes.ours(folder, pair) as server:
                took = sorted(wire.run(measure(server, 50)))
        result.figure(f"tasks_page_p50_ms_{name}", took[len(took) // 2], (took[0], took[-1]))
