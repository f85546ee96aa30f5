"""What workers' machines measured, as the series that are drawn. Pure: no clock, no store.

Intervals start at whole multiples of their length, from that in which ``since`` lies to before that in which ``until``
lies; an interval without a measurement is 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "avg": lambda values: sum(values) / len(values),
    "min": min,
    "max": max,
}
#: The one variant of what is measured once a machine.
TOTAL = "total"


def starts(since: int, until: int, interval: int) -> range:
    """The starts of the intervals."""
    return range(since // interval * interval, until // interval * interval, interval)


def variants(value: Any) -> dict[str, float]:
    """A measurement by device ("0", "1"...), or "total" for one number."""
    if isinstance(value, list):
        return {str(n): float(v) for n, v in enumerate(value) if _is_number(v)}
    return {TOTAL: float(value)} if _is_number(value) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def categories(measured: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The metrics that were ever not 0, by what they are about (gpu, cpu, disk...), the most measured first."""
    counts: Counter[str] = Counter()
    keys: dict[str, set[str]] = {}
    for stats in measured:
        for key, value in stats.items():
            seen = sum(1 for v in variants(value).values() if v)
            if seen:
                category = key.partition("_")[0]
                counts[category] += seen
                keys.setdefault(category, set()).add(key)
    ordered = sorted(counts, key=lambda c: (-counts[c], c))
    return [{"name": c, "metric_keys": sorted(keys[c])} for c in ordered]


class Series:
    """The values of one metric of one worker, by interval and device."""

    def __init__(self, dates: range) -> None:
        self.dates = dates
        self._values: dict[str, dict[int, list[float]]] = {}

    def add(self, at: int, value: Any) -> None:
        """Take a measurement in."""
        start = at // self.dates.step * self.dates.step
        for name, number in variants(value).items():
            self._values.setdefault(name, {}).setdefault(start, []).append(number)

    def __bool__(self) -> bool:
        return bool(self._values)

    @property
    def devices(self) -> list[str]:
        """The devices measured; none where there is one number a machine."""
        return sorted((n for n in self._values if n != TOTAL), key=int)

    def values(self, aggregation: str, variant: str | None = None) -> list[float]:
        """One value an interval, over all devices or of one variant."""
        names = list(self._values) if variant is None else [variant]
        combine = AGGREGATIONS[aggregation]
        result = []
        for date in self.dates:
            found = [v for name in names for v in self._values[name].get(date, ())]
            result.append(combine(found) if found else 0.0)
        return result

    @property
    def variants(self) -> list[str]:
        """The devices, or "total"."""
        return sorted(self._values)


def busy_counts(seen: Iterable[tuple[int, str, str, bool]], dates: range) -> dict[str, Any]:
    """How many workers reported in each interval, and how many of them while running a task.

    Args:
        seen: When which worker (user, id) reported, and whether it ran a task.
        dates: The starts of the intervals.
    """
    total: dict[int, set[tuple[str, str]]] = {}
    active: dict[int, set[tuple[str, str]]] = {}
    for at, user, worker, running in seen:
        start = at // dates.step * dates.step
        total.setdefault(start, set()).add((user, worker))
        if running:
            active.setdefault(start, set()).add((user, worker))
    shown = list(dates)
    return {
        name: {"dates": shown, "counts": [len(sets.get(d, ())) for d in shown]}
        for name, sets in (("total", total), ("active", active))
    }
