"""How long a worker waits for its next task while a hundred poll and events pour in."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from typing import Any

from bench.result import Result

from . import ingest, processes, wire

FIGURES = ("next_task_p50_ms", "next_task_p99_ms", "next_task_event_rows_per_second")
AGENTS = 100
#: Ten times as often as agents do by default; like theirs, on machines of their own, the polls drift.
POLL_SECONDS = 0.5
#: Offered beside the polls.
ROWS_PER_SECOND, BATCH = 20_000, 100


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def measure(server: processes.Ours, count: int, result: Result) -> None:
    """Hand out ``count`` tasks; only calls that returned one are timed."""
    client = await wire.sign_in(server.api, server.access_key, server.secret_key)
    queue = (await client("queues.create", name="bench"))["id"]
    tasks = [(await client("tasks.create", name=f"wait {i}", type="training"))["id"] for i in range(count)]
    loads = [
        ingest.Load((await client("tasks.create", name=f"load {i}", type="training"))["id"], i)
        for i in range(4)
    ]
    poll = wire.request(
        server.api, "/v2.34/queues.get_next_task", b'{"queue":"%s"}' % queue.encode(), client.token
    )
    seconds = count / 40.0
    batches = [
        [
            load.batch(BATCH, server.api, client.token)
            for _ in range(int(ROWS_PER_SECOND / BATCH / 4 * seconds))
        ]
        for load in loads
    ]
    waits: list[float] = []
    handed: list[str] = []
    over = asyncio.Event()
    chance = random.Random(5)

    async def agent(number: int) -> None:
        connection = await wire.connect(server.api)
        await asyncio.sleep(POLL_SECONDS * number / AGENTS)
        while not over.is_set():
            begun = time.perf_counter()
            status, body = await connection.send(poll)
            took = time.perf_counter() - begun
            if status != 200:
                raise RuntimeError(f"get_next_task: {status} {body[:200]!r}")
            if b'"entry"' in body:
                waits.append(took * 1000)
                handed.append(body.split(b'"task":"')[1][:32].decode())
            else:
                await asyncio.sleep(POLL_SECONDS * chance.uniform(0.8, 1.2))
        connection.close()

    async def report(place: int, mine: list[ingest.Batch], begun: float) -> int:
        connection = await wire.connect(server.api)
        begun += place * BATCH / ROWS_PER_SECOND  # the connections take turns
        for number, batch in enumerate(mine):
            await asyncio.sleep(max(0.0, begun + number * BATCH * 4 / ROWS_PER_SECOND - time.perf_counter()))
            status, body = await connection.send(batch.prepared)
            if status != 200:
                raise RuntimeError(f"add_batch: {status} {body[:200]!r}")
        connection.close()
        return len(mine) * BATCH

    agents = [asyncio.create_task(agent(i)) for i in range(AGENTS)]
    begun = time.perf_counter()
    reports = [asyncio.create_task(report(i, mine, begun)) for i, mine in enumerate(batches)]
    for number, task in enumerate(tasks):
        await asyncio.sleep(max(0.0, begun + number / 40.0 - time.perf_counter()))
        await client("tasks.enqueue", task=task, queue=queue)
    rows = sum(await asyncio.gather(*reports))
    took = time.perf_counter() - begun
    end_at = time.perf_counter() + 10
    while len(handed) < count and time.perf_counter() < end_at:
        await asyncio.sleep(0.1)
    over.set()
    await asyncio.gather(*agents)
    if sorted(handed) != sorted(tasks):
        raise RuntimeError(
            f"{count} tasks were enqueued, {len(handed)} handed out, {len(set(handed))} of them different"
        )
    result.figure("next_task_p50_ms", statistics.median(waits))
    result.figure("next_task_p99_ms", percentile(waits, 0.99))
    result.figure("next_task_event_rows_per_second", rows / took)
    result.row(part="queue", tasks=count, agents=AGENTS, p90_ms=percentile(waits, 0.9), worst_ms=max(waits))
    client.connection.close()


def figures(result: Result, quick: bool, options: Any) -> None:
    """On a server of its own."""
    with processes.ours() as server:
        wire.run(measure(server, 200 if quick else 1000, result))
