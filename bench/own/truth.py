"""How true the figures of a record are: peak memory and CPU time of programs whose use is known."""

from __future__ import annotations

from typing import Any

from bench.own.instruments import Ours, errors, spikes
from bench.own.yard import Yard
from bench.result import Result

FIGURES = (
    "cpu_error_percent_worst",
    "peak_rss_error_percent_worst",
    "spikes_caught_of_25",
    "cpu_error_percent_worst_no_cgroup",
    "peak_rss_error_percent_worst_no_cgroup",
    "spikes_caught_of_25_no_cgroup",
)


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """With a cgroup of its own, and without."""
    sizes, burn, repeats = ((500,), 1.0, 1) if quick else ((500, 200, 1000, 2000), 2.0, 3)
    ours = Ours(yard)
    errors(result, yard, ours, sizes=sizes, burn=burn, repeats=repeats)
    spikes(result, yard, ours, repeats=1 if quick else 5)
    if quick:
        return
    without = Ours(yard, "processes", "_no_cgroup")
    errors(result, yard, without, sizes=sizes[:1], burn=burn, repeats=1)
    spikes(result, yard, without, repeats=5)
