"""How quickly the server is there, and how much memory it holds: idle, and full while loaded."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.result import Result

from . import folders, ingest, pages, processes, wire

FIGURES = ("cold_start_seconds", "rss_idle_mb", "rss_full_mb", "histogram_p50_ms")
FULL_TASKS, FULL_POINTS = 100_000, 10_000_000


def idle(result: Result, seconds: float) -> None:
    """An empty folder, one login, then nothing."""
    with processes.ours() as server:
        time.sleep(seconds)
        result.figure("rss_idle_mb", server.rss_mb)
        result.row(part="start", folder="empty", start_seconds=server.start_seconds, idle_seconds=seconds)


async def loaded(server: processes.Ours, seconds: float) -> float:
    """The greatest RSS, MB, while pages are asked and events arrive."""
    client = await wire.sign_in(server.api, server.access_key, server.secret_key)
    task = (await client("tasks.create", name="load", type="training"))["id"]
    load, greatest, end_at = ingest.Load(task, 1), 0.0, time.perf_counter() + seconds
    connection = await wire.connect(server.api)
    while time.perf_counter() < end_at:
        batch = load.batch(1000, server.api, client.token)
        status, _ = await connection.send(batch.prepared)
        if status != 200:
            raise RuntimeError(f"add_batch: {status}")
        await client("tasks.get_all_ex", **pages.QUESTION)
        greatest = max(greatest, server.rss_mb)
    connection.close()
    client.connection.close()
    return greatest


async def histograms(server: processes.Ours, count: int) -> list[float]:
    """Milliseconds of each histogram of a series of a million points, 2,000 samples."""
    client = await wire.sign_in(server.api, server.access_key, server.secret_key)
    found = await client("tasks.get_all_ex", name="^task 0$", only_fields=["id"])
    task, took = found["tasks"][0]["id"], []
    for _ in range(count):
        begun = time.perf_counter()
        answer = await client(
            "events.scalar_metrics_iter_histogram", task=task, samples=2000, key="iter",
            metrics=[{"metric": "long", "variants": ["v0"]}],
        )  # fmt: skip
        took.append((time.perf_counter() - begun) * 1000)
        assert 1000 < len(answer["long"]["v0"]["x"]) <= 2100
    client.connection.close()
    return took


def figures(result: Result, quick: bool, options: Any) -> None:
    """Idle first, then the full folder."""
    idle(result, 5.0 if quick else 60.0)
    tasks, points = (10_000, 2_000_000) if quick else (FULL_TASKS, FULL_POINTS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "data"
        print(f"making a folder of {tasks} tasks and {points} points ...", flush=True)
        pair = folders.make(folder, tasks, points, owners=2 if quick else 10, series=1)
        starts = []
        for _ in range(3 if quick else 7):
            with processes.ours(folder, pair) as server:
                starts.append(server.start_seconds)
        starts.sort()
        result.figure("cold_start_seconds", starts[len(starts) // 2], (starts[0], starts[-1]))
        with processes.ours(folder, pair) as server:
            result.figure("rss_full_mb", wire.run(loaded(server, 5.0 if quick else 30.0)))
            took = sorted(wire.run(histograms(server, 11 if quick else 31)))
            result.figure("histogram_p50_ms", took[len(took) // 2], (took[0], took[-1]))
            result.row(part="start", folder="full", tasks=tasks, points=points, rss_after_mb=server.rss_mb)
