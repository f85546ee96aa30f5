"""A task that is stopped in the moment in which an agent pulls it, as its clients see it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..endpoints.asking import Clock, create, queue, read
from ..running import Running, running_server
from ..upkeep.vanishing import OK, Worker


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def server(clock: Clock) -> Iterator[Running]:
    with running_server(clock=clock) as running:
        yield running


@pytest.fixture
def agent(server: Running) -> Worker:
    return Worker(server, "host:0")


def pulled(server: Running, agent: Worker) -> str:
    """A task that the agent got from its queue, and has said nothing of."""
    id, place = create(server), queue(server, "pulled")
    server.call("tasks.enqueue", task=id, queue=place)
    agent.pull(place)
    return id


def said(server: Running, id: str) -> tuple[str, str, str]:
    task = read(server, id)
    return task["status"], task["status_message"], task["status_reason"]


def begins(agent: Worker, id: str, step: str) -> None:
    assert agent.ask("tasks.started", task=id, status_message=step, force=True) == OK


@pytest.mark.parametrize("is_said", [False, True], ids=["before its word", "after its word"])
@pytest.mark.parametrize("end", ["tasks.stop", "tasks.stopped"])
@pytest.mark.promise("abort-after-hand-out")
def test_an_agent_that_has_just_pulled_a_task_is_told_to_end_it(
    server: Running, clock: Clock, agent: Worker, end: str, is_said: bool
) -> None:
    id = pulled(server, agent)
    if is_said:
        begins(agent, id, "pulled by agent")
    clock.seconds += 0.004
    assert server.call(end, task=id, status_reason="enough")["fields"]["status"] == "stopped"
    for step in ("pulled by agent", "launch by agent")[is_said:]:
        begins(agent, id, step)
        assert said(server, id) == ("in_progress", "stopping", "enough")
    server.call("tasks.dequeue", task=id, new_status="in_progress")  # the process that the agent starts
    assert said(server, id) == ("in_progress", "stopping", "enough")
    agent.ask("tasks.stopped", task=id, status_reason="task was stopped by tasks.stop")
    assert said(server, id)[0] == "stopped"


@pytest.mark.promise("abort-after-hand-out")
def test_whoever_else_starts_a_stopped_task_means_it(server: Running, agent: Worker) -> None:
    id = pulled(server, agent)
    server.call("tasks.stop", task=id)
    server.call("tasks.started", task=id, force=True)
    assert said(server, id) == ("in_progress", "", "")


@pytest.mark.promise("abort-after-hand-out")
def test_a_task_that_is_queued_anew_and_pulled_is_no_longer_to_stop(server: Running, agent: Worker) -> None:
    id = pulled(server, agent)
    server.call("tasks.stop", task=id)
    place = queue(server, "pulled")
    server.call("tasks.enqueue", task=id, queue=place)
    agent.pull(place)
    begins(agent, id, "pulled by agent")
    assert said(server, id) == ("in_progress", "pulled by agent", "")
