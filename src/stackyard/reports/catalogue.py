"""The metrics that a record can hold, with unit, direction and meaning, and how each is read.

Pure: reads a RunRecord, touches nothing. A metric that was not measured is ``None``, never 0.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from dataclasses import dataclass

from stackyard_task.records import GpuUse, RunRecord


@dataclass(frozen=True)
class Metric:
    """One measured quantity."""

    key: str
    label: str
    #: "s", "B", "%", "J" or "1/s": decides how numbers are printed.
    unit: str
    #: "own" (a result), "time", "dispatch", "cpu", "memory", "gpu", "throughput", "energy" or "disk".
    group: str
    #: One sentence: what exactly was measured.
    meaning: str
    read: Callable[[RunRecord], float | None]
    #: Whether less of it is better; ``None``: neither (a percentage of CPU is a description, not a cost).
    less_is_better: bool | None = True


def _measured(name: str) -> Callable[[RunRecord], float | None]:
    return lambda record: getattr(record.measurement, name)


def _around(name: str) -> Callable[[RunRecord], float | None]:
    """What lies around phases; ``None`` where a function named none, as older records have it all the same."""

    def read(record: RunRecord) -> float | None:
        measured = record.measurement
        named = (
            measured.script_seconds,
            measured.data_seconds,
            measured.warmup_seconds,
            measured.steady_seconds,
        )
        return None if all(seconds is None for seconds in named) else getattr(measured, name)

    return read


#: What a run took to start.
start_up_seconds = _around("startup_seconds")


def _sum_over_gpus(read: Callable[[GpuUse], float | None]) -> Callable[[RunRecord], float | None]:
    def total(record: RunRecord) -> float | None:
        values = [value for gpu in record.measurement.gpus if (value := read(gpu)) is not None]
        return math.fsum(values) if values else None

    return total


def _greatest_over_gpus(read: Callable[[GpuUse], float | None]) -> Callable[[RunRecord], float | None]:
    def greatest(record: RunRecord) -> float | None:
        return max((v for gpu in record.measurement.gpus if (v := read(gpu)) is not None), default=None)

    return greatest


def _step(name: str) -> Callable[[RunRecord], float | None]:
    def of_several(record: RunRecord) -> float | None:
        steps = record.measurement.steps
        # One step has no distribution: it is the steady phase under another name.
        return getattr(steps, name) if steps and steps.count > 1 else None

    return of_several


#: Server and worker read their own clocks; a span this far below 0 is their difference, not a measurement.
CLOCK_SLACK_SECONDS = 0.05


Instant = Callable[[RunRecord], str | None]


def _span(begin: Instant, end: Instant) -> Callable[[RunRecord], float | None]:
    """Seconds between two instants of a dispatched run."""

    def read(record: RunRecord) -> float | None:
        first, last = begin(record), end(record)
        if record.dispatch is None or first is None or last is None:
            return None
        try:
            ends = [datetime.datetime.fromisoformat(instant) for instant in (first, last)]
            seconds = (ends[1] - ends[0]).total_seconds()
        except (TypeError, ValueError):  # not an instant, or one without its zone
            return None
        return None if seconds < -CLOCK_SLACK_SECONDS else max(0.0, seconds)

    return read


def _instant(name: str) -> Instant:
    return lambda record: getattr(record.dispatch, name, None)


def _workload_end(record: RunRecord) -> str | None:
    """When the child's tree had ended, on the worker's clock."""
    wall, start = record.measurement.wall_seconds, getattr(record.dispatch, "workload_started_at", None)
    if start is None or wall is None:
        return None
    if record.parameters.get("shards", 1) != 1:  # of several workers only the end of the last one counts
        start = record.started_at
    try:
        return (datetime.datetime.fromisoformat(start) + datetime.timedelta(seconds=wall)).isoformat()
    except (ValueError, OverflowError):
        return None


def _agent_begin(record: RunRecord) -> str | None:
    return _instant("container_started_at")(record) or _instant("pulled_at")(record)


CATALOGUE: tuple[Metric, ...] = (
    Metric(
        "wall_seconds",
        "Wall time",
        "s",
        "time",
        "Start of the child process to the end of its process tree.",
        _measured("wall_seconds"),
    ),
    Metric(
        "startup_seconds",
        "Start-up",
        "s",
        "time",
        "Until the workload's first phase: of a function the interpreter, the imports and the check of the stack; of a "
        "command the interpreter alone, for its imports are its own code.",
        start_up_seconds,
    ),
    Metric(
        "script_seconds",
        "Script",
        "s",
        "time",
        "A command's own code before, or without, any phase that it names.",
        _measured("script_seconds"),
    ),
    Metric("data_seconds", "Data", "s", "time", "Reading and preparing the data.", _measured("data_seconds")),
    Metric(
        "warmup_seconds",
        "Warm-up",
        "s",
        "time",
        "First steps: compilation, caches, allocator.",
        _measured("warmup_seconds"),
    ),
    Metric(
        "steady_seconds",
        "Steady phase",
        "s",
        "time",
        "The work itself, after start-up, data and warm-up.",
        _measured("steady_seconds"),
    ),
    Metric(
        "finish_seconds",
        "Finish",
        "s",
        "time",
        "Writing results and ending the process tree.",
        _around("finish_seconds"),
    ),
    Metric(
        "step_p50_seconds",
        "Step time (p50)",
        "s",
        "time",
        "Median duration of a step in the steady phase.",
        _step("p50_seconds"),
    ),
    Metric(
        "step_p95_seconds",
        "Step time (p95)",
        "s",
        "time",
        "95th percentile of the duration of a step in the steady phase.",
        _step("p95_seconds"),
    ),
    Metric(
        "dispatch_seconds",
        "Start-up (dispatch)",
        "s",
        "dispatch",
        "Put into the queue until the workload's process starts; none of it is in the wall time.",
        _span(_instant("enqueued_at"), _instant("workload_started_at")),
    ),
    Metric(
        "dispatch_pickup_seconds",
        "Waiting in the queue",
        "s",
        "dispatch",
        "Put into the queue until an agent takes it (the server's clock).",
        _span(_instant("enqueued_at"), _instant("pulled_at")),
    ),
    Metric(
        "dispatch_container_seconds",
        "Container start",
        "s",
        "dispatch",
        "Taken by the agent until the container's first process.",
        _span(_instant("pulled_at"), _instant("container_started_at")),
    ),
    Metric(
        "dispatch_agent_seconds",
        "Agent start",
        "s",
        "dispatch",
        "Taken by the agent, or the container's first process, until the first line of the entry script.",
        _span(_agent_begin, _instant("user_code_at")),
    ),
    Metric(
        "dispatch_prepare_seconds",
        "Fetching and checks",
        "s",
        "dispatch",
        "First line of the entry script until the workload's process starts: code, inputs, stack.",
        _span(_instant("user_code_at"), _instant("workload_started_at")),
    ),
    Metric(
        "dispatch_deliver_seconds",
        "Handing in",
        "s",
        "dispatch",
        "End of the workload until the task has its final status: record, artifacts, agent.",
        _span(_workload_end, _instant("finished_at")),
    ),
    Metric(
        "turnaround_seconds",
        "From enqueue to end of work",
        "s",
        "dispatch",
        "Put into the queue until the workload (of several workers: the last one) has ended.",
        _span(_instant("enqueued_at"), _workload_end),
    ),
    Metric(
        "cpu_seconds",
        "CPU time",
        "s",
        "cpu",
        "User and system time of all descendants, orphans included.",
        _measured("cpu_seconds"),
    ),
    Metric(
        "cpu_percent_of_core",
        "Average CPU",
        "%",
        "cpu",
        "CPU seconds over wall seconds; 100 % is one core.",
        _measured("cpu_percent_of_core"),
        less_is_better=None,
    ),
    Metric(
        "cpu_percent_of_core_max",
        "Maximum CPU",
        "%",
        "cpu",
        "The busiest 500 ms window; 100 % is one core.",
        _measured("cpu_percent_of_core_max"),
        less_is_better=None,
    ),
    Metric(
        "cpu_percent_of_allowed",
        "Average CPU of allowed",
        "%",
        "cpu",
        "CPU seconds over wall seconds; 100 % is all the run was allowed (quota or affinity).",
        _measured("cpu_percent_of_allowed"),
        less_is_better=None,
    ),
    Metric(
        "peak_rss_bytes",
        "Peak RAM",
        "B",
        "memory",
        "Greatest simultaneous resident memory of the process tree, each shared page once.",
        _measured("peak_rss_bytes"),
    ),
    Metric(
        "peak_rss_minus_shared_bytes",
        "Peak RAM minus shared",
        "B",
        "memory",
        "Resident minus shared pages, summed over the process tree.",
        _measured("peak_rss_minus_shared_bytes"),
    ),
    Metric(
        "cgroup_peak_bytes",
        "Peak of the cgroup",
        "B",
        "memory",
        "The most that the kernel charged to the run's cgroup: with page cache, without libraries that others read "
        "first, so it may be less than the peak RAM.",
        _measured("cgroup_peak_bytes"),
    ),
    Metric(
        "gpu_peak_memory_bytes",
        "Peak GPU memory",
        "B",
        "gpu",
        "Peak memory of the process tree from NVML, summed over devices.",
        _sum_over_gpus(lambda gpu: gpu.peak_memory_bytes),
    ),
    Metric(
        "gpu_torch_allocated_bytes",
        "GPU memory, torch allocated",
        "B",
        "gpu",
        "Peak of tensors held by torch's allocator, summed over devices.",
        _sum_over_gpus(lambda gpu: gpu.torch_peak_allocated_bytes),
    ),
    Metric(
        "gpu_torch_reserved_bytes",
        "GPU memory, torch reserved",
        "B",
        "gpu",
        "Peak of what torch's allocator took from the device, summed over devices.",
        _sum_over_gpus(lambda gpu: gpu.torch_peak_reserved_bytes),
    ),
    Metric(
        "gpu_utilisation_percent",
        "Average GPU utilisation",
        "%",
        "gpu",
        "Share of time with a kernel running, busiest device.",
        _greatest_over_gpus(lambda gpu: gpu.utilisation_percent_mean),
        less_is_better=None,
    ),
    Metric(
        "energy_joules",
        "Energy",
        "J",
        "energy",
        "From the machine's energy counter, where one exists.",
        _measured("energy_joules"),
    ),
    Metric(
        "gpu_energy_joules",
        "GPU energy",
        "J",
        "energy",
        "From the GPUs' energy counters, summed over devices.",
        _sum_over_gpus(lambda gpu: gpu.energy_joules),
    ),
    Metric(
        "disk_read_bytes",
        "Disk read",
        "B",
        "disk",
        "Bytes the process tree read from storage.",
        _measured("disk_read_bytes"),
    ),
    Metric(
        "disk_written_bytes",
        "Disk written",
        "B",
        "disk",
        "Bytes the process tree sent to storage.",
        _measured("disk_written_bytes"),
    ),
)

#: The five charts of the four-scenario study, in its order.
FOOTPRINT = (
    "wall_seconds",
    "cpu_percent_of_core",
    "cpu_percent_of_core_max",
    "peak_rss_bytes",
    "gpu_peak_memory_bytes",
)
#: What the headlines and the factor analysis speak of, where measured.
HEADLINE = ("wall_seconds", "steady_seconds", "cpu_seconds", "peak_rss_bytes", "gpu_peak_memory_bytes")
