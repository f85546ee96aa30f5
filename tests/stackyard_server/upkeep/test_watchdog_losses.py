"""Losses that somebody saw and reported, on a running server: they count as those the watchdog noticed."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard_server import identity

from ..running import Running
from .vanishing import OK, VANISHED, Time, Worker, found, look, policy, started_by, status, take


def lose(server: Running, task: str, worker: str = "a:0", **seen: Any) -> dict[str, Any]:
    """What the server answers to who looks after agents and saw one die."""
    return server.ask(
        "tasks.lost", **{"task": task, "worker": worker, "end": "agent_killed", "number": 9, **seen}
    )


@pytest.mark.promise("losses-reported")
def test_a_loss_that_was_seen_counts_like_one_the_watchdog_noticed(server: Running, time: Time) -> None:
    task, queue = started_by(server, Worker(server, "a:0"))
    words = "infrastructure: the agent was killed by signal 9; queued again (1 of 1), in 10 s"
    assert lose(server, task)["data"] == {
        "updated": 1,
        "fields": {"status": "queued", "status_reason": words},
    }
    task_now = found(server, task)
    assert (task_now["status"], task_now["status_reason"]) == ("queued", words)
    assert task_now["runtime"]["stackyard_retries"] == 1
    assert server.call("queues.get_next_task", queue=queue) == {}, "it has to wait"
    time.now += 10
    take(server, Worker(server, "b:0"), task, queue)
    assert look(server, time, 11) == ["failed"], "the two count together"
    assert found(server, task)["status_reason"].startswith(f"{VANISHED}; tried again 1 of 1")


@pytest.mark.promise("losses-reported")
def test_a_report_that_comes_again_is_not_a_second_loss(server: Running, time: Time) -> None:
    worker = Worker(server, "a:0")
    task, queue = started_by(server, worker)
    time.now += 5
    lose(server, task)
    assert lose(server, task)["data"]["updated"] == 0, "it waits"
    time.now += 20
    take(server, worker, task, queue)
    assert lose(server, task, ended_seconds_ago=20)["data"]["updated"] == 0, "it runs again, after that"
    assert lose(server, task, "b:0")["data"]["updated"] == 0, "another worker's"
    assert status(server, task) == "in_progress"
    assert lose(server, task)["data"]["fields"]["status"] == "failed", "this run was lost, too"


def test_a_task_that_its_agent_had_only_just_taken_goes_back_to_the_head(server: Running, time: Time) -> None:
    task, queue = started_by(server, Worker(server, "a:0"))
    other = server.call("tasks.create", name="other", type="training")["id"]
    server.call("tasks.enqueue", task=other, queue=queue)
    lose(server, task, end="just_taken", asked_seconds_ago=0)
    assert "stackyard_retries" not in found(server, task)["runtime"]
    assert server.call("queues.get_next_task", queue=queue)["entry"]["task"] == task


def test_a_task_that_had_run_by_then_was_not_only_just_taken(server: Running, time: Time) -> None:
    task, _ = started_by(server, Worker(server, "a:0"))
    time.now += 60
    answer = lose(server, task, end="just_taken", asked_seconds_ago=0)
    assert answer["data"]["fields"]["status_reason"] == (
        "infrastructure: its agent was told to end while it ran; queued again (1 of 1), in 10 s"
    )
    assert found(server, task)["runtime"]["stackyard_retries"] == 1


@pytest.mark.parametrize("end", ["agent_killed", "just_taken", "services_ended"])
def test_an_archived_task_is_not_tried_again(server: Running, time: Time, end: str) -> None:
    worker = Worker(server, "a:0")
    task, queue = started_by(server, worker)
    assert worker.ask("tasks.stopped", task=task) == OK
    server.call("tasks.archive_many", ids=[task])
    answer = lose(server, task, end=end, asked_seconds_ago=1)
    assert answer["data"]["fields"]["status"] == "stopped"
    assert answer["data"]["fields"]["status_reason"].endswith("; archived, so not tried again")
    time.now += 3600
    server.token = Worker(server, "somebody").token
    assert server.call("queues.get_next_task", queue=queue) == {}


def test_silence_does_not_bring_an_archived_task_back(server: Running, time: Time) -> None:
    task, _ = started_by(server, Worker(server, "a:0"))
    server.call("tasks.edit", task=task, system_tags=["archived"], force=True)
    assert look(server, time, 11) == ["stopped"]
    assert found(server, task)["status_reason"] == f"{VANISHED}; archived, so not tried again"


def scalar(task: str, iteration: int) -> dict[str, Any]:
    named = {"type": "training_stats_scalar", "metric": "loss", "variant": "train"}
    return {**named, "task": task, "iter": iteration, "value": 1.0}


@pytest.mark.promise("lost-run-stays")
def test_a_task_that_is_tried_again_counts_its_iterations_from_0(server: Running, time: Time) -> None:
    """The SDK adds what it finds there to every iteration it reports."""
    task, queue = started_by(server, Worker(server, "a:0"))
    policy(server, queue, retries=2)
    for iteration in (9, 7):
        server.call_lines("events.add_batch", [scalar(task, iteration)])
        assert found(server, task)["last_iteration"] == iteration
        lose(server, task)
        assert found(server, task)["last_iteration"] == 0
        time.now += 20
        server.token = Worker(server, "somebody").token
        take(server, Worker(server, "a:0"), task, queue)


def test_a_task_that_was_queued_to_go_on_keeps_where_it_is(server: Running, time: Time) -> None:
    worker = Worker(server, "a:0")
    task, queue = started_by(server, worker)
    server.call_lines("events.add_batch", [scalar(task, 7)])
    assert worker.ask("tasks.stopped", task=task) == OK
    server.call("tasks.enqueue", task=task, queue=queue)
    take(server, worker, task, queue)
    lose(server, task)
    assert (status(server, task), found(server, task)["last_iteration"]) == ("queued", 7)


def test_an_agent_that_was_told_to_end_stops_its_task_and_that_is_its_loss(
    server: Running, time: Time
) -> None:
    worker = Worker(server, "a:0")
    task, _ = started_by(server, worker)
    assert worker.ask("tasks.stopped", task=task, status_reason="user abort") == OK
    assert lose(server, task)["data"]["updated"] == 0, "nobody asked the agent to end"
    answer = lose(server, task, end="services_ended", asked_seconds_ago=1)
    assert answer["data"]["fields"]["status"] == "queued"
    lost_again, _ = started_by(server, worker)
    assert lose(server, lost_again, end="aborted")["data"]["fields"] == {
        "status": "stopped",
        "status_reason": "aborted by stackyard down",
    }


def test_only_the_user_whose_agent_took_a_task_may_say_that_it_was_lost(server: Running, time: Time) -> None:
    task, _ = started_by(server, Worker(server, "a:0"))
    by_hand = server.call("tasks.create", name="by hand", type="training")["id"]
    server.call("tasks.started", task=by_hand, force=True)
    assert lose(server, by_hand)["meta"]["result_code"] == 403, "no queue gave it to anybody"
    with server.store.writing() as tx:
        keys = {
            role: identity.add_credentials(tx, identity.add_user(tx, 0, name=role, role=role))
            for role in ("readonly", "user", "admin")
        }
    answers = {}
    for role, key in keys.items():
        server.token = server.client.get(f"{server.api}/auth.login", auth=key).json()["data"]["token"]
        answers[role] = lose(server, task)["meta"]["result_code"]
    assert answers == {"readonly": 403, "user": 403, "admin": 200}


@pytest.mark.parametrize(
    "seen",
    [
        {"end": "of the world"},
        {"number": -1},
        {"number": 2**31},
        {"worker": ""},
        {"worker": "w" * 1001},
        {"ended_seconds_ago": -1},
        {"asked_seconds_ago": 1e12},
        {"ended_seconds_ago": "soon"},
        {"task": "none"},
    ],
)
def test_a_report_out_of_bounds_is_refused_and_changes_nothing(server: Running, seen: dict[str, Any]) -> None:
    task, _ = started_by(server, Worker(server, "a:0"))
    answer = lose(server, **{"task": task, **seen})
    assert answer["meta"]["result_code"] == 400
    assert status(server, task) == "in_progress"


def test_a_task_cannot_change_how_often_it_was_tried_again(server: Running, time: Time) -> None:
    worker = Worker(server, "a:0")
    task, queue = started_by(server, worker)
    lose(server, task)
    time.now += 10
    again = Worker(server, "b:0")
    take(server, again, task, queue)
    assert again.ask("tasks.edit", task=task, force=True, runtime={"progress": "5"}) == OK
    assert found(server, task)["runtime"] == {"progress": "5", "stackyard_retries": 1}
    assert again.ask("tasks.edit_runtime", task=task, force=True, runtime={"stackyard_retries": -7}) == OK
    assert found(server, task)["runtime"] == {"progress": "5", "stackyard_retries": 1}
    assert look(server, time, 11) == ["failed"]
