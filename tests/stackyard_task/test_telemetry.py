"""Metrics of a stage: sent where an endpoint is configured, absent where none is."""

from __future__ import annotations

import http.server
import sys
import threading
from typing import Any, Iterator, List

import pytest

from stackyard_task import telemetry
from stackyard_task.progress import Moment
from stackyard_task.records import Failure, Measurement, RunRecord, StackPin, TaskSpec

SPEC = TaskSpec("run-1", "detector-train", stack=StackPin("torch-x"))


def ended(failure: Any = None) -> RunRecord:
    return RunRecord(
        "run-1",
        "detector-train",
        "completed" if failure is None else "failed",
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T00:00:01+00:00",
        failure=failure,
        measurement=Measurement(wall_seconds=2.0, peak_rss_bytes=1000),
        results={"f1": 0.5, "gate": "passed"},
    )


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[List[bytes]]:
    """What a collector on a free port is sent."""
    bodies: List[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    yield bodies
    server.shutdown()
    server.server_close()
    thread.join()


def test_without_an_endpoint_nothing_is_made() -> None:
    assert telemetry.stage(SPEC, "t", {}) is None
    assert (
        telemetry.stage(SPEC, "t", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"})
        is None
    )


def test_a_configured_endpoint_without_the_library_is_said_and_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert telemetry.stage(SPEC, "t", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) is None
    assert "is not installed here" in capsys.readouterr().err


def test_a_run_is_sent_to_the_collector(collector: List[bytes]) -> None:
    pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.http", reason="opentelemetry is in the agent's Python"
    )
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    stage = telemetry.stage(SPEC, "t" * 32)
    assert stage is not None
    stage.moment(Moment(1.0, "steady", done=3, total=12, loss=0.7, rss_bytes=5000, gpus={0: (100, 50.0)}))
    stage.end(ended(Failure("bad_input", "no")))
    found = {}
    for body in collector:
        for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in of_resource.scope_metrics:
                for metric in scope.metrics:
                    (point,) = metric.gauge.data_points
                    labels = {a.key: a.value.string_value for a in point.attributes}
                    found[metric.name] = (point.as_double or point.as_int, metric.unit, labels)
    same = {"workload": "detector-train", "run": "run-1", "stack": "torch-x"}
    assert found["stackyard.stage.progress"] == (0.25, "1", same)
    assert found["stackyard.stage.gpu.memory"] == (100, "By", {**same, "gpu": "0"})
    assert found["stackyard.stage.result"] == (0.5, "1", {**same, "result": "f1"})
    assert found["stackyard.stage.duration"][2] == {**same, "status": "failed", "failure": "bad_input"}


def test_a_collector_that_is_gone_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.http", reason="opentelemetry is in the agent's Python"
    )
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(telemetry, "LAST_SECONDS", 0.2)
    stage = telemetry.stage(SPEC, "t" * 32)
    assert stage is not None
    stage.moment(Moment(1.0, "steady", loss=0.7))
    stage.end(ended())
