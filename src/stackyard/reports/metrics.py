"""What is compared of records: which metrics they hold, and the value of each.

Pure: reads a RunRecord, touches nothing. ``catalogue`` has the measured ones, ``results`` those that a workload said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stackyard.reports.catalogue import CATALOGUE, HEADLINE, Metric
from stackyard.reports.report import ReportOptions
from stackyard.reports.results import flat_results, is_throughput, own, throughput
from stackyard_task.records import RunRecord


def metrics_of(records: Iterable[RunRecord], options: ReportOptions | None = None) -> list[Metric]:
    """The metrics to compare that at least one of ``records`` holds: chosen results, the catalogue, throughputs."""
    records, options = list(records), options or ReportOptions()
    chosen = {each.name for each in options.own}
    wanted = None if options.only is None else set(options.only)
    of_workloads = records if wanted is None or any(map(is_throughput, wanted)) else []
    names = sorted(
        {
            name
            for record in of_workloads
            for name, value in flat_results(record).items()
            if is_throughput(name) and name not in chosen and isinstance(value, (int, float))
        }
    )
    candidates = [*map(own, options.own), *CATALOGUE, *map(throughput, names)]
    return [
        metric
        for metric in candidates
        if (wanted is None or metric.key in wanted)
        and any(read(metric, record) is not None for record in records)
    ]


def spoken_of(metrics: Sequence[Metric], options: ReportOptions) -> list[Metric]:
    """The metrics of which headlines speak: those that were asked for, else those of HEADLINE, then chosen results."""
    by_key = {metric.key: metric for metric in metrics}
    if options.only is not None:
        return [by_key[key] for key in options.only if key in by_key]
    found = [by_key[key] for key in HEADLINE if key in by_key]
    return found + [metric for metric in metrics if metric.group == "own"]


def read(metric: Metric, record: RunRecord) -> float | None:
    """The value of ``metric`` in ``record``, or ``None`` where it was not measured or is not ``comparable``."""
    value = metric.read(record)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not comparable(value):
        return None
    return float(value)


#: Beyond these no value is compared: sums and ratios would leave what a float holds.
LEAST, GREATEST = 1e-100, 1e100


def comparable(value: float) -> bool:
    """Whether a value is one that statistics can work with."""
    return value == 0 or LEAST <= abs(value) <= GREATEST
