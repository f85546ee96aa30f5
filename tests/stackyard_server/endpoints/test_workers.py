"""Workers as their clients see them: who is alive, what each runs, what machines measured."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stackyard_server import identity
from stackyard_server.upkeep import watchdog

from ..running import Running, running_server

STATS = {"cpu_usage": [10.0, 20.0], "gpu_usage": [50.0, 60.0], "memory_used": 100.5, "disk_read": 0.0}


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
    with running_server(clock=time) as running:
        yield running


def ids(server: Running, **data: object) -> list[str]:
    return [w["id"] for w in server.call("workers.get_all", **data)["workers"]]


def running_task(server: Running) -> str:
    task: str = server.call("tasks.create", name="a task", type="training")["id"]
    server.call("tasks.started", task=task, force=True)
    return task


def test_a_worker_is_seen_from_register_to_unregister(server: Running) -> None:
    queue = server.call("queues.get_default")["id"]
    server.call("workers.register", worker="w:0", queues=[queue], tags=["gpu"])
    (worker,) = server.call("workers.get_all")["workers"]
    assert (worker["id"], worker["register_timeout"]) == ("w:0", 600)
    assert worker["queues"] == [{"id": queue, "name": "default", "num_tasks": 0}]
    assert "last_report_time" not in worker
    server.call("workers.unregister", worker="w:0")
    assert ids(server) == []
    server.call("workers.unregister", worker="w:0")


@pytest.mark.promise("workers-known")
def test_a_silent_worker_is_gone_after_its_timeout(server: Running, time: Time) -> None:
    server.call("workers.register", worker="short", timeout=60)
    server.call("workers.register", worker="usual")
    time.now += 61
    assert ids(server) == ["usual"]
    time.now += 600
    assert ids(server) == []


def test_a_report_tells_what_runs_and_keeps_the_task_alive(server: Running, time: Time) -> None:
    task = running_task(server)
    time.now += 5
    server.call("workers.status_report", worker="w:0", timestamp=1, task=task, machine_stats=STATS)
    (worker,) = server.call("workers.get_all")["workers"]
    assert worker["task"] == {"id": task, "name": "a task", "last_iteration": 0, "running_time": 0}
    found = server.call("tasks.get_by_id", task=task)["task"]
    assert found["last_worker"] == "w:0"
    assert found["last_update"] == found["last_worker_report"] == worker["last_report_time"]
    server.call("workers.status_report", worker="w:0", timestamp=2)
    assert "task" not in server.call("workers.get_all")["workers"][0]


def test_reports_about_unknown_tasks_and_queues_are_refused(server: Running) -> None:
    meta = server.ask("workers.status_report", worker="w:0", timestamp=1, task="nope")["meta"]
    assert (meta["result_code"], meta["result_subcode"]) == (400, 101)
    meta = server.ask("workers.register", worker="w:0", queues=["nope"])["meta"]
    assert (meta["result_code"], meta["result_subcode"]) == (400, 701)
    assert ids(server) == []


def test_workers_are_found_by_tags_and_by_when_they_were_seen(server: Running, time: Time) -> None:
    server.call("workers.register", worker="one", tags=["gpu"])
    time.now += 30
    server.call("workers.register", worker="two")
    assert ids(server, tags=["gpu"]) == ["one"]
    assert ids(server, last_seen=10) == ["two"]
    assert sorted(ids(server, last_seen=0)) == ["one", "two"]  # no filter
    assert server.call("workers.get_count")["count"] == 2


@pytest.mark.promise("workers-known")
def test_the_same_id_of_two_users_is_two_workers(server: Running) -> None:
    with server.store.writing() as tx:
        other = identity.add_user(tx, 0, name="other", role="user")
        key, secret = identity.add_credentials(tx, other)
    for auth in ((server.access_key, server.secret_key), (key, secret)):
        answer = server.client.post(f"{server.api}/workers.register", json={"worker": "same"}, auth=auth)
        assert answer.status_code == 200
    workers = server.call("workers.get_all")["workers"]
    assert {(w["id"], w["user"]["name"]) for w in workers} == {("same", "tester"), ("same", "other")}
    server.call("workers.unregister", worker="same")
    assert [w["user"]["name"] for w in server.call("workers.get_all")["workers"]] == ["other"]


def test_machine_series(server: Running, time: Time) -> None:
    server.call(
        "workers.status_report", worker="w:0", timestamp=1, task=running_task(server), machine_stats=STATS
    )
    server.call("workers.status_report", worker="w:1", timestamp=1, machine_stats={"cpu_usage": [30.0]})
    window = {"from_date": time.now - 120, "to_date": time.now + 60, "interval": 60}
    items = [{"key": "gpu_usage"}, {"key": "memory_used", "aggregation": "max"}]
    found = server.call("workers.get_stats", items=items, split_by_resource=True, **window)["workers"]
    assert [w["worker"] for w in found] == ["w:0"]
    gpu, memory = (m["stats"][0] for m in found[0]["metrics"])
    assert gpu["values"] == [0.0, 0.0, 55.0]
    assert gpu["resource_series"] == [
        {"name": "0", "values": [0.0, 0.0, 50.0]},
        {"name": "1", "values": [0.0, 0.0, 60.0]},
    ]
    assert (memory["aggregation"], memory["values"]) == ("max", [0.0, 0.0, 100.5])
    report = server.call("workers.get_activity_report", **window)
    assert report["total"]["counts"] == [0, 0, 2]
    assert report["active"]["counts"] == [0, 0, 1]
    assert [c["name"] for c in server.call("workers.get_metric_keys")["categories"]] == [
        "cpu",
        "gpu",
        "memory",
    ]


@pytest.mark.promise("workers-known")
def test_series_are_bounded_and_old_measurements_forgotten(server: Running, time: Time) -> None:
    meta = server.ask("workers.get_activity_report", from_date=0, to_date=time.now, interval=1)["meta"]
    assert (meta["result_code"], meta["result_subcode"]) == (400, 12)
    server.call("workers.status_report", worker="w:0", timestamp=1, machine_stats=STATS)
    time.now += 8 * 24 * 3600
    watchdog.prune(server.server.services)
    with server.store.reading() as tx:
        assert tx.value("SELECT (SELECT count(*) FROM worker_sample) + (SELECT count(*) FROM worker)") == 0
    answer = server.client.get(
        f"{server.api}/workers.get_metric_keys", auth=(server.access_key, server.secret_key)
    )
    assert answer.json()["meta"]["result_subcode"] == 1005


def test_the_machine_numbers_agents_send_are_taken(server: Running) -> None:
    stats = {"memory_free": 23103.523, "disk_free_home": 60.467, "gpu_memory_used": [1.5], "unknown": "x"}
    server.call("workers.status_report", worker="w:0", timestamp=1, machine_stats=stats, tags=None)
    server.call("workers.status_report", worker="w:0", timestamp=1, machine_stats=None)


def test_workers_are_left_out_by_their_tags(server: Running) -> None:
    for name, tags in (("tagged a", ["x", "y"]), ("tagged b", ["x"]), ("tagged c", [])):
        server.call("workers.register", worker=name, tags=tags, system_tags=["of this test"])

    def seen(*tags: str) -> set[str]:
        found = server.call("workers.get_all", tags=list(tags), system_tags=["of this test"])["workers"]
        assert server.call("workers.get_count", tags=list(tags), system_tags=["of this test"])[
            "count"
        ] == len(found)
        return {worker["id"].removeprefix("tagged ") for worker in found}

    assert seen("-x") == {"c"}
    assert seen("x", "-y") == {"b"}
    assert seen("x", "y") == {"a", "b"}
    assert seen("__$all", "x", "y") == {"a"}
    assert seen("__$not", "y") == {"b", "c"}
