"""SDK flows whose work a real ``clearml-agent`` daemon takes from a queue: the SDK and the agent, both unmodified."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until

from ..agents import Agent, agent, console, task_of
from ..running import Running
from .conftest import Flow


@pytest.fixture(scope="module")
def worker(server: Running, python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One daemon that serves the queue "work"."""
    for name in ("work", "not served", "controllers"):
        server.call("queues.create", name=name)
    with agent(server, python, tmp_path_factory.mktemp("worker"), "worker:0", "work") as running:
        yield running


@pytest.fixture
def template(flow: Flow) -> str:
    """A task that reports the value of its parameter."""
    made = re.search(r"BASE (\w+)", flow("tuning_base.py"))
    assert made
    return made[1]


def test_a_script_that_goes_away_is_run_by_the_agent(flow: Flow, server: Running, worker: Agent) -> None:
    assert "RAN REMOTELY" not in flow("remote.py", "work")
    (task,) = server.call("tasks.get_all", name="^goes away$", only_fields=["id"])["tasks"]
    until(lambda: task_of(server, task["id"])["status"] == "completed", "the run by the agent")
    assert "RAN REMOTELY at depth 3" in console(server, task["id"])
    assert task_of(server, task["id"])["last_worker"] == worker.worker


def test_a_pipeline_on_a_queue(flow: Flow, server: Running, worker: Agent) -> None:
    done = re.search(r"OK (\w+) (\w+) (\w+)", flow("pipeline.py", "--where", "queue"))
    assert done
    total = task_of(server, done[3])
    assert (total["parent"], total["last_worker"]) == (done[1], worker.worker)
    assert "total 10" in console(server, total["id"])


@pytest.mark.long
def test_a_pipeline_of_tasks_on_a_queue(flow: Flow, template: str, worker: Agent) -> None:
    assert "OK" in flow("pipeline_of_tasks.py", template)


def test_tuning_with_optuna_on_a_queue(flow: Flow, template: str, worker: Agent) -> None:
    assert "OK" in flow("tuning.py", "queue", template)


@pytest.mark.parametrize("how", [pytest.param("by time", marks=pytest.mark.long), "by trigger"])
def test_schedulers(how: str, flow: Flow, template: str, worker: Agent) -> None:
    assert "OK" in flow("schedulers.py", how, template)


@pytest.mark.long
def test_tuning_with_optuna_here(flow: Flow, template: str) -> None:
    assert "OK" in flow("tuning.py", "here", template)


@pytest.mark.long
def test_a_pipeline_whose_controller_is_on_a_queue_too(
    flow: Flow, server: Running, python: str, tmp_path: Path, worker: Agent
) -> None:
    with agent(server, python, tmp_path / "controller", "controller:0", "controllers"):
        flow("pipeline.py", "--where", "away")
        (pipe,) = server.call("tasks.get_all", name="^sums away", type=["controller"], only_fields=["id"])[
            "tasks"
        ]
        until(
            lambda: task_of(server, pipe["id"])["status"] in ("completed", "failed"), "the controller's end"
        )
        assert task_of(server, pipe["id"])["status"] == "completed", console(server, pipe["id"])
        (total,) = server.call("tasks.get_all", name="^total$", parent=pipe["id"])["tasks"]
        assert total["status"] == "completed"
