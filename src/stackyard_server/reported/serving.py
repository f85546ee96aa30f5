"""Containers that serve models, as they last reported. Kept in memory: whoever is alive reports again.

Nothing here is written to disk, and the containers of a server that restarted show up with their next report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from .. import moments
from ..calls import Call
from ..calls.kept import Kept
from ..protocol.error_table import error

#: A container that is silent for so long is gone, seconds.
SILENCE_SECONDS = 600
#: Containers remembered; the oldest of the user who has most go first. Reports remembered of each.
MOST_CONTAINERS = 1000
MOST_REPORTS = 500
#: What one may say of itself, as JSON; what its objects take of that; what a report takes.
MOST_DESCRIBED_BYTES, OBJECTS_SHARE, REPORT_BYTES = 64 * 1024, 4, 400
#: However long one says that it may be silent.
LONGEST_SILENCE_SECONDS = 24 * 3600
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


@dataclass(frozen=True, slots=True)
class Container:
    """One serving container, as it reported last; a further report makes another of it."""

    id: str
    seen_at: int
    timeout_seconds: int = SILENCE_SECONDS
    described: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    #: (when, what was measured), oldest first.
    history: tuple[tuple[int, Mapping[str, float]], ...] = ()

    @property
    def url(self) -> str | None:
        """Where it answers; None while it loads."""
        return self.described.get("endpoint_url")

    @property
    def until(self) -> int:
        """When it counts as gone, unless it reports again."""
        return self.seen_at + min(self.timeout_seconds, LONGEST_SILENCE_SECONDS) * 1000


class Containers(Kept[tuple[str, str], Container]):
    """The containers of the server's life, by user and id."""

    def __init__(self) -> None:
        super().__init__(MOST_CONTAINERS)

    def report(self, user: str, data: dict[str, Any], now: int) -> None:
        """Take in what a container says of itself: registering or reporting.

        Raises:
            ApiError: 400/800 it says too much.
        """
        key = (user, data["container_id"])
        known = self.get(key, now) or Container(data["container_id"], now)
        described = {**known.described, **{n: data[n] for n in DESCRIBED if data.get(n) is not None}}
        size = len(orjson.dumps([key, described]))
        if size > MOST_DESCRIBED_BYTES:
            raise error("data_validation", container=f"{MOST_DESCRIBED_BYTES} bytes of JSON at most")
        measured = {name: data[sent] for name, sent in MEASURED.items() if data.get(sent) is not None}
        history = (*known.history[1 - MOST_REPORTS :], (now, measured)) if measured else known.history
        timeout = data.get("timeout") or known.timeout_seconds
        container = Container(known.id, now, timeout, described, {**known.measured, **measured}, history)
        size = OBJECTS_SHARE * size + REPORT_BYTES * len(history)
        self.put(key, container, user, size, container.until, now)

    def remove(self, user: str, id: str) -> None:
        """Forget a container; one that is not known is no fault."""
        self.drop((user, id))

    def alive(self, now: int) -> list[Container]:
        """The containers that reported lately, oldest first."""
        return self.values(now)


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
