"""Queues as their clients see them: order, hand-out to exactly one, what is written when, series."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.waiting import PATIENCE_SECONDS

from ..running import Running, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


def queue_of(server: Running, name: str, tasks: int) -> tuple[str, list[str]]:
    """A new queue in which so many new tasks wait."""
    queue = server.call("queues.create", name=name)["id"]
    waiting = [server.call("tasks.create", name=f"task {n}", type="training")["id"] for n in range(tasks)]
    for task in waiting:
        server.call("tasks.enqueue", task=task, queue=queue)
    return queue, waiting


def order(server: Running, queue: str) -> list[str]:
    return [e["task"] for e in server.call("queues.get_by_id", queue=queue)["queue"]["entries"]]


def refused(server: Running, name: str, /, **data: object) -> tuple[int, int]:
    meta = server.ask(name, **data)["meta"]
    return meta["result_code"], meta["result_subcode"]


def test_a_new_server_has_a_default_queue(server: Running) -> None:
    default = server.call("queues.get_default")
    assert default["name"] == "default"
    assert server.call("queues.get_by_id", queue=default["id"])["queue"]["system_tags"] == ["default"]


@pytest.mark.promise("order-of-queues")
@pytest.mark.promise("queued-until-started")
def test_tasks_leave_in_the_order_in_which_they_came(server: Running) -> None:
    queue, waiting = queue_of(server, "in order", 4)
    taken = [server.call("queues.get_next_task", queue=queue)["entry"]["task"] for _ in waiting]
    assert taken == waiting
    assert server.call("queues.get_next_task", queue=queue) == {}
    assert server.call("queues.peek_task", queue=queue) == {"task": None}


@pytest.mark.promise("order-of-queues")
def test_moves_change_the_order_and_answer_the_place(server: Running) -> None:
    queue, (a, b, c, d) = queue_of(server, "moved", 4)
    assert server.call("queues.move_task_to_front", queue=queue, task=d) == {"position": 0}
    assert server.call("queues.move_task_to_back", queue=queue, task=a) == {"position": 3}
    assert server.call("queues.move_task_forward", queue=queue, task=c, count=1) == {"position": 1}
    assert server.call("queues.move_task_backward", queue=queue, task=c, count=99) == {"position": 3}
    assert order(server, queue) == [d, b, a, c]


def test_moves_between_the_same_two_places_never_run_out_of_room(server: Running) -> None:
    queue, (a, b, c) = queue_of(server, "crowded", 3)
    for _ in range(60):
        server.call("queues.move_task_to_back", queue=queue, task=b)
        server.call("queues.move_task_forward", queue=queue, task=b, count=1)
        server.call("queues.move_task_backward", queue=queue, task=a, count=1)
        server.call("queues.move_task_forward", queue=queue, task=a, count=1)
    assert order(server, queue) == [a, b, c]


@pytest.mark.promise("waits-in-one-queue")
def test_a_task_waits_once(server: Running) -> None:
    queue, (task,) = queue_of(server, "once", 1)
    other = server.call("queues.create", name="once more")["id"]
    assert refused(server, "queues.add_task", queue=queue, task=task) == (400, 706)
    assert refused(server, "queues.add_task", queue=other, task=task) == (400, 706)
    assert order(server, queue) == [task]


def test_what_is_not_there_is_refused_with_the_known_codes(server: Running) -> None:
    queue, (task,) = queue_of(server, "codes", 1)
    assert refused(server, "queues.get_next_task", queue="nope") == (400, 701)
    assert refused(server, "queues.remove_task", queue=queue, task="nope") == (400, 703)
    assert refused(server, "queues.add_task", queue=queue, task="nope") == (400, 101)
    assert refused(server, "queues.create", name="codes") == (400, 801)
    assert refused(server, "queues.create", name="q") == (400, 800)
    assert refused(server, "queues.delete", queue=queue) == (400, 702)
    assert refused(server, "queues.move_task_forward", queue=queue, task=task, count="1") == (400, 12)
    assert refused(server, "queues.get_by_task_id", task="nope") == (400, 101)
    for fields in ({"target_queue": "nope"}, {"queue": "nope", "target_queue": queue}):
        found = refused(server, "queues.move_task_to_queue", **{"queue": queue, "task": task, **fields})
        assert found in ((400, 701), (400, 703))
    assert order(server, queue) == [task]
    assert refused(server, "queues.get_queue_metrics", from_date=0, to_date=9, interval=0) == (400, 12)
    assert refused(server, "queues.get_next_task", queue=5) == (400, 12)


def test_deleting_or_clearing_a_queue_frees_its_tasks(server: Running) -> None:
    for name, arguments in (("queues.delete", {"force": True}), ("queues.clear_queue", {})):
        queue, waiting = queue_of(server, f"gone by {name}", 2)
        server.call(name, queue=queue, **arguments)
        assert {server.call("tasks.get_by_id", task=t)["task"]["status"] for t in waiting} == {"created"}


def test_a_deleted_task_is_not_handed_out(server: Running) -> None:
    queue, (gone, kept) = queue_of(server, "deleted", 2)
    server.call("tasks.delete", task=gone, force=True)
    assert server.call("queues.get_next_task", queue=queue)["entry"]["task"] == kept


@pytest.mark.promise("empty-poll-writes-nothing")
def test_an_empty_poll_writes_nothing(server: Running) -> None:
    queue = server.call("queues.create", name="empty")["id"]
    with server.store.reading() as tx:
        seen = tx.value("PRAGMA data_version")
    log = server.store.path.with_name(server.store.path.name + "-wal")
    size, stamp = log.stat().st_size, log.stat().st_mtime_ns
    for _ in range(20):
        assert server.call("queues.get_next_task", queue=queue) == {}
    assert (log.stat().st_size, log.stat().st_mtime_ns) == (size, stamp)
    with server.store.reading() as tx:
        assert tx.value("PRAGMA data_version") == seen


@pytest.mark.slow
@pytest.mark.promise("handed-out-once")
def test_a_hundred_workers_pull_at_once_and_each_task_goes_to_one(server: Running) -> None:
    queue, waiting = queue_of(server, "pulled at once", 60)
    headers = {"Authorization": f"Bearer {server.token}"}

    def pull(worker: int) -> list[tuple[str, str]]:
        taken = []
        with httpx.Client(
            timeout=PATIENCE_SECONDS,
            headers={**headers, "X-ClearML-Worker": f"w{worker}"},
            verify=False,  # plain HTTP: a hundred times the world's certificates are read for nothing
        ) as client:
            for _ in range(3):
                answer = client.get(
                    f"{server.api}/v2.14/queues.get_next_task", params={"queue": queue}
                ).json()
                if entry := answer["data"].get("entry"):
                    taken.append((entry["task"], entry["added"]))
        return taken

    with ThreadPoolExecutor(100) as pool:
        pulled = list(pool.map(pull, range(100)))
    taken = [task for own in pulled for task, _ in own]
    assert sorted(taken) == sorted(waiting), "a task was lost or handed out twice"
    for own in pulled:
        assert own == sorted(own, key=lambda e: waiting.index(e[0])), "a worker got tasks out of order"


@pytest.mark.promise("queue-ids-stay")
def test_ids_and_entries_outlive_a_restart(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        queue, waiting = queue_of(server, "kept", 3)
        server.call("queues.move_task_to_front", queue=queue, task=waiting[2])
        before = server.call("queues.get_by_id", queue=queue)["queue"]
        default = server.call("queues.get_default")
    with running_server(tmp_path / "data") as server:
        assert server.call("queues.get_by_id", queue=queue)["queue"] == before
        assert server.call("queues.get_default") == default
        assert server.call("queues.get_next_task", queue=queue)["entry"]["task"] == waiting[2]


def test_depth_and_waits_over_time() -> None:
    now = [1_800_000_000.0]
    with running_server(clock=lambda: now[0]) as server:
        queue, _ = queue_of(server, "measured", 2)
        now[0] += 30
        server.call("queues.get_next_task", queue=queue)
        found = server.call(
            "queues.get_queue_metrics",
            from_date=now[0] - 60,
            to_date=now[0] + 60,
            interval=20,
            queue_ids=[queue],
        )
    (series,) = found["queues"]
    assert series["queue"] == queue
    assert series["queue_lengths"] == [2, 2]
    assert series["avg_waiting_times"] == [0.0, 30.0]


def test_get_all_ex_names_waiting_tasks_and_listening_workers(server: Running) -> None:
    queue, (task,) = queue_of(server, "with names", 1)
    server.call("workers.register", worker="listener:0", queues=[queue])
    (found,) = server.call("queues.get_all_ex", id=[queue])["queues"]
    assert found["entries"][0]["task"] == {"id": task, "name": "task 0"}
    assert [w["name"] for w in found["workers"]] == ["listener:0"]


def test_renaming_and_metadata(server: Running) -> None:
    queue, _ = queue_of(server, "old name", 0)
    assert server.call("queues.update", queue=queue, name="new name")["fields"] == {"name": "new name"}
    assert refused(server, "queues.update", queue=queue, name="default") == (400, 801)
    item = {"key": "a", "type": "t", "value": "1"}
    server.call("queues.add_or_update_metadata", queue=queue, metadata=[item])
    assert server.call("queues.get_by_id", queue=queue)["queue"]["metadata"] == {"a": item}
    server.call("queues.delete_metadata", queue=queue, keys=["a"])
    assert server.call("queues.get_by_id", queue=queue)["queue"]["metadata"] == {}


def execution_queue(server: Running, task: str) -> str:
    queue: str = server.call("tasks.get_by_id", task=task)["task"]["execution"]["queue"]
    return queue


def test_a_task_that_is_dragged_up_moves_up(server: Running) -> None:
    """The web app asks to move it backward by its new place less the old one."""
    queue, (a, b, c) = queue_of(server, "dragged", 3)
    assert server.call("queues.move_task_backward", queue=queue, task=c, count=-1) == {"position": 1}
    assert order(server, queue) == [a, c, b]
    assert server.call("queues.move_task_forward", queue=queue, task=a, count=-2) == {"position": 2}
    assert order(server, queue) == [c, b, a]
    assert server.call("queues.move_task_backward", queue=queue, task=a, count=-(2**62)) == {"position": 0}


def test_a_task_moves_to_another_queue_and_names_it(server: Running) -> None:
    queue, (task, stays) = queue_of(server, "from here", 2)
    target, (waits,) = queue_of(server, "to there", 1)
    server.call("queues.update", queue=target, display_name="There")
    assert server.call("queues.get_by_task_id", task=task)["name"] == "from here"
    moved = server.call("queues.move_task_to_queue", queue=queue, task=task, target_queue=target)
    assert moved == {"moved": 1}
    assert (order(server, queue), order(server, target)) == ([stays], [waits, task])
    found = server.call("queues.get_by_task_id", task=task)
    assert found == {"id": target, "name": "to there", "display_name": "There"}
    assert execution_queue(server, task) == target
    again = {"queue": target, "task": task, "target_queue": queue, "update_execution_queue": False}
    server.call("queues.move_task_to_queue", **again)
    assert (order(server, queue), execution_queue(server, task)) == ([stays, task], target)
    assert refused(server, "queues.move_task_to_queue", **again) == (400, 703)
    assert server.call("queues.get_next_task", queue=queue)["entry"]["task"] == stays
    assert server.call("queues.get_by_task_id", task=stays) == {}


def test_a_task_taken_out_of_its_queue_gets_its_earlier_status_if_that_is_asked(server: Running) -> None:
    queue, (first, second) = queue_of(server, "taken out", 2)
    server.call("queues.remove_task", queue=queue, task=first, update_task_status=True)
    server.call("queues.remove_task", queue=queue, task=second)
    assert [server.call("tasks.get_by_id", task=t)["task"]["status"] for t in (first, second)] == [
        "created",
        "queued",
    ]


def test_a_task_put_into_a_queue_names_it(server: Running) -> None:
    queue, (task,) = queue_of(server, "put first", 1)
    other, _ = queue_of(server, "put second", 0)
    server.call("queues.remove_task", queue=queue, task=task)
    server.call("queues.add_task", queue=other, task=task)
    assert execution_queue(server, task) == other
    server.call("queues.remove_task", queue=other, task=task)
    server.call("queues.add_task", queue=queue, task=task, update_execution_queue=False)
    assert execution_queue(server, task) == other


@pytest.mark.parametrize(
    "entry", [{"a": {"type": "t", "value": "1"}}, [{"key": "a", "type": "t", "value": "1"}]]
)
def test_metadata_is_taken_as_an_object_and_as_a_list(server: Running, entry: object) -> None:
    name = f"metadata {type(entry).__name__}"
    kept = {"a": {"key": "a", "type": "t", "value": "1"}}
    id = server.call("queues.create", name=name, metadata=entry)["id"]
    assert server.call("queues.get_by_id", queue=id)["queue"]["metadata"] == kept
    server.call("queues.update", queue=id, metadata={"b": {"value": "2"}})
    assert server.call("queues.get_by_id", queue=id)["queue"]["metadata"] == {"b": {"key": "b", "value": "2"}}
    server.call("queues.add_or_update_metadata", queue=id, metadata=entry)
    assert set(server.call("queues.get_by_id", queue=id)["queue"]["metadata"]) == {"a", "b"}
    assert refused(server, "queues.update", queue=id, metadata={"a": 1}) == (400, 12)
    model = server.call("models.create", name="model", uri="http://x/m", metadata=entry)["id"]
    for call in ("models.update", "models.edit"):
        server.call("models.delete_metadata", model=model, keys=["a"])
        assert server.call(call, model=model, metadata=entry)["updated"] == 1
        assert server.call("models.get_by_id", model=model)["model"]["metadata"] == kept
