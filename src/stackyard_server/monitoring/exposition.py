"""The server's figures in Prometheus' text format, read at the moment someone asks.

Names in it are those of queues, workers and endpoints; of tasks only numbers. Imports the store (a snapshot), the meter
and prometheus_client; who may read is decided where it is served (``api``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from ..rules import task_status
from ..store import FILE_NAME, Store, Transaction, workers
from ..store import queues as store_queues
from ..store import tasks as store_tasks
from .meter import BOUNDS_SECONDS, Meter

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text(store: Store, meter: Meter, now: int) -> bytes:
    """Everything there is to tell, as one scrape's answer; may take milliseconds, so not for the event loop.

    Args:
        store: The server's database; read on a snapshot.
        meter: The server's counts.
        now: Epoch milliseconds.
    """
    registry = CollectorRegistry()
    registry.register(_Figures(store, meter, now))
    prometheus_client.ProcessCollector(
        registry=registry
    )  # resident memory, CPU seconds, open files, start time
    return prometheus_client.generate_latest(registry)


class _Figures(Collector):
    def __init__(self, store: Store, meter: Meter, now: int) -> None:
        self.store, self.meter, self.now = store, meter, now

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not look at the figures when it is told of them."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The families, one after the other."""
        with self.store.reading() as tx:
            yield from queues(tx, self.now)
            yield tasks(tx)
            yield from machines(tx, self.now)
        yield from requests(self.meter)
        yield from disk(self.store.folder)


def queues(tx: Transaction, now: int) -> Iterator[Metric]:
    """Per queue: how many wait, how long the oldest has, how many workers listen."""
    waiting = GaugeMetricFamily(
        "stackyard_queue_waiting_tasks", "Tasks that wait in the queue.", labels=["queue"]
    )
    oldest = GaugeMetricFamily(
        "stackyard_queue_oldest_waiting_seconds", "Age of the entry that waits longest; 0 where none waits.",
        labels=["queue"],
    )  # fmt: skip
    serving = GaugeMetricFamily(
        "stackyard_queue_workers", "Workers alive that listen on the queue.", labels=["queue"]
    )
    listening = workers.by_queue(tx, now)
    for queue in store_queues.depths(tx):
        waiting.add_metric([queue.name], queue.waiting)
        oldest.add_metric([queue.name], max(0, now - queue.oldest) / 1000 if queue.oldest is not None else 0)
        serving.add_metric([queue.name], len(listening.get(queue.id, ())))
    yield from (waiting, oldest, serving)


def tasks(tx: Transaction) -> Metric:
    """How many tasks there are of each status."""
    family = GaugeMetricFamily("stackyard_tasks", "Tasks by status.", labels=["status"])
    counted = store_tasks.count_by_status(tx)
    for status in task_status.STATUSES:
        family.add_metric([status], counted.get(status, 0))
    return family


def machines(tx: Transaction, now: int) -> Iterator[Metric]:
    """Per worker: when it was last heard of, and whether it runs a task."""
    seen = GaugeMetricFamily(
        "stackyard_worker_last_seen_timestamp_seconds", "When the worker last reported.", labels=["worker"]
    )
    busy = GaugeMetricFamily("stackyard_worker_busy", "1 while the worker runs a task.", labels=["worker"])
    last: dict[str, tuple[int, bool]] = {}
    for worker in workers.alive(tx, now):  # one id may be used by several users
        at, runs = last.get(worker.id, (0, False))
        last[worker.id] = (max(at, worker.last_active), runs or worker.task is not None)
    for id, (at, runs) in sorted(last.items()):
        seen.add_metric([id], at / 1000)
        busy.add_metric([id], int(runs))
    yield from (seen, busy)


def requests(meter: Meter) -> Iterator[Metric]:
    """What was asked, how it was answered and how long that took; events taken in; what the watchdog did."""
    answered = CounterMetricFamily(
        "stackyard_requests", "API requests by endpoint and HTTP status.", labels=["endpoint", "status"]
    )
    for (endpoint, code), count in sorted(meter.requests.items()):
        answered.add_metric([endpoint, str(code)], count)
    took = HistogramMetricFamily(
        "stackyard_request_seconds", "How long API requests took, the reading of their bodies included.",
        labels=["endpoint"],
    )  # fmt: skip
    for endpoint, latency in sorted(meter.latencies.items()):
        buckets, total = [], 0
        for bound, count in zip((*map(str, BOUNDS_SECONDS), "+Inf"), list(latency.buckets)):
            total += count
            buckets.append((bound, total))
        took.add_metric([endpoint], buckets, latency.seconds)
    rows = CounterMetricFamily("stackyard_event_rows", "Rows of events taken in.")
    rows.add_metric([], meter.event_rows)
    actions = CounterMetricFamily("stackyard_watchdog_actions", "What the watchdog did.", labels=["action"])
    for action in ACTIONS:
        actions.add_metric([action], meter.watchdog[action])
    yield from (answered, took, rows, actions)


#: What the watchdog does: a lost task queued again, failed or stopped; one over its time asked to stop, or failed.
ACTIONS = ("requeued", "failed", "stopped", "time_limit_asked", "time_limit_failed")


def disk(folder: Path) -> Iterator[Metric]:
    """How large the database and its log are."""
    for name, path, words in (
        ("stackyard_database_bytes", folder / FILE_NAME, "Size of the database file."),
        ("stackyard_database_wal_bytes", folder / f"{FILE_NAME}-wal", "Size of its write-ahead log."),
    ):
        try:
            size = os.stat(path).st_size
        except FileNotFoundError:
            size = 0
        yield GaugeMetricFamily(name, words, value=size)
