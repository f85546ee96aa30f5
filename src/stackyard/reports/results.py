"""What a workload said of its own work: its results by name, and as metrics. Pure.

Speeds ("..._per_second") are metrics by themselves; other results (f1, losses) where the options choose them.
"""

from __future__ import annotations

import math
import re

from stackyard.reports.catalogue import Metric
from stackyard.reports.report import OwnMetric
from stackyard_task.records import RunRecord


def throughput(name: str) -> Metric:
    """The metric behind a workload result called ``..._per_second``."""
    words = name.removesuffix("_per_second").replace("_", " ").replace(".", " ")

    def read(record: RunRecord) -> float | None:
        return flat_results(record).get(name)  # type: ignore[return-value]

    meaning = f"The workload's own figure {name!r}."
    return Metric(
        key_of_result(name), f"{words.capitalize()} per second", "1/s", "throughput", meaning, read, False
    )


def own(chosen: OwnMetric) -> Metric:
    """The metric behind a result that is to be compared."""

    def read(record: RunRecord) -> float | None:
        found = record.results.get(chosen.name)
        return flat_results(record).get(chosen.name) if found is None else found  # type: ignore[return-value]

    return Metric(
        key_of_result(chosen.name),
        chosen.label,
        chosen.unit,
        chosen.group,
        chosen.meaning,
        read,
        chosen.less_is_better,
    )


def key_of_result(name: str) -> str:
    """The key of the metric behind a result."""
    return f"results.{name}"


def is_throughput(name: str) -> bool:
    """Whether a workload result is a speed, and so compared as a metric."""
    return name.endswith("_per_second")


#: Words of a result's name that say a time or a rate; "s" only where it ends one ("img/s") or begins a ratio ("s/it").
_SPEED = re.compile(
    r"(?:(?:milli|micro|nano)?sec(?:ond)?s?|millis|micros|ms|us|ns|[mu]sec|minutes?|mins|hours?"
    r"|time|timings?|durations?|elapsed|latenc(?:y|ies)|runtime|walltime|timestamps?"
    r"|throughput|speed(?:up)?|fps|qps|rps|tps|ips|[mgtp]?flops|mfu|bandwidth|[kmg]bps)"
)
#: Words that say that something else is told, of times ("mae_seconds") or beside them ("time_series_loss").
_DEVIATION = re.compile(r"err(?:ors?)?|mae|r?mse|mape|rmsle|deviation|bias")
_QUALITY = re.compile(
    rf"{_DEVIATION.pattern}|loss(?:es)?|acc(?:uracy)?|au(?:ro)?c|f1|scores?|precision|recall|r2|corr(?:elation)?"
)
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z][A-Z0-9]*(?![a-z])")


def is_speed(name: str) -> bool:
    """Whether a result's name says a time or a rate, in which cells may differ while they do the same work."""
    words = [word.lower() for word in _WORD.findall(name)]
    speeds = [bool(_SPEED.fullmatch(word)) for word in words]
    if len(words) > 1:
        speeds[0], speeds[-1] = speeds[0] or words[0] == "s", speeds[-1] or words[-1] == "s"
    other = _DEVIATION if any(speeds[-1:]) else _QUALITY
    return any(speeds) and not any(map(other.fullmatch, words))


def flat_results(record: RunRecord) -> dict[str, float | str | bool]:
    """The workload's results with nested objects flattened to dotted names; lists and nulls left out."""
    found: dict[str, float | str | bool] = {}

    def descend(prefix: str, value: object, depth: int) -> None:
        if isinstance(value, dict) and depth < 4:
            for key, inner in value.items():
                descend(f"{prefix}.{key}" if prefix else str(key), inner, depth + 1)
        elif isinstance(value, (str, bool)) or (isinstance(value, (int, float)) and math.isfinite(value)):
            found[prefix] = value

    descend("", record.results, 0)
    return found
