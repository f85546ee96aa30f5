"""Tasks whose worker vanished, on a running server: stopped, queued again, and the fence around them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from stackyard_server import identity
from stackyard_server.rules import fate
from stackyard_server.upkeep import watchdog

from ..running import Running, running_server

VANISHED = fate.reason(fate.INFRASTRUCTURE, fate.VANISHED)


class Time:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def server(time: Time) -> Iterator[Running]:
    with running_server(clock=time, watchdog_minutes=10, requeue_limit=1) as running:
        yield running


class Worker:
    """What an agent with a session of its own sends."""

    def __init__(self, server: Running, id: str) -> None:
        self.server, self.id = server, id
        self.host = id.partition(":")[0]
        self.sign_in()
        self.ask("workers.register", worker=id)

    def sign_in(self) -> None:
        """A new session."""
        auth = (self.server.access_key, self.server.secret_key)
        answer = self.server.client.get(f"{self.server.api}/auth.login", auth=auth)
        self.token = answer.json()["data"]["token"]

    def ask(self, name: str, **data: Any) -> tuple[int, int]:
        """The code and subcode of a call."""
        headers = {"Authorization": f"Bearer {self.token}", "X-ClearML-Worker": self.host}
        answer = self.server.client.post(f"{self.server.api}/{name}", json=data, headers=headers)
        meta = answer.json()["meta"]
        return meta["result_code"], meta["result_subcode"]

    def pull(self, queue: str) -> None:
        assert self.ask("queues.get_next_task", queue=queue) == (200, 0)

    def log(self, task: str) -> tuple[int, int]:
        return self.ask("events.add", task=task, type="log", msg="still here", worker=self.id)

    def report(self, task: str) -> tuple[int, int]:
        return self.ask("workers.status_report", worker=self.id, timestamp=1, task=task)


OK, REFUSED = (200, 0), (400, 110)


def started_by(server: Running, worker: Worker) -> tuple[str, str]:
    """A task that a worker pulled and started, and its queue."""
    queue = server.call("queues.get_default")["id"]
    task: str = server.call("tasks.create", name="a task", type="training")["id"]
    server.call("tasks.enqueue", task=task, queue=queue)
    take(server, worker, task, queue)
    return task, queue


def take(server: Running, worker: Worker, task: str, queue: str) -> None:
    worker.pull(queue)
    assert worker.ask("tasks.started", task=task, force=True) == OK
    assert worker.report(task) == OK


def status(server: Running, task: str) -> str:
    found: str = server.call("tasks.get_by_id", task=task)["task"]["status"]
    return found


def look(server: Running, time: Time, minutes: float) -> list[str]:
    """The watchdog's look after so much silence."""
    time.now += minutes * 60
    server.token = Worker(server, "somebody").token
    return [v.status for _, v in watchdog.check(server.server.services, listening_since=0)]


@pytest.mark.promise("silence-is-loss")
def test_signs_of_life_keep_a_task_running(server: Running, time: Time) -> None:
    worker = Worker(server, "a:0")
    task, _ = started_by(server, worker)
    for sign in (worker.report, worker.log, lambda t: worker.ask("tasks.ping", task=t)):
        time.now += 9 * 60
        assert sign(task) == OK
        assert look(server, time, 2) == []
    assert status(server, task) == "in_progress"


def found(server: Running, task: str) -> dict[str, Any]:
    document: dict[str, Any] = server.call("tasks.get_by_id", task=task)["task"]
    return document


def policy(server: Running, queue: str, **values: object) -> None:
    """Tell a queue what it asks for its tasks."""
    items = [{"key": key, "type": "str", "value": str(value)} for key, value in values.items()]
    server.call("queues.add_or_update_metadata", queue=queue, metadata=items)


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
