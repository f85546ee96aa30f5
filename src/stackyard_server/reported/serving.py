"""Containers that serve models, as they last reported. Kept in memory: whoever is alive reports again.

Nothing here is written to disk, and the containers of a server that restarted show up with their next report.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .. import moments
from ..calls import Call

#: A container that is silent for so long is gone, seconds.
SILENCE_SECONDS = 600
#: Containers remembered; the oldest go first. Reports remembered of each.
MOST_CONTAINERS = 1000
MOST_REPORTS = 500
DESCRIBED = (
    "endpoint_name", "endpoint_url", "model_name", "model_source", "model_version", "preprocess_artifact",
    "input_type", "input_size", "tags", "system_tags", "reference",
)  # fmt: skip
#: What is measured: the name in a report.
MEASURED = {
    "uptime_sec": "uptime_sec",
    "requests": "requests_num",
    "requests_min": "requests_min",
    "latency_ms": "latency_ms",
}
#: The names of charts, and how the values of several containers become one.
CHARTS = {"requests": sum, "requests_min": sum, "latency_ms": lambda values: sum(values) / len(values)}


@dataclass(slots=True)
class Container:
    """One serving container."""

    id: str
    seen_at: int
    timeout_seconds: int = SILENCE_SECONDS
    described: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)
    #: (when, what was measured), oldest first.
    history: deque[tuple[int, dict[str, float]]] = field(default_factory=lambda: deque(maxlen=MOST_REPORTS))

    @property
    def url(self) -> str | None:
        """Where it answers; None while it loads."""
        return self.described.get("endpoint_url")

    def alive(self, now: int) -> bool:
        """Whether it reported lately."""
        return now - self.seen_at <= self.timeout_seconds * 1000


class Containers:
    """The containers of the server's life."""

    def __init__(self) -> None:
        self._containers: OrderedDict[tuple[str, str], Container] = OrderedDict()
        self._lock = threading.Lock()

    def report(self, user: str, data: dict[str, Any], now: int) -> None:
        """Take in what a container says of itself: registering or reporting."""
        key = (user, data["container_id"])
        measured = {name: data[sent] for name, sent in MEASURED.items() if data.get(sent) is not None}
        with self._lock:
            container = self._containers.pop(key, None) or Container(data["container_id"], now)
            container.seen_at = now
            container.timeout_seconds = data.get("timeout") or container.timeout_seconds
            container.described |= {n: data[n] for n in DESCRIBED if data.get(n) is not None}
            container.measured |= measured
            if measured:
                container.history.append((now, measured))
            self._containers[key] = container
            while len(self._containers) > MOST_CONTAINERS:
                self._containers.popitem(last=False)

    def remove(self, user: str, id: str) -> None:
        """Forget a container; one that is not known is no fault."""
        with self._lock:
            self._containers.pop((user, id), None)

    def alive(self, now: int) -> list[Container]:
        """The containers that reported lately, oldest first."""
        with self._lock:
            for key in [key for key, container in self._containers.items() if not container.alive(now)]:
                del self._containers[key]
            return list(self._containers.values())


def containers_of(call: Call) -> Containers:
    """The server's containers."""
    found: Containers = call.services.memory.setdefault("serving", Containers())
    return found


def summary(containers: list[Container]) -> dict[str, Any]:
    """What several containers of one endpoint measured together."""
    newest = containers[-1].described

    def values(name: str) -> list[float]:
        return [c.measured[name] for c in containers if name in c.measured]

    measured = {name: join(values(name)) if values(name) else None for name, join in CHARTS.items()}
    return {
        "endpoint": newest.get("endpoint_name"),
        "model": newest.get("model_name"),
        "url": newest.get("endpoint_url"),
        "instances": len(containers),
        "uptime_sec": max(values("uptime_sec"), default=None),
        **measured,
        "last_update": moments.iso(max(c.seen_at for c in containers)),
    }


def instance(container: Container) -> dict[str, Any]:
    """One container by itself."""
    return {
        "id": container.id,
        **{name: container.measured.get(name) for name in MEASURED},
        "last_update": moments.iso(container.seen_at),
    }


def chart(
    name: str, containers: Iterable[Container], start_ms: int, end_ms: int, interval_ms: int
) -> dict[str, Any]:
    """A chart of one measure over time: means per interval and container, joined over the containers."""
    buckets: dict[int, dict[str, list[float]]] = {}
    for container in containers:
        for at, measured in container.history:
            if start_ms <= at <= end_ms and name in measured:
                held = buckets.setdefault((at - start_ms) // interval_ms, {})
                held.setdefault(container.id, []).append(measured[name])
    join = CHARTS[name]
    dates = sorted(buckets)
    means = [[sum(values) / len(values) for values in buckets[at].values()] for at in dates]
    return {
        "title": name,
        "dates": [start_ms + at * interval_ms for at in dates],
        "values": [join(m) for m in means],
    }
