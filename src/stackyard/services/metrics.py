"""``/metrics`` of the services process, for Prometheus: this machine's slots, agents, GPUs, tasks. Loopback only.

What is not known has no sample. Single tasks are the running ones and the newest that ended (``ended.MOST_SHOWN``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from stackyard.services import ended, footprint

if TYPE_CHECKING:
    from stackyard.services.supervisor import Supervisor

HOST = "127.0.0.1"


class SlotsCollector(Collector):
    """Reads the supervisor whenever it is asked.

    Args:
        supervisor: whose slots.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def collect(self) -> Iterator[Metric]:
        """Every family of metrics, with its values of now."""
        supervisor = self._supervisor
        slots = [keeper.describe() for keeper in list(supervisor.keepers.values())]
        seen, usage = supervisor.watch.seen, supervisor.usage()
        phases = GaugeMetricFamily(
            "stackyard_slot", "1 in the phase it is in.", labels=("slot", "queue", "phase")
        )
        up = GaugeMetricFamily(
            "stackyard_agent_up", "Whether the slot's agent runs.", labels=("slot", "queue")
        )
        restarts = CounterMetricFamily(
            "stackyard_agent_restarts", "Agents that died and were started again.", labels=("slot", "queue")
        )
        running = GaugeMetricFamily(
            "stackyard_agent_running_tasks",
            "Tasks the agent runs, as the server knows.",
            labels=("slot", "queue"),
        )
        taken = GaugeMetricFamily(
            "stackyard_gpu_taken", "Whether others use the GPU, so that it gets no task.", labels=("gpu",)
        )
        rss = GaugeMetricFamily(
            "stackyard_agent_rss_bytes", "Resident memory of the agent and all it started.", labels=("slot",)
        )
        cpu = GaugeMetricFamily(
            "stackyard_agent_cpu_seconds",
            "CPU time of the agent and what it runs now; falls when a task's processes are gone.",
            labels=("slot",),
        )
        for slot in slots:
            labels = (slot["slot"], slot["queue"])
            phases.add_metric((*labels, slot["phase"]), 1)
            up.add_metric(labels, float(slot["pid"] is not None))
            restarts.add_metric(labels, slot["restarts"])
            running.add_metric(labels, float(slot["worker"] in seen.running))
            if slot["gpu"] is not None:
                taken.add_metric((str(slot["gpu"]),), float(supervisor.guard.taken(slot["gpu"]) is not None))
        for name, use in usage.items():
            rss.add_metric((name,), use.rss_bytes)
            cpu.add_metric((name,), use.cpu_seconds)
        yield from (phases, up, restarts, running, taken, rss, cpu)
        yield GaugeMetricFamily(
            "stackyard_server_answers",
            "Whether the server answered when asked last.",
            value=seen.fault is None,
        )
        yield CounterMetricFamily(
            "stackyard_server_restarts",
            "Starts of an embedded server that had died.",
            value=supervisor.server_restarts,
        )
        yield from gpus(supervisor)
        yield from running_tasks(supervisor)
        yield from ended_tasks(supervisor.ended)
        yield from kinds_of_tasks(supervisor.ended)
        yield from platform(supervisor)


def gpus(supervisor: Supervisor) -> Iterator[Metric]:
    """What is in use of each GPU of the slots, whoever uses it; as the driver said last."""
    used = _gauge("stackyard_gpu_memory_used_bytes", "GPU memory in use, by anybody.", "gpu")
    total = _gauge("stackyard_gpu_memory_total_bytes", "GPU memory there is.", "gpu")
    busy = _gauge("stackyard_gpu_busy_ratio", "The part of the time in which the GPU worked, 0 to 1.", "gpu")
    for index, use in sorted(supervisor.guard.seen.items()):
        used.add_metric((str(index),), use.used_bytes)
        total.add_metric((str(index),), use.total_bytes)
        if use.busy is not None:
            busy.add_metric((str(index),), use.busy)
    yield from (used, total, busy)


def running_tasks(supervisor: Supervisor) -> Iterator[Metric]:
    """What runs now. In a container its processes are no agent's children: of those only the time is told."""
    labels = ("task", "name", "queue", "slot")
    since = _gauge("stackyard_running_task_seconds", "How long the task has run.", *labels)
    rss = _gauge("stackyard_running_task_rss_bytes", "Resident memory of its processes on the host.", *labels)
    cpu = _gauge("stackyard_running_task_cpu_seconds", "CPU time of its processes that live.", *labels)
    memory = _gauge("stackyard_running_task_gpu_memory_bytes", "Memory in use of its slot's GPU.", *labels)
    found, now = supervisor.watch.seen.running, time.time()
    for slot, keeper in list(supervisor.keepers.items()):
        task, agent, prepared = found.get(keeper.worker), keeper.agent, keeper.prepared
        if task is None:
            continue
        about = (task.id, ended.label(task.name), prepared.queue, slot)
        if task.started is not None:
            since.add_metric(about, max(0.0, now - task.started))
        if agent is not None and not prepared.in_container:
            use = footprint.below(agent.identity.pid)
            if use is not None:
                rss.add_metric(about, use.rss_bytes)
                cpu.add_metric(about, use.cpu_seconds)
        gpu = supervisor.guard.seen.get(prepared.gpu) if prepared.gpu is not None else None
        if gpu is not None:
            memory.add_metric(about, gpu.used_bytes)
    yield from (since, rss, cpu, memory)


def ended_tasks(tasks: ended.Ended) -> Iterator[Metric]:
    """What the newest tasks took, each by itself."""
    labels = ("task", "name", "queue", "stack", "stage", "status")
    run = _gauge("stackyard_ended_task_run_seconds", "From start to end, as the server has it.", *labels)
    cpu = _gauge("stackyard_ended_task_cpu_seconds", "CPU time, of its record.", *labels)
    rss = _gauge("stackyard_ended_task_peak_rss_bytes", "Peak memory, of its record.", *labels)
    gpu = _gauge("stackyard_ended_task_peak_gpu_bytes", "Peak memory of its GPUs, of its record.", *labels)
    for took in tasks.shown():
        kind = took.kind
        about = (took.id, took.name, kind.queue, kind.stack, kind.stage, kind.status)
        for family, value in (
            (run, took.run_seconds),
            (cpu, took.cpu_seconds),
            (rss, took.peak_rss_bytes),
            (gpu, took.peak_gpu_bytes),
        ):
            if value is not None:
                family.add_metric(about, value)
    yield from (run, cpu, rss, gpu)


def kinds_of_tasks(tasks: ended.Ended) -> Iterator[Metric]:
    """What tasks took that ended since this process began, by kind."""
    labels = ("queue", "stack", "stage", "status")
    number = CounterMetricFamily("stackyard_tasks_ended", "Tasks that ended.", labels=labels)
    run = HistogramMetricFamily("stackyard_task_run_seconds", "From start to end.", labels=labels)
    cpu = CounterMetricFamily("stackyard_task_cpu_seconds", "CPU time of measured tasks.", labels=labels)
    rss = _gauge("stackyard_task_last_peak_rss_bytes", "Peak memory of the last measured one.", *labels)
    gpu = _gauge("stackyard_task_last_peak_gpu_bytes", "Peak GPU memory of the last measured one.", *labels)
    for kind, sums in tasks.sums().items():
        about = (kind.queue, kind.stack, kind.stage, kind.status)
        number.add_metric(about, sums.tasks)
        buckets, total = [], 0
        for bound, count in zip((*map(str, ended.BOUNDS_SECONDS), "+Inf"), sums.buckets, strict=True):
            total += count
            buckets.append((bound, total))
        run.add_metric(about, buckets, sums.run_seconds)
        for family, value in (
            (cpu, sums.cpu_seconds),
            (rss, sums.peak_rss_bytes),
            (gpu, sums.peak_gpu_bytes),
        ):
            if value is not None:
                family.add_metric(about, value)
    yield from (number, run, cpu, rss, gpu)


def platform(supervisor: Supervisor) -> Iterator[Metric]:
    """What this machine's part of the platform weighs itself, without tasks."""
    labels = ("component", "slot")
    rss = _gauge("stackyard_platform_rss_bytes", "Resident memory of one process.", *labels)
    pss = _gauge("stackyard_platform_pss_bytes", "Its memory, each page by the share of its users.", *labels)
    cpu = CounterMetricFamily("stackyard_platform_cpu_seconds", "CPU time of the process.", labels=labels)
    for weight in footprint.weights(supervisor):
        about = (weight.component, weight.slot)
        rss.add_metric(about, weight.rss_bytes)
        cpu.add_metric(about, weight.cpu_seconds)
        if weight.pss_bytes is not None:
            pss.add_metric(about, weight.pss_bytes)
    yield from (rss, pss, cpu)


def _gauge(name: str, words: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, labels=labels)


def serve(supervisor: Supervisor, port: int = 0) -> int:
    """Answer on a port of the loopback address; which it is.

    Raises:
        OSError: the port cannot be had.
    """
    registry = CollectorRegistry()
    registry.register(SlotsCollector(supervisor))
    server, _thread = start_http_server(port, addr=HOST, registry=registry)
    return int(server.server_port)
