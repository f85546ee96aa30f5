"""Queues over time: from samples of a queue's depth to the series that are drawn. Pure: no clock, no store.

A sample says how many tasks waited and the sum of the instants at which they had come, so that the mean wait at any
later moment follows without looking at the tasks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: The name of the series over all queues.
TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits in a queue."""

    waiting: int
    #: Sum of the instants at which they came, epoch milliseconds.
    added_sum: int

    def waited_seconds(self, at: int) -> float:
        """The waits of all of them together at a moment."""
        return max(0, at * self.waiting - self.added_sum) / 1000


@dataclass(frozen=True, slots=True)
class Change:
    """A task came or went: the depth with it and after it."""

    queue: str
    at: int
    with_it: Depth
    after: Depth


def depth_series(changes: Iterable[Change], since: int, interval: int) -> dict[str, Any]:
    """How many tasks waited and for how long, per interval in which something changed.

    Of each queue the deepest moment of the interval counts; queues in which nothing changed keep their depth.

    Args:
        changes: In order of time; those before ``since`` only tell how deep the queues were then.
        since: Epoch milliseconds.
        interval: Milliseconds.

    Returns:
        ``dates`` (starts of the intervals, epoch milliseconds), ``queue_lengths``, ``avg_waiting_times`` (seconds).
    """
    dates: list[int] = []
    lengths: list[int] = []
    waits: list[float] = []
    now_waiting: dict[str, Depth] = {}
    deepest: dict[str, tuple[int, Depth]] = {}

    def close(last_at: int) -> None:
        # those without a change are taken at the interval's last change
        depths = {**{q: (last_at, d) for q, d in before.items()}, **deepest}
        together = sum(depth.waiting for _, depth in depths.values())
        waited = sum(depth.waited_seconds(at) for at, depth in depths.values())
        lengths.append(together)
        waits.append(waited / together if together else 0.0)

    before: Mapping[str, Depth] = {}
    last_at = since
    for change in changes:
        if change.at >= since:
            start = change.at // interval * interval
            if not dates or start != dates[-1]:
                if dates:
                    close(last_at)
                dates.append(start)
                deepest, before = {}, dict(now_waiting)
            known = deepest.get(change.queue)
            if known is None or change.with_it.waiting >= known[1].waiting:
                deepest[change.queue] = (change.at, change.with_it)
            last_at = change.at
        now_waiting[change.queue] = change.after
    if dates:
        close(last_at)
    return {"dates": dates, "queue_lengths": lengths, "avg_waiting_times": waits}
