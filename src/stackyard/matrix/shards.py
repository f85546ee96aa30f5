"""One run made of several tasks that share its work: the tasks started together, their records as one.

A cell of the axis ``workers`` is one fixed work. Its time is from the first child's start to the last one's end; CPU
is summed; memory is the sum of the parts' peaks, an upper bound, because they need not fall together. What a sum
or a span says nothing about stays not measured. May import launch's contract and the records of the seam.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from stackyard.launch import Started
from stackyard_task.records import Dispatch, Environment, Failure, Measurement, RunRecord, TaskSpec

#: Folder of the parts' run folders inside the run's own.
FOLDER = "shards"
_SUMMED = (
    *("cpu_user_seconds", "cpu_system_seconds", "cpu_seconds", "peak_rss_bytes", "peak_rss_low_bytes"),
    *("peak_rss_high_bytes", "peak_rss_minus_shared_bytes", "cgroup_peak_bytes", "orphans_ended"),
    *("disk_read_bytes", "disk_written_bytes", "overhead_cpu_seconds", "overhead_peak_rss_bytes"),
    "overhead_samples",
)
#: Results that count things: the parts' add up to the whole's.
_COUNTS = (
    *("sessions", "events", "targets", "unknown_events", "sessions_without_target", "sessions_without_label"),
    *("malicious_verdicts", "alarms", "quarantined_lines"),
)


class Together:
    """Several runs under way, as one: over when all are."""

    def __init__(self, parts: Sequence[Started], clock: Callable[[], float] = time.monotonic) -> None:
        self._open = list(parts)
        self._parts = tuple(parts)
        self._clock = clock
        self._status = 0

    def wait(self, seconds: float) -> int | None:
        """0 once all are over and completed, another status once all are over; ``None``: not yet."""
        end = self._clock() + seconds
        while self._open:
            # The others are looked at in passing: whoever ends first, the last one decides.
            for part in list(self._open):
                left = max(0.0, end - self._clock()) / len(self._open)
                status = part.wait(left)
                if status is not None:
                    self._open.remove(part)
                    self._status = self._status or status
            if self._clock() >= end:
                break
        return None if self._open else self._status

    def interrupt(self) -> None:
        """Ask all of them to end."""
        for part in self._open:
            part.interrupt()

    def kill(self) -> None:
        """End all of them at once."""
        for part in self._open:
            part.kill()


def together(parts: Sequence[Started]) -> Started:
    """Several runs under way as one; a single one is itself."""
    return parts[0] if len(parts) == 1 else Together(parts)


def parts_of(task: TaskSpec, workers: int) -> list[TaskSpec]:
    """The tasks that share the work of ``task``."""
    return [
        dataclasses.replace(
            task,
            run_id=f"{task.run_id}.{number}" if workers > 1 else task.run_id,
            parameters={**task.parameters, "shard": number, "shards": workers},
        )
        for number in range(1, workers + 1)
    ]


def folders_of(folder: Path, workers: int) -> list[Path]:
    """The run folders of the parts: the run's own where there is but one."""
    return [folder / FOLDER / str(n) for n in range(1, workers + 1)] if workers > 1 else [folder]


def merged(task: TaskSpec, records: Sequence[RunRecord]) -> RunRecord:
    """The record of the whole from those of its parts.

    Args:
        task: the whole.
        records: one per part, completed or not; at least one.
    """
    failed = [record for record in records if record.status not in ("completed", "stopped")]
    stopped = next((record.stopped for record in records if record.status == "stopped"), None)
    whole = not failed and stopped is None
    failure = None
    if failed:
        first = failed[0].failure or Failure("infrastructure", "no reason was recorded")
        message = f"{len(failed)} of {len(records)} workers: {first.message}"
        failure = dataclasses.replace(first, message=message)
    return RunRecord(
        run_id=task.run_id,
        workload=task.workload,
        status="failed" if failed else "completed" if whole else "stopped",
        started_at=min(record.started_at for record in records),
        finished_at=max(record.finished_at for record in records),
        scenario=task.scenario,
        cell=task.cell,
        block=task.block,
        warm_up=task.warm_up,
        failure=failure,
        stopped=None if failed else stopped,
        measurement=_measurement(records) if whole else Measurement(),
        environment=_environment(records),
        parameters={**_of_whole(task), "shards": len(records)},
        results=_results(records) if whole else {},
        dispatch=_dispatch(records),
        not_understood=_not_understood(records),
        alarms=[alarm for record in records for alarm in record.alarms],
        notes=list(dict.fromkeys(note for record in records for note in record.notes)),
    )


def _not_understood(records: Sequence[RunRecord]) -> int | None:
    counts = [record.not_understood for record in records if record.not_understood is not None]
    return sum(counts) if len(counts) == len(records) else None


def _of_whole(task: TaskSpec) -> dict[str, Any]:
    """The parameters without which part it is: the whole is none."""
    return {name: value for name, value in task.parameters.items() if name != "shard"}


def _measurement(records: Sequence[RunRecord]) -> Measurement:
    parts = [record.measurement for record in records]
    # The parts' methods: that a whole is their sum is what the axis means, and the report says so.
    whole = Measurement(cpu_method=parts[0].cpu_method, peak_rss_method=parts[0].peak_rss_method)
    for name in _SUMMED:
        values = [getattr(part, name) for part in parts]
        if all(value is not None for value in values):
            setattr(whole, name, type(values[0])(math.fsum(values)))
    whole.gpus = [gpu for part in parts for gpu in part.gpus]
    whole.sampling_interval_seconds = parts[0].sampling_interval_seconds
    starts = [_seconds(record.started_at) for record in records]
    walls = [part.wall_seconds for part in parts]
    if all(wall is not None for wall in walls):
        ends = [start + (wall or 0.0) for start, wall in zip(starts, walls, strict=True)]
        whole.wall_seconds = max(ends) - min(starts)
        allowed = math.fsum(record.environment.allowed_cores or 0.0 for record in records)
        if whole.cpu_seconds is not None and whole.wall_seconds > 0:
            whole.cpu_percent_of_core = 100 * whole.cpu_seconds / whole.wall_seconds
            if allowed:
                whole.cpu_percent_of_allowed = whole.cpu_percent_of_core / allowed
    return whole


def _environment(records: Sequence[RunRecord]) -> Environment:
    """What the parts share; what only some of them say is not known."""
    first = dataclasses.replace(records[0].environment)
    for part in records[1:]:
        for field in dataclasses.fields(Environment):
            if getattr(part.environment, field.name) != getattr(first, field.name):
                setattr(
                    first, field.name, type(getattr(first, field.name))() if _plural(field.name) else None
                )
    throttled = [record.environment.throttled_seconds for record in records]
    first.throttled_seconds = math.fsum(t or 0.0 for t in throttled) if any(throttled) else throttled[0]
    jumps = [record.environment.clock_jump_seconds for record in records]
    first.clock_jump_seconds = max((j for j in jumps if j is not None), key=abs, default=None)
    first.other_cpu_percent_of_machine = None  # each part sees the others as other work
    return first


def _plural(name: str) -> bool:
    return name in ("gpu_names", "tunables")


def _results(records: Sequence[RunRecord]) -> dict[str, float]:
    return {
        name: sum(record.results[name] for record in records)
        for name in _COUNTS
        if all(isinstance(record.results.get(name), int) for record in records)
    }


def _dispatch(records: Sequence[RunRecord]) -> Dispatch | None:
    parts = [record.dispatch for record in records if record.dispatch is not None]
    if not parts:
        return None

    def all_of(name: str) -> list[str]:
        return [value for part in parts if (value := getattr(part, name)) is not None]

    def words(name: str) -> str | None:
        return ", ".join(dict.fromkeys(all_of(name))) or None

    # From the first to enter to the last to leave: what the whole waited for.
    return Dispatch(
        task_id=words("task_id"),
        queue=words("queue"),
        worker=words("worker"),
        image=words("image"),
        enqueued_at=min(all_of("enqueued_at"), key=_seconds, default=None),
        pulled_at=_latest(all_of("pulled_at")),
        container_started_at=_latest(all_of("container_started_at")),
        user_code_at=_latest(all_of("user_code_at")),
        workload_started_at=_latest(all_of("workload_started_at")),
        finished_at=_latest(all_of("finished_at")),
        retries=sum(part.retries for part in parts),
    )


def _latest(instants: Iterable[str]) -> str | None:
    return max(instants, key=_seconds, default=None)


def _seconds(instant: str) -> float:
    return datetime.datetime.fromisoformat(instant).timestamp()
