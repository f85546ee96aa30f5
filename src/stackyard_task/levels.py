"""Whether what a run uses leaves the level of its first steps, and stays away: an alarm for whoever runs it.

Study 002 found memory and step time of a training level from its first steps on, so a lasting shift says that something
has happened: a leak, a neighbour, a data loader that fell behind. Start-up, loading and the end of a run change levels
rightly, so only its steps are looked at: the steady phase, or from the third step told to the last one. A run that
names neither is not judged.

The detector is a two-sided CUSUM (E. S. Page, Continuous Inspection Schemes, Biometrika 41, 1954) of medians of short
windows, standardised by the median and the scaled median absolute deviation (F. R. Hampel, The Influence Curve and Its
Role in Robust Estimation, JASA 69, 1974) of the first ones. Deviations are clipped, so that a single spike, however
high, is no alarm, and a shift must be as large as people care about, so that small scatter is none. Pure.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from stackyard_task.records import Alarm

#: Points of a timeline whose median is one reading.
WINDOW_POINTS = 5
#: Readings that make the level, and those that are needed after them.
LEVEL_READINGS, LEAST_READINGS = 10, 10
#: The allowance of the CUSUM and its threshold, in deviations; how far one reading is believed. So a shift has to last
#: five readings at least.
ALLOWANCE, THRESHOLD, CLIP = 1.0, 12.0, 4.0


@dataclass(frozen=True)
class Kind:
    """A metric that has a level."""

    name: str
    #: As in an alarm's sentence.
    called: str
    unit: str
    #: The least deviation, as a share of the level and in its unit: below, scatter is not worth a word.
    least_share: float
    least: float
    #: The least shift that is told, up or down, as a factor.
    shift: float


RAM = Kind("rss_bytes", "RAM", "bytes", 0.02, 2e6, 1.2)
CPU = Kind("cpu_percent_of_core", "CPU use", "percent", 0.1, 10.0, 2.0)
STEP = Kind("step_seconds", "step time", "seconds", 0.05, 1e-4, 1.3)


def alarms(
    timeline: Dict[str, Any], steps: Sequence[Tuple[float, float]], begun: Optional[float]
) -> List[Alarm]:
    """What left its level, each metric at most once.

    Args:
        timeline: as ``Timeline.to_json`` gives it.
        steps: (seconds since the start, median seconds of a step) of windows of steps, in order.
        begun: when the third step was told; ``None``: none was.
    """
    begin, end = steady(timeline.get("phases") or [], begun, steps)
    if begin is None:
        return []
    at = timeline.get("t_seconds") or []
    found = []
    for kind in (RAM, CPU):
        series = [
            (t, value)
            for t, value in zip(at, timeline.get(kind.name) or [])
            if value is not None and t >= begin and (end is None or t <= end)
        ]
        found.append(left(kind, windows(series)))
    found.append(left(STEP, [(t, s) for t, s in steps if t >= begin and (end is None or t <= end)]))
    return [alarm for alarm in found if alarm is not None]


def left(kind: Kind, readings: Sequence[Tuple[float, float]]) -> Optional[Alarm]:
    """When a metric left its level; ``None``: it did not, or there are too few readings.

    Args:
        kind: the metric.
        readings: (seconds since the start, value), in order.
    """
    if len(readings) < LEVEL_READINGS + LEAST_READINGS:
        return None
    first = [value for _, value in readings[:LEVEL_READINGS]]
    level = statistics.median(first)
    scatter = 1.4826 * statistics.median(abs(value - level) for value in first)
    scale = max(scatter, kind.least_share * abs(level), kind.least)
    rest = readings[LEVEL_READINGS:]
    for sign in (1, -1):
        total, since = 0.0, 0
        for place, (_, value) in enumerate(rest):
            deviation = min(CLIP, max(-CLIP, sign * (value - level) / scale))
            total = max(0.0, total + deviation - ALLOWANCE)
            if total == 0.0:
                since = place + 1
            elif total > THRESHOLD and _shifted(kind, level, [v for _, v in rest[since : place + 1]]):
                seen = statistics.median(v for _, v in rest[since : place + 1])
                return Alarm(
                    kind.name,
                    level,
                    seen,
                    kind.unit,
                    rest[since][0],
                    _sentence(kind, level, seen, rest[since][0]),
                )
    return None


def _shifted(kind: Kind, level: float, values: Sequence[float]) -> bool:
    seen = statistics.median(values)
    low, high = min(seen, level), max(seen, level)
    return high - low > kind.least and high > kind.shift * low


def steady(
    phases: Sequence[Dict[str, Any]], begun: Optional[float], steps: Sequence[Tuple[float, float]]
) -> Tuple[Optional[float], Optional[float]]:
    """(begin, end) of the longest steady phase, else of the steps that were told; an end of ``None`` is the run's."""
    spans = []
    for place, phase in enumerate(phases):
        if phase.get("name") == "steady":
            after = phases[place + 1]["at_seconds"] if place + 1 < len(phases) else None
            spans.append((phase["at_seconds"], after))
    if spans:
        return max(spans, key=lambda span: float("inf") if span[1] is None else span[1] - span[0])
    if begun is None or not steps:
        return None, None
    return begun, steps[-1][0]


def windows(series: Sequence[Tuple[float, float]]) -> List[Tuple[float, float]]:
    """Medians of WINDOW_POINTS points each, with the time of the first."""
    groups = [series[n : n + WINDOW_POINTS] for n in range(0, len(series) - WINDOW_POINTS + 1, WINDOW_POINTS)]
    return [(group[0][0], statistics.median(value for _, value in group)) for group in groups]


def _sentence(kind: Kind, level: float, seen: float, at: float) -> str:
    way = "above" if seen > level else "below"
    return (
        f"{kind.called} left its level {at:.0f} s after the start: {_amount(seen, kind)} at first, {way} the "
        f"{_amount(level, kind)} of its first steps"
    )


def _amount(value: float, kind: Kind) -> str:
    if kind.unit == "bytes":
        return f"{value / 1e6:,.0f} MB"
    if kind.unit == "percent":
        return f"{value:.0f} % of a core"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"
