"""What a run says of its trial: progress while it goes on, the record when it is over. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.tuning.prediction import readings
from stackyard.tuning.study import Objective
from stackyard.tuning.trial import Point, Reason, Trial
from stackyard_task import criteria
from stackyard_task.records import Measurement, Progress, RunRecord

#: Points of a course that a trial's file keeps; every second one goes when there are more.
MOST_POINTS = 500


def take_progress(trial: Trial, progress: Progress, objective: Objective) -> None:
    """Take in what a trial under way does: what it has used by now, and a new value of the first objective."""
    readings.keep(trial.readings, readings.of(progress))
    latest = trial.readings[-1].used
    trial.used.update((name, latest[name]) for name in readings.GROWING if name in latest)
    told = progress.metrics.get(objective.name)
    if told is None or told.value is None or told.step is None or not math.isfinite(told.value):
        return
    if trial.course and told.step <= trial.course[-1].step:
        return
    trial.course.append(Point(told.cpu_seconds, told.at_seconds, told.step, told.value))
    if len(trial.course) > MOST_POINTS:
        trial.course[:-1] = trial.course[:-1][::2]


def take_series(trial: Trial, series: Mapping[str, Any], objectives: Sequence[Objective]) -> None:
    """Take in the courses that a run left: of the first objective all of it, which is more than was seen on the way.

    Args:
        trial: which. An objective that asks for it has the best value of its course from here on.
        series: name -> [[step, value, seconds, CPU seconds], ...], as ``series.json`` has it.
        objectives: what is sought.
    """
    for place, objective in enumerate(objectives):
        points = _points(series.get(objective.name))
        if points and place == 0:
            trial.course = points[:: -(-len(points) // MOST_POINTS)]
        if points and objective.best and objective.name in trial.values:
            values = [trial.values[objective.name], *(point.value for point in points)]
            trial.values[objective.name] = max(values) if objective.maximise else min(values)


def _points(rows: object) -> list[Point]:
    """What of a course can be used; whatever a run left there."""
    points = []
    for row in rows if isinstance(rows, list) else []:
        numbers = row if isinstance(row, list) else []
        if len(numbers) < 2 or not all(_is_finite(number) for number in numbers[:2]):
            continue
        wall, cpu = (*(n if _is_finite(n) else None for n in numbers[2:4]), None, None)[:2]
        points.append(Point(cpu, wall, numbers[0], numbers[1]))
    return points


def take_record(
    trial: Trial,
    record: RunRecord,
    objectives: Sequence[Objective],
    asked: Reason | None = None,
    limits: Mapping[str, float] | None = None,
) -> None:
    """Take in how a trial ended.

    Args:
        trial: which; its state, reason, values and use are set.
        record: of its run.
        objectives: what is sought.
        asked: why the tuner itself asked for the end; ``None``: it did not.
        limits: quantity -> greatest that it might use: what ended by itself beyond one has broken it all the same.
    """
    trial.used.update(used(record.measurement))
    if record.dispatch is not None:
        trial.retries = max(trial.retries, record.dispatch.retries)
    values, missing = _values(trial, record, objectives)
    trial.values = values
    if record.status == "stopped" and record.stopped is not None:
        stopped = record.stopped
        trial.state = "stopped"
        trial.reason = Reason("limit", stopped.message, stopped.criterion, stopped.limit, stopped.seen)
    elif record.status == "completed":
        trial.state, trial.reason = ("completed", None) if missing is None else ("failed", missing)
        beyond = None if missing is not None else _beyond(trial, limits or {})
        if beyond is not None:
            trial.state, trial.reason = "stopped", beyond
    elif asked is not None and record.failure is not None and record.failure.kind == "interrupted":
        trial.state, trial.reason = "stopped", asked
    elif record.failure is not None and record.failure.kind == "interrupted":
        trial.state, trial.reason = "stopped", Reason("request", "somebody ended its run")
    else:
        failure = record.failure
        kind, message = (failure.kind, failure.message) if failure else ("code", "the run failed")
        if kind == "time_limit":
            trial.state, trial.reason = "stopped", Reason("limit", message, "wall_seconds")
        else:
            trial.state, trial.reason = "failed", Reason(kind, message)


def _beyond(trial: Trial, limits: Mapping[str, float]) -> Reason | None:
    """The limit that a trial had broken when it ended by itself; ``None``: it kept them."""
    for name, limit in limits.items():
        seen = trial.used.get(name)
        if seen is not None and seen > limit:
            said = f"ended by itself beyond its limit of {criteria.WORDS[name]}"
            amounts = criteria.beyond(seen, limit, name)
            return Reason("limit", f"{said}: {amounts}", name, limit, seen)
    return None


def used(measurement: Measurement) -> dict[str, float]:
    """What a run used, by quantity; what was not measured is absent."""
    gpus = [gpu.peak_memory_bytes for gpu in measurement.gpus if gpu.peak_memory_bytes is not None]
    found: dict[str, Any] = {
        "ram_bytes": measurement.peak_rss_bytes,
        "ram_minus_shared_bytes": measurement.peak_rss_minus_shared_bytes,
        "gpu_memory_bytes": max(gpus, default=None),
        "step_seconds": None if measurement.steps is None else measurement.steps.mean_seconds,
        "cpu_seconds": measurement.cpu_seconds,
        "wall_seconds": measurement.wall_seconds,
        "energy_joules": measurement.energy_joules,
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _values(
    trial: Trial, record: RunRecord, objectives: Sequence[Objective]
) -> tuple[dict[str, float], Reason | None]:
    """The objectives' values, and why one has none."""
    values: dict[str, float] = {}
    missing: Reason | None = None
    for objective in objectives:
        told = trial.used.get(objective.name) if objective.is_cost else record.results.get(objective.name)
        if told is not None and _is_finite(told):
            values[objective.name] = float(told)
        elif told is not None:
            missing = missing or Reason(
                "objective", f"{objective.name} is {told!r}, expected a finite number"
            )
        elif objective.is_cost:
            missing = missing or Reason("objective", f"{objective.name} was not measured on this machine")
        else:
            names = ", ".join(sorted(record.results)[:20]) or "nothing"
            missing = missing or Reason(
                "unreported", f"the run reports no {objective.name!r}; it reports: {names}{_unheard(record)}"
            )
    return values, missing


def _unheard(record: RunRecord) -> str:
    """What a run told and nobody understood, as the end of a sentence; empty: there is nothing of the kind."""
    if not record.not_understood:
        return ""
    note = next((note for note in record.notes if "not understood" in note), None)
    return "" if note is None else f" ({note})"
