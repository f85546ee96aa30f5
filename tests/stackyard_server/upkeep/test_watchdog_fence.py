"""The fence around tasks that were queued again, on a running server."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ..running import Running, running_server
from .vanishing import OK, REFUSED, Time, Worker, look, started_by, status, take


@pytest.mark.promise("fence-refuses-the-old-run")
def test_after_a_requeue_the_old_worker_is_refused_and_the_new_one_works(
    server: Running, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    old = Worker(server, "old:0")
    task, queue = started_by(server, old)
    look(server, time, 11)
    with caplog.at_level(logging.WARNING, "stackyard_server.security"):
        assert old.log(task)[0] == 400
    assert f'fence.refused task="{task}"' in caplog.text
    assert status(server, task) == "queued"
    time.now += 10
    for name in (
        "tasks.started",
        "tasks.completed",
        "tasks.stopped",
        "tasks.failed",
        "tasks.edit",
    ):
        assert old.ask(name, task=task, force=True) == REFUSED
    assert old.ask("tasks.dequeue", task=task) == REFUSED
    assert old.report(task) == REFUSED
    new = Worker(server, "new:0")
    take(server, new, task, queue)
    assert new.log(task) == OK
    assert old.log(task)[0] == 400
    assert old.report(task) == REFUSED
    old.sign_in()
    assert old.log(task)[0] == 400, "a new session of the old worker"
    assert old.ask("tasks.completed", task=task, force=True) == REFUSED
    assert server.call("tasks.get_by_id", task=task)["task"]["last_worker"] == "new:0"
    assert new.ask("tasks.completed", task=task) == OK


@pytest.mark.promise("fence-lets-in")
def test_the_old_worker_may_pull_the_task_again(server: Running, time: Time) -> None:
    old = Worker(server, "old:0")
    child = Worker(server, "old")
    task, queue = started_by(server, old)
    assert child.ask("tasks.started", task=task) == OK
    look(server, time, 11)
    time.now += 10
    assert old.log(task)[0] == 400
    take(server, old, task, queue)
    assert old.log(task) == OK
    assert child.ask("tasks.edit", task=task, force=True, runtime={"a": "1"}) == REFUSED
    assert child.log(task)[0] == 400
    next_child = Worker(server, "old")
    assert next_child.ask("tasks.started", task=task) == OK
    assert next_child.ask("tasks.edit", task=task, force=True, runtime={"a": "2"}) == OK


@pytest.mark.promise("fence-refuses-the-old-run")
def test_a_batch_keeps_what_is_not_fenced(server: Running, time: Time) -> None:
    old = Worker(server, "old:0")
    task, _ = started_by(server, old)
    look(server, time, 11)
    other = server.call("tasks.create", name="other", type="training")["id"]
    lines = [
        {"task": t, "type": "training_stats_scalar", "metric": "m", "variant": "v", "iter": 1, "value": 1.0}
        for t in (task, other)
    ]
    server.token = old.token
    answer = server.call_lines("events.add_batch", lines)
    assert (answer["added"], answer["errors"]) == (1, 1)
    assert task in next(iter(answer["errors_info"]))


@pytest.mark.promise("fence-lets-in")
def test_people_may_still_stop_reset_and_edit_a_fenced_task(server: Running, time: Time) -> None:
    controller = Worker(server, "old")  # on the machine of the old worker, signed in long before
    old = Worker(server, "old:0")
    task, queue = started_by(server, old)
    look(server, time, 11)
    time.now += 10
    take(server, Worker(server, "new:0"), task, queue)
    assert controller.ask("tasks.edit", task=task, force=True, comment="seen") == OK
    assert controller.ask("tasks.stop", task=task) == OK
    assert controller.ask("tasks.reset", task=task, force=True) == OK


@pytest.mark.promise("fence-refuses-the-old-run")
def test_the_fence_outlives_a_restart(tmp_path: Any, time: Time) -> None:
    settings: dict[str, Any] = {"watchdog_minutes": 10, "requeue_limit": 1}
    with running_server(tmp_path / "data", clock=time, **settings) as server:
        old = Worker(server, "old:0")
        task, _ = started_by(server, old)
        look(server, time, 11)
    with running_server(tmp_path / "data", clock=time, **settings) as server:
        old.server = server
        assert old.log(task)[0] == 400


def test_queueing_again_by_hand_fences_too(server: Running) -> None:
    old = Worker(server, "old:0")
    task, queue = started_by(server, old)
    server.call("tasks.reset", task=task, force=True)
    server.call("tasks.enqueue", task=task, queue=queue)
    assert old.log(task)[0] == 400
    assert old.ask("tasks.completed", task=task, force=True) == REFUSED


@pytest.mark.parametrize("from_queue", [True, False])
@pytest.mark.promise("fence-refuses-the-old-run")
def test_a_reset_of_a_running_task_shuts_its_run_out(server: Running, time: Time, from_queue: bool) -> None:
    run, person = Worker(server, "here:0"), Worker(server, "desk")
    if from_queue:
        task, queue = started_by(server, run)
    else:
        task = server.call("tasks.create", name="by hand", type="training")["id"]
        queue = server.call("queues.get_default")["id"]
        assert run.ask("tasks.started", task=task) == OK
    assert run.log(task) == OK
    time.now += 60
    assert person.ask("tasks.reset", task=task, force=True) == OK
    assert run.log(task)[0] == 400
    assert run.ask("tasks.completed", task=task, force=True) == REFUSED
    assert server.call("events.get_task_log", task=task)["total"] == 0
    assert person.ask("tasks.edit", task=task, force=True, comment="again") == OK
    again = Worker(server, "here:0")  # the same machine, without a queue
    assert again.ask("tasks.started", task=task) == OK
    assert again.log(task) == OK
    assert person.log(task) == OK, "whoever reset it may run it"
    assert again.ask("tasks.stopped", task=task, force=True) == OK
    server.call("tasks.enqueue", task=task, queue=queue)
    new = Worker(server, "there:0")
    take(server, new, task, queue)
    assert new.log(task) == OK
    assert run.log(task)[0] == 400


@pytest.mark.promise("fence-lets-in")
def test_a_run_that_resets_its_own_task_goes_on(server: Running, time: Time) -> None:
    run = Worker(server, "here:0")
    task, _ = started_by(server, run)
    time.now += 60
    assert run.ask("tasks.reset", task=task, force=True) == OK
    assert run.ask("tasks.started", task=task) == OK
    assert run.log(task) == OK


def test_tasks_never_queued_again_have_no_fence(server: Running) -> None:
    worker = Worker(server, "a:0")
    task, _ = started_by(server, worker)
    with server.store.reading() as tx:
        assert tx.fenced == set()
    assert Worker(server, "b:0").log(task) == OK
