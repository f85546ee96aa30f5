"""Every SDK flow that needs no agent, with the real ``clearml`` package, unmodified, against our server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..running import Running
from .conftest import Flow


def test_tasks_parameters_reports_and_artifacts(flow: Flow) -> None:
    assert "OK" in flow("task_basics.py")


def test_a_task_is_found_copied_changed_archived_published_and_deleted(flow: Flow) -> None:
    assert "OK" in flow("task_life.py")


def test_models(flow: Flow, server: Running) -> None:
    made = re.search(r"OK (\w+)", flow("models.py", "make"))
    assert made
    reported = server.call("events.scalar_metrics_iter_histogram", task=made[1], model_events=True)
    assert reported["quality"]["F1"]["x"] == [1]
    assert "OK" in flow("models.py", "use")


@pytest.mark.promise("data-sets-renamed", on="SDK")
def test_data_sets_with_versions_and_lineage(flow: Flow) -> None:
    assert "OK" in flow("datasets.py")


def test_queues(flow: Flow) -> None:
    assert "OK" in flow("queues.py")


def run_here(flow: Flow) -> tuple[str, str, str]:
    """Of a local pipeline: the controller's task, how its first step ended, its last step's task."""
    done = re.search(r"OK (\w+) (\w+) (\w+)", flow("pipeline.py", "--where", "here"))
    assert done
    return done[1], done[2], done[3]


@pytest.mark.long
def test_a_local_pipeline_passes_data_between_its_steps(flow: Flow, server: Running) -> None:
    controller, first_step, last = run_here(flow)
    assert first_step == "completed"
    total = server.call("tasks.get_by_id", task=last)["task"]
    assert (total["parent"], total["hyperparams"]["return"]["value"]["value"]) == (controller, "10")


@pytest.mark.long
def test_a_pipeline_takes_up_a_step_that_was_done_before(flow: Flow) -> None:
    before, *_ = run_here(flow)
    controller, first_step, _ = run_here(flow)
    assert first_step == "cached"
    assert controller != before, "a pipeline of its own"


def test_an_offline_session_is_brought_in(flow: Flow, tmp_path: Path) -> None:
    recorded = flow("offline.py", "record")
    found = re.search(r"SESSION (.+)", recorded)
    assert found, recorded
    session = found[1].strip()
    archive = session if session.endswith(".zip") else f"{session.rstrip('/')}.zip"
    assert "OK" in flow("offline.py", "import", archive)


def test_remote_execution_leaves_the_task_in_the_queue(flow: Flow, server: Running) -> None:
    queue = server.call("queues.create", name="remote")["id"]
    assert "RAN REMOTELY" not in flow("remote.py", "remote")
    entries = server.call("queues.get_by_id", queue=queue)["queue"]["entries"]
    (task,) = server.call("tasks.get_all", id=[entries[0]["task"]])["tasks"]
    assert (task["name"], task["status"]) == ("goes away", "queued")
    assert "execute_remotely" in task["script"]["diff"]
    assert "development" not in task["system_tags"]
