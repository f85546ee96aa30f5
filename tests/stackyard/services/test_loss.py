"""What services saw of a lost task, and their report of it to a server that decides itself."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from stackyard.clearml.client import Client, ServerError
from stackyard.clearml.connection import Connection
from stackyard.services.loss import Loss, ended_with_agent, is_left, report
from stackyard.services.watch import Task, Watch, Worker, decides_fate, epoch
from stackyard_server.rules.fate import End
from tests.stackyard_server.running import running_server


def task(**changes: Any) -> Task:
    given: dict[str, Any] = {
        "id": "t",
        "name": "a task",
        "status": "in_progress",
        "worker": "host:cpu-0",
        "queue": "q",
        "started": 100.0,
        "changed": 100.0,
        "message": "",
        "reason": "",
        "runtime": {},
    }
    return Task(**{**given, **changes})


def test_only_an_agents_own_abort_counts_as_its_end() -> None:
    stopped = {"status": "stopped", "changed": 200.0}
    assert ended_with_agent(task(), None)
    assert ended_with_agent(task(**stopped), 200.0)
    assert ended_with_agent(task(**stopped, reason="user abort"), 200.0)
    assert not ended_with_agent(task(**stopped), None), "nobody asked the agent to end"
    assert not ended_with_agent(task(**stopped), 202.0), "it was stopped before"
    assert not ended_with_agent(task(**stopped, reason="task was stopped by tasks.stop"), 200.0)
    assert not ended_with_agent(task(status="completed"), 0.0)


def test_instants_are_read_with_and_without_a_zone() -> None:
    assert epoch("1970-01-01T00:01:00+00:00") == epoch("1970-01-01T00:01:00") == 60.0
    assert epoch(None) is None
    assert epoch("soon") is None


@pytest.mark.parametrize(
    ("worker", "found"),
    [
        (Worker(200.0, "t"), False),
        (Worker(200.0, None), True),
        (Worker(200.0, "another"), True),
        (Worker(104.0, None), False),  # sent while the task was taken, perhaps
        (Worker(None, None), False),
        (None, False),
    ],
)
def test_a_task_is_left_where_its_agent_reports_something_else(worker: Worker | None, found: bool) -> None:
    assert is_left(task(claimed=101.0), worker) is found


def test_our_server_is_told_and_decides() -> None:
    with running_server() as server:
        connection = Connection(server.api, server.web, server.files, server.access_key, server.secret_key)
        with Client(connection) as agent, Client(connection) as services:
            queue = agent.call("queues.get_default")["id"]
            id = agent.call("tasks.create", name="a task", type="training")["id"]
            agent.call("tasks.enqueue", task=id, queue=queue)
            agent.call("queues.get_next_task", queue=queue)
            agent.call("tasks.started", task=id, force=True)
            agent.call("workers.status_report", worker="host:cpu-0", task=id, timestamp=1)
            assert decides_fate(services)
            assert Watch(services, lambda: []).look().decides_fate
            now = time.time()
            seen = Loss(task(id=id), End.AGENT_EXITED, ended_at=now, number=1)
            assert report(services, replace(seen, ended_at=now - 3600), now) is None, (
                "that was an earlier run"
            )
            words = "infrastructure: the agent ended with status 1; queued again (1 of 2), in 10 s"
            assert report(services, seen, now) == words
            assert services.call("tasks.get_by_id", task=id)["task"]["runtime"] == {"stackyard_retries": 1}
            assert report(services, seen, now) is None, "it waits already"
            with pytest.raises(ServerError, match="Invalid task id"):
                report(services, replace(seen, task=task(id="0" * 32)), now)
