"""Tasks whose worker vanished, on a running server: stopped, or queued again."""

from __future__ import annotations

import pytest

from stackyard_server.upkeep import watchdog

from ..running import Running, running_server
from .vanishing import OK, VANISHED, Time, Worker, found, look, policy, started_by, status, take


@pytest.mark.promise("silence-is-loss")
def test_signs_of_life_keep_a_task_running(server: Running, time: Time) -> None:
    worker = Worker(server, "a:0")
    task, _ = started_by(server, worker)
    for sign in (worker.report, worker.log, lambda t: worker.ask("tasks.ping", task=t)):
        time.now += 9 * 60
        assert sign(task) == OK
        assert look(server, time, 2) == []
    assert status(server, task) == "in_progress"


@pytest.mark.promise("retries-counted")
def test_a_task_is_tried_again_after_a_while_and_fails_when_it_is_lost_too_often(
    server: Running, time: Time
) -> None:
    worker = Worker(server, "a:0")
    task, queue = started_by(server, worker)
    assert look(server, time, 11) == ["queued"]
    task_now = found(server, task)
    assert task_now["status"] == "queued"
    assert task_now["status_reason"] == f"{VANISHED}; queued again (1 of 1), in 10 s"
    assert task_now["runtime"]["stackyard_retries"] == 1
    assert "a:0" in task_now["status_message"]
    other = Worker(server, "b:0")
    assert server.call("queues.get_next_task", queue=queue) == {}, "it has to wait"
    assert server.call("queues.peek_task", queue=queue)["task"] is None
    assert server.call("queues.get_num_entries", queue=queue)["num"] == 1
    time.now += 10
    assert server.call("queues.peek_task", queue=queue)["task"] == task
    take(server, other, task, queue)
    assert look(server, time, 11) == ["failed"]
    task_now = found(server, task)
    assert task_now["status"] == "failed"
    assert task_now["status_reason"].startswith(f"{VANISHED}; tried again 1 of 1")
    assert "b:0" in task_now["status_message"]
    assert "completed" in task_now
    # a user who queues it gives it a new life, at once
    server.call("tasks.enqueue", task=task, queue=queue)
    assert "stackyard_retries" not in found(server, task).get("runtime", {})
    take(server, Worker(server, "c:0"), task, queue)
    assert look(server, time, 11) == ["queued"]


def test_a_queue_says_how_often_and_how_long(server: Running, time: Time) -> None:
    queue = server.call("queues.get_default")["id"]
    policy(server, queue, retries=3, silence_seconds=90)
    task, _ = started_by(server, Worker(server, "a:0"))
    waits = []
    for n in range(3):
        assert look(server, time, 1.4) == []
        assert look(server, time, 0.2) == ["queued"], n
        waits.append(int(found(server, task)["status_reason"].rpartition("in ")[2].removesuffix(" s")))
        time.now += waits[-1]
        take(server, Worker(server, f"w{n}:0"), task, queue)
    assert waits == [10, 20, 40]
    assert look(server, time, 2) == ["failed"]
    policy(server, queue, retries=0)
    server.call("tasks.enqueue", task=task, queue=queue)
    take(server, Worker(server, "again:0"), task, queue)
    assert look(server, time, 2) == ["failed"], "nothing is tried again where the queue says so"


def test_a_queues_own_silence_counts_where_the_server_takes_nobody_for_lost(time: Time) -> None:
    with running_server(clock=time, watchdog_minutes=0, requeue_limit=1) as server:
        task, queue = started_by(server, Worker(server, "a:0"))
        assert look(server, time, 60 * 24) == [], "nobody said how long is too long"
        policy(server, queue, silence_seconds=90)
        assert look(server, time, 2) == ["queued"]
        take(server, Worker(server, "b:0"), task, queue)
        by_hand = server.call("tasks.create", name="by hand", type="training")["id"]
        server.call("tasks.started", task=by_hand, force=True)
        assert look(server, time, 1.4) == []
        assert look(server, time, 0.2) == ["failed"]
        assert (status(server, task), status(server, by_hand)) == ("failed", "in_progress")


def test_a_silence_of_ages_ends_no_look(server: Running, time: Time) -> None:
    task, queue = started_by(server, Worker(server, "a:0"))
    policy(server, queue, silence_seconds="1e306")
    assert look(server, time, 60 * 24 * 30) == []
    assert status(server, task) == "in_progress"
    by_hand = server.call("tasks.create", name="by hand", type="training")["id"]
    server.call("tasks.started", task=by_hand, force=True)
    assert look(server, time, 11) == ["stopped"], "of others it still looks"


def test_what_waits_for_its_retry_keeps_nobody_else_waiting(server: Running, time: Time) -> None:
    task, queue = started_by(server, Worker(server, "a:0"))
    look(server, time, 11)
    other = server.call("tasks.create", name="other", type="training")["id"]
    server.call("tasks.enqueue", task=other, queue=queue)
    assert server.call("queues.get_next_task", queue=queue)["entry"]["task"] == other
    assert server.call("queues.get_next_task", queue=queue) == {}
    time.now -= 7200  # a clock that was set back holds nothing back
    server.token = Worker(server, "somebody").token
    assert server.call("queues.get_next_task", queue=queue)["entry"]["task"] == task


@pytest.mark.promise("stopped-instead")
def test_a_task_that_no_queue_gave_out_is_stopped(server: Running, time: Time) -> None:
    task = server.call("tasks.create", name="by hand", type="training")["id"]
    server.call("tasks.started", task=task, force=True)
    assert look(server, time, 11) == ["stopped"]
    assert status(server, task) == "stopped"


@pytest.mark.promise("handed-out-once")
@pytest.mark.promise("silence-is-loss")
def test_a_task_that_was_taken_and_never_started_goes_back(server: Running, time: Time) -> None:
    queue = server.call("queues.get_default")["id"]
    task = server.call("tasks.create", name="taken", type="training")["id"]
    waiting = server.call("tasks.create", name="waiting", type="training")["id"]
    for id in (task, waiting):
        server.call("tasks.enqueue", task=id, queue=queue)
    Worker(server, "a:0").pull(queue)
    assert look(server, time, 9) == []
    assert look(server, time, 2) == ["queued"]
    assert "stackyard_retries" not in found(server, task)["runtime"], "it was not even started"
    entries = server.call("queues.get_by_id", queue=queue)["queue"]["entries"]
    assert [e["task"] for e in entries] == [waiting, task]
    assert look(server, time, 60) == [], "what waits is not lost"


@pytest.mark.promise("silence-while-away")
def test_the_time_the_server_was_away_is_not_silence(server: Running, time: Time) -> None:
    worker = Worker(server, "a:0")
    started_by(server, worker)
    time.now += 3 * 3600
    now = int(time.now * 1000)
    assert watchdog.check(server.server.services, listening_since=now - 60_000) == []
    hearing = watchdog.Hearing(now=0, monotonic=0.0)
    hearing.tick(5_000, 5.0, tolerance_seconds=5.0)
    assert hearing.since == 0
    hearing.tick(7_205_000, 10.0, tolerance_seconds=5.0)
    assert hearing.since == 7_205_000


def over_time(server: Running) -> list[str]:
    """What the server does about tasks that run for too long."""
    return [v.action for _, v in watchdog.check_limits(server.server.services)]


def test_a_task_beyond_its_queues_limit_is_asked_to_stop_and_then_failed(server: Running, time: Time) -> None:
    queue = server.call("queues.get_default")["id"]
    policy(server, queue, time_limit_seconds=100)
    worker = Worker(server, "a:0")
    task, _ = started_by(server, worker)
    time.now += 100
    assert over_time(server) == []
    time.now += 1
    assert over_time(server) == ["ask"]
    now = found(server, task)
    assert (now["status"], now["status_message"]) == ("in_progress", "stopping"), "as tasks.stop does it"
    assert now["status_reason"] == "time_limit: ran 1 min 41 s, queue default's limit is 1 min 40 s"
    time.now += 60
    assert worker.log(task) == OK
    assert over_time(server) == []
    time.now += 1
    assert over_time(server) == ["fail"]
    now = found(server, task)
    assert now["status"] == "failed"
    assert now["status_reason"].startswith("time_limit: ran 2 min 42 s")
    assert "completed" in now
    assert over_time(server) == []
    assert server.server.services.meter.watchdog == {"time_limit_asked": 1, "time_limit_failed": 1}


@pytest.mark.parametrize("end", ["tasks.stopped", "tasks.failed"])
@pytest.mark.promise("time-limit-is-the-reason")
def test_one_that_obeys_has_failed_for_its_time_limit(server: Running, time: Time, end: str) -> None:
    worker = Worker(server, "a:0")
    task, _ = started_by(server, worker)
    limit = {"section": "Run", "name": "time_limit_seconds", "value": "7.5", "type": "float"}
    server.call("tasks.edit_hyper_params", task=task, hyperparams=[limit], force=True)
    time.now += 68
    assert over_time(server) == ["ask"]
    assert worker.ask(end, task=task, status_reason="task was stopped by tasks.stop") == OK
    now = found(server, task)
    assert now["status"] == "failed"
    assert now["status_reason"] == "time_limit: ran 1 min 8 s, its own limit is 7 s", (
        "whatever the agent calls it"
    )


def test_one_that_gets_done_while_it_is_asked_is_done(server: Running, time: Time) -> None:
    queue = server.call("queues.get_default")["id"]
    policy(server, queue, time_limit_seconds=10)
    worker = Worker(server, "a:0")
    task, _ = started_by(server, worker)
    time.now += 71
    assert over_time(server) == ["ask"]
    assert worker.ask("tasks.completed", task=task) == OK
    assert status(server, task) == "completed"


def test_a_queue_is_made_with_its_policy(server: Running) -> None:
    item = {"key": "time_limit_seconds", "type": "int", "value": "5"}
    queue = server.call("queues.create", name="short ones", metadata=[item])["id"]
    assert server.call("queues.get_by_id", queue=queue)["queue"]["metadata"] == {"time_limit_seconds": item}


def test_how_often_to_look_follows_the_allowed_silence() -> None:
    assert [watchdog.check_seconds(s) for s in (0.6, 24.0, 7200.0)] == [0.5, 2.0, 5.0]
