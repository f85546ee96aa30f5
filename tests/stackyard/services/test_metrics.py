"""/metrics of a real services process: running and ended tasks, the platform itself."""

from __future__ import annotations

from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.stackyard.services.conftest import UNTIL, Yard
from tests.waiting import until


def scrape(yard: Yard) -> str:
    return httpx.get(yard.files.state()["metrics"]).text


def figure(text: str, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


def test_a_task_is_seen_while_it_runs_and_when_it_has_ended(yard: Yard, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    task = yard.at_work(UNTIL.format(path=str(go_on)))
    until(lambda: figure(scrape(yard), "stackyard_running_task_rss_bytes", task=task), "its memory")
    text = scrape(yard)
    assert (figure(text, "stackyard_running_task_seconds", task=task, queue="cpu") or 0) > 0
    assert figure(text, "stackyard_running_task_cpu_seconds", task=task) is not None
    assert figure(text, "stackyard_running_task_gpu_memory_bytes") is None, "it has no GPU"
    go_on.touch()
    assert yard.waits(task) == "completed"
    until(lambda: figure(scrape(yard), "stackyard_ended_task_run_seconds", task=task), "what it took")
    text = scrape(yard)
    assert figure(text, "stackyard_running_task_seconds", task=task) is None
    assert (figure(text, "stackyard_ended_task_cpu_seconds", task=task) or 0) > 0
    assert (figure(text, "stackyard_ended_task_peak_rss_bytes", task=task) or 0) > 1e6
    assert figure(text, "stackyard_ended_task_peak_gpu_bytes", task=task) is None
    kind = {"queue": "cpu", "stage": "script.py", "status": "completed"}
    assert figure(text, "stackyard_tasks_ended_total", **kind) == 1
    assert figure(text, "stackyard_task_run_seconds_count", **kind) == 1
    for component in ("services", "agent"):
        assert (figure(text, "stackyard_platform_rss_bytes", component=component) or 0) > 1e6
        assert (figure(text, "stackyard_platform_cpu_seconds_total", component=component) or 0) > 0
