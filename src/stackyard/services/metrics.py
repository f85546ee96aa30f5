"""``/metrics`` of the services process, for Prometheus: this machine's slots, agents and GPUs. Loopback only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

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


def serve(supervisor: Supervisor, port: int = 0) -> int:
    """Answer on a port of the loopback address; which it is.

    Raises:
        OSError: the port cannot be had.
    """
    registry = CollectorRegistry()
    registry.register(SlotsCollector(supervisor))
    server, _thread = start_http_server(port, addr=HOST, registry=registry)
    return int(server.server_port)
