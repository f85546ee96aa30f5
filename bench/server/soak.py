"""Twenty minutes of everything at once: does memory grow, do answers get slower?"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from bench.result import Result

from . import ingest, processes, wire
from .queueing import percentile

FIGURES = ("soak_rss_growth_percent", "soak_p99_ratio")
WORKERS = 8
#: The first share of the time fills caches and does not count.
WARM_SHARE = 0.25


async def measure(server: processes.Ours, seconds: float, result: Result) -> None:
    """Workers that run whole tasks: create, enqueue, pull, report, log, read, complete, now and then delete."""
    client = await wire.sign_in(server.api, server.access_key, server.secret_key)
    queue = (await client("queues.create", name="soak"))["id"]
    begun = time.perf_counter()
    end_at = begun + seconds
    asked: list[tuple[float, float]] = []
    rss: list[tuple[float, float]] = []

    async def worker(number: int) -> int:
        mine = await wire.sign_in(server.api, server.access_key, server.secret_key)
        count, old = 0, []

        async def ask(name: str, /, **data: Any) -> dict[str, Any]:
            at = time.perf_counter()
            answer = await mine(name, **data)
            asked.append((at - begun, (time.perf_counter() - at) * 1000))
            return answer

        while time.perf_counter() < end_at:
            task = (await ask("tasks.create", name=f"soak {number} {count}", type="training"))["id"]
            await ask("tasks.enqueue", task=task, queue=queue)
            pulled = (await ask("queues.get_next_task", queue=queue))["entry"]["task"]
            await ask("tasks.started", task=pulled, force=True)
            load = ingest.Load(pulled, number)
            for _ in range(5):
                status, body = await mine.connection.send(load.batch(100, server.api, mine.token).prepared)
                if status != 200:
                    raise RuntimeError(f"add_batch: {status} {body[:200]!r}")
                await asyncio.sleep(0.05)
            await ask(
                "tasks.get_all_ex",
                page=0,
                page_size=20,
                order_by=["-last_update"],
                only_fields=["id", "name", "status"],
            )
            await ask("events.scalar_metrics_iter_histogram", task=pulled)
            await ask("tasks.completed", task=pulled, force=True)
            old.append(pulled)
            if len(old) > 50:
                await ask("tasks.delete", task=old.pop(0), force=True)
            count += 1
        mine.connection.close()
        return count

    async def watch() -> None:
        while time.perf_counter() < end_at:
            rss.append((time.perf_counter() - begun, server.rss_mb))
            await asyncio.sleep(1.0)

    counts, _ = await asyncio.gather(asyncio.gather(*(worker(i) for i in range(WORKERS))), watch())
    warm = seconds * WARM_SHARE
    middle = (warm + seconds) / 2
    early = [v for at, v in rss if warm <= at < middle]
    late = [v for at, v in rss if at >= middle]
    result.figure("soak_rss_growth_percent", (statistics.median(late) / statistics.median(early) - 1) * 100)
    p99 = [
        percentile([v for at, v in asked if low <= at < high], 0.99)
        for low, high in ((warm, middle), (middle, seconds))
    ]
    result.figure("soak_p99_ratio", p99[1] / p99[0])
    result.row(
        part="soak",
        seconds=seconds,
        tasks=sum(counts),
        calls=len(asked),
        rss_mb=[early[0], late[-1]],
        p99_ms=p99,
    )
    client.connection.close()


def figures(result: Result, quick: bool, options: Any) -> None:
    """On a server of its own."""
    with processes.ours() as server:
        wire.run(measure(server, 15.0 if quick else options.soak_minutes * 60, result))
