"""Scalars per second: our ``events.add_batch``, MLflow's ``log-batch`` and the bare ceiling, in one run.

8 tasks x 4 series over 4 keep-alive connections, 1, 10, 100 and 1000 rows a request, into a table that already
holds a million rows. Bodies are made before the clock starts. Afterwards every series' count, last, least and
greatest value are asked back and compared. MLflow starts from an empty table, which is to its advantage.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import orjson

from bench.result import Result

from . import peers, processes, wire

SIZES = (1, 10, 100, 1000)
TASKS, SERIES, CONNECTIONS = 8, 4, 4
HELD_ROWS = 1_000_000
FIGURES = (
    *(f"ingest_rows_per_second_{n}" for n in SIZES),
    *(f"ingest_ratio_mlflow_{n}" for n in SIZES),
    *(f"ingest_ratio_bare_{n}" for n in SIZES),
)


class Series:
    """What was sent of one series, to be compared with what the server says."""

    def __init__(self) -> None:
        self.count = 0
        self.last = self.least = self.greatest = 0.0

    def take(self, value: float) -> None:
        """One more point."""
        self.least = value if not self.count else min(self.least, value)
        self.greatest = value if not self.count else max(self.greatest, value)
        self.last = value
        self.count += 1


class Batch:
    """A prepared request and the points in it; they count once it was answered."""

    def __init__(self, prepared: bytes, points: list[tuple[Series, float]]) -> None:
        self.prepared = prepared
        self.points = points

    def answered(self) -> None:
        """The server has them."""
        for series, value in self.points:
            series.take(value)


class Load:
    """The rows of one task, in order: every series advances by one iteration in turn."""

    def __init__(self, task: str, seed: int) -> None:
        self.task = task
        self.sent = {f"v{i}": Series() for i in range(SERIES)}
        self._random = random.Random(seed)
        self._next = 0

    def batch(self, count: int, url: str, token: str) -> Batch:
        """The next rows as one request."""
        rows, points = [], []
        for _ in range(count):
            step, number = divmod(self._next, SERIES)
            self._next += 1
            value = self._random.random()
            points.append((self.sent[f"v{number}"], value))
            rows.append(row(self.task, f"v{number}", step, value))
        body = b"\n".join(orjson.dumps(r) for r in rows)
        return Batch(
            wire.request(url, "/v2.34/events.add_batch", body, token, "application/json-lines"), points
        )


def row(task: str, variant: str, step: int, value: float) -> dict[str, Any]:
    """A scalar as the SDK reports it."""
    return {
        "type": "training_stats_scalar", "task": task, "metric": "loss", "variant": variant, "iter": step,
        "value": value, "timestamp": 1_700_000_000_000 + step,
    }  # fmt: skip


async def drive(url: str, queues: list[list[Batch]], seconds: float) -> tuple[int, float]:
    """Send each connection's requests until they or the seconds run out.

    Returns:
        (requests answered with 200, seconds).

    Raises:
        RuntimeError: Any other status.
    """
    connections = [await wire.connect(url) for _ in queues]
    begun = time.perf_counter()

    async def one(connection: wire.Connection, batches: list[Batch]) -> int:
        count = 0
        for batch in batches:
            status, body = await connection.send(batch.prepared)
            if status != 200:
                raise RuntimeError(f"status {status}: {body[:200]!r}")
            count += 1
            if time.perf_counter() - begun > seconds:
                break
        return count

    counts = await asyncio.gather(*(one(c, q) for c, q in zip(connections, queues)))
    took = time.perf_counter() - begun
    for connection, batches, count in zip(connections, queues, counts):
        connection.close()
        for batch in batches[:count]:
            batch.answered()
    return sum(counts), took


async def ours(
    server: processes.Ours, sizes: tuple[int, ...], seconds: float, result: Result
) -> dict[int, float]:
    """Rows a second by size, on top of the held rows; the sums are checked at the end."""
    client = await wire.sign_in(server.api, server.access_key, server.secret_key)
    tasks = [(await client("tasks.create", name=f"load {i}", type="training"))["id"] for i in range(TASKS)]
    loads = [Load(task, seed) for seed, task in enumerate(tasks)]
    for load in loads:
        held = [load.batch(1000, server.api, client.token) for _ in range(HELD_ROWS // TASKS // 1000)]
        await drive(server.api, [held], 1e9)
    rates = {}
    for size in sizes:
        room = (
            int(seconds * {1: 12_000, 10: 100_000, 100: 300_000, 1000: 500_000}[size] / size / CONNECTIONS)
            + 1
        )
        queues = []
        for c in range(CONNECTIONS):
            mine = loads[c * TASKS // CONNECTIONS : (c + 1) * TASKS // CONNECTIONS]
            queues.append([mine[i % len(mine)].batch(size, server.api, client.token) for i in range(room)])
        answered, took = await drive(server.api, queues, seconds)
        rates[size] = answered * size / took
        result.row(part="ingest", server="ours", rows_per_request=size, requests=answered, seconds=took)
    await _check(client, loads)
    client.connection.close()
    return rates


async def _check(client: wire.Client, loads: list[Load]) -> None:
    """Compare count, last, least and greatest of each series.

    Raises:
        RuntimeError: A figure differs.
    """
    for load in loads:
        task = (await client("tasks.get_by_id", task=load.task))["task"]
        (variants,) = task["last_metrics"].values()
        for told in variants.values():
            sent = load.sent[told["variant"]]
            expected = (sent.count, sent.last, sent.least, sent.greatest)
            found = (told["count"], told["value"], told["min_value"], told["max_value"])
            if any(abs(a - b) > 1e-6 for a, b in zip(expected, found)):
                raise RuntimeError(f"series {told['variant']}: sent {expected}, the server says {found}")


async def bare(port_url: str, sizes: tuple[int, ...], seconds: float, result: Result) -> dict[int, float]:
    """The ceiling's rows a second by size."""
    rates = {}
    for size in sizes:
        body = b"\n".join(orjson.dumps(row("x", f"v{i % SERIES}", i // SERIES, 0.5)) for i in range(size))
        one = Batch(wire.request(port_url, "/", body), [])
        answered, took = await drive(port_url, [[one] * 200_000 for _ in range(CONNECTIONS)], seconds)
        rates[size] = answered * size / took
        result.row(part="ingest", server="bare", rows_per_request=size, requests=answered, seconds=took)
    return rates


async def mlflow(url: str, sizes: tuple[int, ...], seconds: float, result: Result) -> dict[int, float]:
    """MLflow's rows a second by size, every answer checked to be 200."""
    connection = await wire.connect(url)

    async def post(path: str, **data: Any) -> dict[str, Any]:
        status, body = await connection.send(
            wire.request(url, f"/api/2.0/mlflow/{path}", json.dumps(data).encode())
        )
        if status != 200:
            raise RuntimeError(f"{path}: {status} {body[:300]!r}")
        return json.loads(body)  # type: ignore[no-any-return]

    experiment = (await post("experiments/create", name="load"))["experiment_id"]
    runs = [
        (await post("runs/create", experiment_id=experiment))["run"]["info"]["run_id"] for _ in range(TASKS)
    ]
    steps = dict.fromkeys(runs, 0)
    rates = {}
    for size in sizes:
        room = int(seconds * {1: 400, 10: 3000, 100: 12_000, 1000: 30_000}[size] / size / CONNECTIONS) + 2
        queues = []
        for c in range(CONNECTIONS):
            mine = runs[c * TASKS // CONNECTIONS : (c + 1) * TASKS // CONNECTIONS]
            queue = []
            for i in range(room):
                run = mine[i % len(mine)]
                metrics = []
                for _ in range(size):
                    step, series = divmod(steps[run], SERIES)
                    steps[run] += 1
                    at = 1_700_000_000_000 + step
                    metrics.append(
                        {"key": f"loss/v{series}", "value": random.random(), "timestamp": at, "step": step}
                    )
                body = json.dumps({"run_id": run, "metrics": metrics}).encode()
                queue.append(Batch(wire.request(url, "/api/2.0/mlflow/runs/log-batch", body), []))
            queues.append(queue)
        answered, took = await drive(url, queues, seconds)
        rates[size] = answered * size / took
        result.row(part="ingest", server="mlflow", rows_per_request=size, requests=answered, seconds=took)
    connection.close()
    return rates


def figures(result: Result, quick: bool, options: Any) -> None:
    """Measure the three, one after the other, each alone."""
    seconds = 1.5 if quick else 4.0
    with processes.ours() as server:
        rates = wire.run(ours(server, SIZES, seconds, result))
    for size in SIZES:
        result.figure(f"ingest_rows_per_second_{size}", rates[size])
    with processes.bare() as url:
        ceiling = wire.run(bare(url, SIZES, min(seconds, 2.0), result))
    for size in SIZES:
        result.figure(f"ingest_ratio_bare_{size}", rates[size] / ceiling[size])
    python, why_not = peers.mlflow_python(options.mlflow_python)
    if python is None:
        result.row(part="ingest", server="mlflow", not_measured=why_not)
        print(f"MLflow not measured: {why_not}")
        return
    try:
        with processes.mlflow(python) as url:
            theirs = wire.run(mlflow(url, SIZES, seconds, result))
    except (RuntimeError, OSError) as fault:  # what is measured of ours is kept
        result.row(part="ingest", server="mlflow", not_measured=str(fault))
        print(f"MLflow not measured: {fault}")
        return
    for size in SIZES:
        result.figure(f"ingest_ratio_mlflow_{size}", rates[size] / theirs[size])
