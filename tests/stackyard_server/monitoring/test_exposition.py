"""What Prometheus reads: the figures are there and right, nobody reads them without signing in, nothing leaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ..running import Running, running_server


class Time:
    """A clock that moves when told to."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def server(time: Time) -> Iterator[Running]:
    with running_server(clock=time) as running:
        yield running


def scrape(server: Running) -> str:
    """As Prometheus with ``basic_auth`` does it."""
    answer = server.client.get(f"{server.api}/metrics", auth=(server.access_key, server.secret_key))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text


def figure(text: str, name: str, **labels: str) -> float | None:
    """One sample's value."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                value: float = sample.value
                return value
    return None


def test_queues_tasks_and_workers(server: Running, time: Time) -> None:
    queue = server.call("queues.create", name='gpu "big"')["id"]
    tasks = [server.call("tasks.create", name=f"secret plan {n}", type="training")["id"] for n in range(3)]
    for task in tasks[:2]:
        server.call("tasks.enqueue", task=task, queue=queue)
        time.now += 30
    server.call("workers.register", worker="host:gpu0", queues=[queue], timeout=600)
    server.call("workers.status_report", worker="host:gpu0", timestamp=1, task=tasks[2])
    time.now += 5
    text = scrape(server)
    name = 'gpu "big"'
    assert figure(text, "stackyard_queue_waiting_tasks", queue=name) == 2
    assert figure(text, "stackyard_queue_oldest_waiting_seconds", queue=name) == 65
    assert figure(text, "stackyard_queue_workers", queue=name) == 1
    assert figure(text, "stackyard_queue_oldest_waiting_seconds", queue="default") == 0
    assert figure(text, "stackyard_tasks", status="queued") == 2
    assert figure(text, "stackyard_tasks", status="failed") == 0
    assert figure(text, "stackyard_worker_last_seen_timestamp_seconds", worker="host:gpu0") == time.now - 5
    assert figure(text, "stackyard_worker_busy", worker="host:gpu0") == 1
    assert "secret plan" not in text
    assert not any(task in text for task in tasks)


def test_requests_by_endpoint_and_status_and_how_long_they_took(server: Running) -> None:
    for _ in range(3):
        server.call("debug.ping")
    server.ask("tasks.get_by_id", task="0" * 32)
    server.ask("tasks.no_such_thing")
    httpx.get(f"{server.files}/nothing/here")
    text = scrape(server)
    assert figure(text, "stackyard_requests_total", endpoint="debug.ping", status="200") == 3
    assert figure(text, "stackyard_requests_total", endpoint="tasks.get_by_id", status="400") == 1
    assert figure(text, "stackyard_requests_total", endpoint="(unknown)", status="404") == 1
    assert "no_such_thing" not in text, "what clients type is no label"
    assert figure(text, "stackyard_requests_total", endpoint="files.GET", status="401") == 1
    assert figure(text, "stackyard_request_seconds_count", endpoint="debug.ping") == 3
    assert figure(text, "stackyard_request_seconds_bucket", endpoint="debug.ping", le="+Inf") == 3


def test_events_disk_and_process(server: Running) -> None:
    task = server.call("tasks.create", name="reporting", type="training")["id"]
    rows: list[dict[str, Any]] = [
        {
            "type": "training_stats_scalar",
            "task": task,
            "metric": "m",
            "variant": "v",
            "iter": i,
            "value": 1.0,
        }
        for i in range(7)
    ]
    server.call_lines("events.add_batch", [*rows, {"type": "nonsense", "task": task}])
    text = scrape(server)
    assert figure(text, "stackyard_event_rows_total") == 7
    for name in ("stackyard_database_bytes", "process_resident_memory_bytes", "process_start_time_seconds"):
        assert (figure(text, name) or 0) > 0, name
    assert figure(text, "stackyard_database_wal_bytes") is not None
    assert figure(text, "stackyard_watchdog_actions_total", action="requeued") == 0


def test_nobody_reads_them_without_signing_in(server: Running) -> None:
    answer = httpx.get(f"{server.api}/metrics")
    assert answer.status_code == 401
    assert "stackyard_" not in answer.text
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert httpx.get(f"{server.api}/metrics", auth=(server.access_key, "wrong")).status_code == 401
    cookie = {"Cookie": f"clearml_token_basic={server.token}"}
    assert httpx.get(f"{server.api}/metrics", headers=cookie).status_code == 401
    bearer = {"Authorization": f"Bearer {server.token}"}
    assert httpx.get(f"{server.api}/metrics", headers=bearer).status_code == 200
    # the web port, which may be open to more people, does not have them
    assert httpx.get(f"{server.web}/api/metrics", headers=bearer).status_code == 400


def test_a_readonly_user_may_read_them() -> None:
    with running_server(role="readonly") as server:
        assert figure(scrape(server), "stackyard_tasks", status="queued") == 0
