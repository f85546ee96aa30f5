"""What is wrong with queues and workers, in words. Pure: what is seen goes in, sentences come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .shown import duration

#: Agents report every 30 seconds; beyond this one has missed two reports.
SILENT_SECONDS = 90
#: A task that waits longer than this beside an idle worker is worth a word.
IDLE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as it was last heard of."""

    id: str
    silent_seconds: float
    busy: bool


def about_worker(worker: Worker) -> str:
    """What is wrong with a worker; "" where nothing is."""
    if worker.silent_seconds <= SILENT_SECONDS:
        return ""
    whole = f"{worker.id} has been silent for {duration(worker.silent_seconds)}"
    return f"{whole}, and it runs a task." if worker.busy else f"{whole}."


def about_queue(
    waiting: int, oldest_seconds: float | None, workers: Sequence[Worker], unread: Sequence[str] = ()
) -> list[str]:
    """What is wrong with a queue.

    Args:
        waiting: How many tasks wait.
        oldest_seconds: How long the oldest has, of those that are not waiting for a retry; None where there is none.
        workers: Those that listen.
        unread: Keys of the queue's metadata whose values cannot be used.
    """
    found = []
    if waiting and not workers:
        found.append("No worker serves this queue: what waits here waits for nobody.")
    found += [text for worker in workers if (text := about_worker(worker))]
    idle = [w.id for w in workers if not w.busy and w.silent_seconds <= SILENT_SECONDS]
    if idle and oldest_seconds is not None and oldest_seconds > IDLE_SECONDS:
        found.append(
            f"A task has waited for {duration(oldest_seconds)} although {idle[0]} is idle: it does not ask for tasks."
        )
    found += [f"The queue's metadata {key} cannot be read and counts for nothing." for key in unread]
    return found
