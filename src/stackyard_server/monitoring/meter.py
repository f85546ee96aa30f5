"""Counts of what the server did since it started. Knows nobody; those who do something tell it.

Every request passes here, so counting is two dictionary entries and nothing is formatted before someone asks
(``exposition``). Counts belong to the event loop's thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

#: Upper bounds of the latency histogram's buckets, seconds; the last bucket has none.
BOUNDS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
#: What a request is counted under that named no endpoint there is: what clients type is no label.
UNKNOWN = "(unknown)"


class Latency:
    """How long requests of one kind took."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        #: How many fell into each bucket, not cumulated; one more than there are bounds.
        self.buckets = [0] * (len(BOUNDS_SECONDS) + 1)
        self.seconds = 0.0


class Meter:
    """One for the server's life."""

    __slots__ = ("event_rows", "latencies", "requests", "watchdog")

    def __init__(self) -> None:
        #: (endpoint, HTTP status) -> how many.
        self.requests: Counter[tuple[str, int]] = Counter()
        #: endpoint -> latency.
        self.latencies: dict[str, Latency] = {}
        #: Rows of events that were taken in and committed.
        self.event_rows = 0
        #: What the watchdog did, by kind.
        self.watchdog: Counter[str] = Counter()

    def answered(self, endpoint: str, code: int, seconds: float) -> None:
        """Count a request.

        Args:
            endpoint: The name of the endpoint that answered; "" where there is none.
            code: The HTTP status.
            seconds: From its first byte here to its last byte handed over.
        """
        endpoint = endpoint or UNKNOWN
        self.requests[endpoint, code] += 1
        latency = self.latencies.get(endpoint)
        if latency is None:
            latency = self.latencies[endpoint] = Latency()
        latency.buckets[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        latency.seconds += seconds

    def took_in(self, rows: int) -> None:
        """Count rows of events, once they are committed."""
        self.event_rows += rows
