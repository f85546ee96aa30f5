"""Every SDK flow with the real ``clearml`` package, unmodified, against our server."""

from __future__ import annotations

import re
from pathlib import Path

from ..running import Running
from .conftest import Flow


def test_tasks_parameters_reports_and_artifacts(flow: Flow) -> None:
    assert "OK" in flow("task_basics.py")


def test_models(flow: Flow) -> None:
    assert "OK" in flow("models.py")


def test_data_sets_with_versions_and_lineage(flow: Flow) -> None:
    assert "OK" in flow("datasets.py")


def test_a_local_pipeline_passes_data_between_its_steps(flow: Flow) -> None:
    assert "OK" in flow("pipeline_local.py")


def test_an_offline_session_is_brought_in(flow: Flow, tmp_path: Path) -> None:
    recorded = flow("offline.py", "record")
    found = re.search(r"SESSION (.+)", recorded)
    assert found, recorded
    session = found[1].strip()
    archive = session if session.endswith(".zip") else f"{session.rstrip('/')}.zip"
    assert "OK" in flow("offline.py", "import", archive)


def test_remote_execution_leaves_the_task_in_the_queue(flow: Flow, server: Running) -> None:
    queue = server.call("queues.create", name="remote")["id"]
    assert "RAN REMOTELY" not in flow("remote.py")
    entries = server.call("queues.get_by_id", queue=queue)["queue"]["entries"]
    (task,) = server.call("tasks.get_all", id=[entries[0]["task"]])["tasks"]
    assert (task["name"], task["status"]) == ("goes away", "queued")
    assert "execute_remotely" in task["script"]["diff"]


def test_the_scheduler_by_time(flow: Flow, server: Running) -> None:
    server.call("queues.create", name="scheduled")
    assert "OK" in flow("schedulers.py", "by time")


def test_the_scheduler_by_trigger(flow: Flow, server: Running) -> None:
    assert "OK" in flow("schedulers.py", "by trigger")
