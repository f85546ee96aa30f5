"""OpenTelemetry metrics of a stage: what it does while it runs, what it came to.

Exported only where an endpoint is configured ($OTEL_EXPORTER_OTLP_ENDPOINT or ..._METRICS_ENDPOINT, over HTTP) and
the agent's Python has opentelemetry; otherwise nothing happens and nothing is imported. Sent by the library's own
thread: nothing here waits but the end, and that not long. Attributes name the task, never a path or a secret.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, Mapping, Optional

from stackyard_task import figures
from stackyard_task.progress import Moment
from stackyard_task.records import RunRecord, TaskSpec

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
#: How long the end of a run may wait for the last figures to be sent.
LAST_SECONDS = 3.0
EXPORT_SECONDS = 5.0
SERVICE = "stackyard"


def stage(spec: TaskSpec, task_id: str, variables: Optional[Mapping[str, str]] = None) -> Optional[Stage]:
    """The exporter of one run; ``None`` where no endpoint is configured or the library is absent."""
    told = os.environ if variables is None else variables
    if not any(told.get(name) for name in ENDPOINT_VARIABLES) or told.get("OTEL_SDK_DISABLED") == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
    except ImportError as error:
        print(
            f"telemetry: an endpoint is configured, but {error.name} is not installed here", file=sys.stderr
        )
        return None
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(timeout=LAST_SECONDS), export_interval_millis=EXPORT_SECONDS * 1000
    )
    resource = Resource.create({"service.name": SERVICE, "service.instance.id": task_id})
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    return Stage(provider, attributes(spec))


def attributes(spec: TaskSpec) -> Dict[str, str]:
    """What the metrics of a run are told apart by."""
    found = {"workload": spec.workload, "run": spec.run_id}
    if spec.stack is not None:
        found["stack"] = spec.stack.name
    if spec.scenario is not None:
        found["scenario"] = spec.scenario
    return found


class Stage:
    """The metrics of one run.

    Args:
        provider: An OpenTelemetry meter provider.
        attributes: Set on every value.
    """

    def __init__(self, provider: Any, attributes: Dict[str, str]) -> None:
        self._provider = provider
        self._attributes = attributes
        self._gauges: Dict[str, Any] = {}
        self._meter = provider.get_meter("stackyard_task")

    def moment(self, moment: Moment) -> None:
        """Note what the run does now."""
        if moment.done is not None and moment.total:
            self._set("stackyard.stage.progress", "1", moment.done / moment.total)
        self._set("stackyard.stage.loss", "1", moment.loss)
        self._set("stackyard.stage.step.duration", "s", moment.step_seconds)
        cpu = moment.cpu_percent_of_core
        self._set("stackyard.stage.cpu.cores", "{core}", None if cpu is None else cpu / 100)
        self._set("stackyard.stage.memory.resident", "By", moment.rss_bytes)
        for index, (memory, utilisation) in moment.gpus.items():
            self._set("stackyard.stage.gpu.memory", "By", memory, gpu=str(index))
            share = None if utilisation is None else utilisation / 100
            self._set("stackyard.stage.gpu.utilisation", "1", share, gpu=str(index))

    def end(self, record: Optional[RunRecord]) -> None:
        """Note what the run came to, send it, stop. Never raises: telemetry is no reason for a run to fail."""
        if record is not None:
            status = {"status": record.status}
            if record.failure is not None:
                status["failure"] = record.failure.kind
            if record.stopped is not None:
                status["criterion"] = record.stopped.criterion
            self._set("stackyard.stage.duration", "s", record.measurement.wall_seconds, **status)
            self._set("stackyard.stage.cpu.time", "s", record.measurement.cpu_seconds, **status)
            self._set("stackyard.stage.memory.peak", "By", record.measurement.peak_rss_bytes, **status)
            for name, value in figures.numbers(record.results).items():
                self._set("stackyard.stage.result", "1", value, result=name)
        try:
            self._provider.shutdown(timeout_millis=LAST_SECONDS * 1000)
        except Exception as error:  # noqa: BLE001 - the library's edge
            print(f"telemetry: the last metrics were not sent ({error})", file=sys.stderr)

    def _set(self, name: str, unit: str, value: Optional[float], **more: str) -> None:
        if value is None:
            return
        if name not in self._gauges:
            self._gauges[name] = self._meter.create_gauge(name, unit=unit)
        self._gauges[name].set(value, {**self._attributes, **more})
