"""Large calls in several transactions: the same answers, and others are served in between."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from stackyard_server.calls import pieces
from stackyard_server.store import logs

from ..running import Running, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


def scalar(task: str, number: int) -> dict[str, object]:
    return {"type": "training_stats_scalar", "task": task, "metric": "m", "variant": "v", "iter": number,
            "value": number, "timestamp": number}  # fmt: skip


def test_a_large_batch_is_taken_in_whole(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LARGE_BYTES", 100_000)
    task = server.call("tasks.create", name="batch", type="training")["id"]
    lines = [scalar(task, number) for number in range(4000)]
    lines[2000:2000] = [{"type": "log", "task": task, "msg": f"{n}", "timestamp": n} for n in range(100)]
    lines[100] = {"type": "nothing", "task": task}
    assert len(json.dumps(lines)) > 3 * pieces.BYTES
    told = server.call_lines("events.add_batch", lines)
    assert told == {"added": 4099, "errors": 1, "errors_info": {"Invalid event type nothing": 1}}
    assert server.call("events.get_task_log", task=task)["total"] == 100
    again = server.call_lines("events.add_batch", lines)
    assert again["added"] == 4099
    assert server.call("events.get_task_log", task=task)["total"] == 100, "a repeated batch adds no lines"


def test_a_large_batch_with_a_line_that_is_none_stores_nothing(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "LARGE_BYTES", 100_000)
    task = server.call("tasks.create", name="malformed", type="training")["id"]
    text = "\n".join(json.dumps(scalar(task, number)) for number in range(4000)) + "\n{]"
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json-lines"}
    answer = server.client.post(f"{server.api}/events.add_batch", content=text, headers=headers)
    assert answer.status_code == 400
    assert server.call("events.get_scalar_metrics_and_variants", task=task) == {"metrics": {}}


def test_many_ids_are_answered_in_their_order(server: Running) -> None:
    made = [server.call("tasks.create", name=f"task {n}", type="training")["id"] for n in range(30)]
    unknown = [f"{n:032x}" for n in range(30)]
    wanted = [id for pair in zip(made, unknown, strict=True) for id in (*pair, pair[0])]
    told = server.call("tasks.delete_many", ids=wanted, force=True)
    assert [one["id"] for one in told["succeeded"]] == made
    assert [one["id"] for one in told["failed"]] == unknown
    assert told["failed"][0]["error"]["codes"] == [400, 101]
    assert server.call("tasks.get_all", id=made)["tasks"] == []


def made(server: Running, count: int, **fields: object) -> list[str]:
    return [
        server.call("tasks.create", name=f"task {n}", type="training", **fields)["id"] for n in range(count)
    ]


def test_a_queue_is_emptied_in_its_order(server: Running) -> None:
    """Cleared or deleted: the tasks get back what they were, and none of them waits any more."""
    queue = server.call("queues.create", name="long")["id"]
    tasks = made(server, 20)
    for _ in range(2):
        server.call("tasks.enqueue_many", ids=tasks, queue=queue)
        assert server.call("queues.clear_queue", queue=queue) == {"removed_tasks": tasks}
    server.call("tasks.enqueue_many", ids=tasks, queue=queue)
    taken = server.call("queues.get_next_task", queue=queue)["entry"]["task"]
    assert taken == tasks[0]
    assert server.call("queues.delete", queue=queue, force=True) == {"deleted": 1}
    found = server.call("tasks.get_all", id=tasks, only_fields=["status"])["tasks"]
    assert {task["status"] for task in found} == {"created"}


def test_many_tasks_are_labelled_moved_and_archived(server: Running) -> None:
    tasks = made(server, 20, tags=["old"])
    told = server.call("tasks.update_tags", ids=tasks, add_tags=["new"], remove_tags=["old"])
    assert told == {"updated": 40}
    project = server.call("tasks.move", ids=tasks, project_name="moved there")["project_id"]
    assert server.call("tasks.archive", tasks=tasks) == {"archived": 20}
    for task in server.call("tasks.get_all", project=[project], search_hidden=True)["tasks"]:
        assert (task["tags"], task["system_tags"], task["project"]) == (["new"], ["archived"], project)
        tasks.remove(task["id"])
    assert tasks == []


def test_none_is_archived_where_one_is_unknown(server: Running) -> None:
    tasks = made(server, 20)
    status, _ = refused(server, "tasks.archive", tasks=[*tasks, "f" * 32])
    found = server.call("tasks.get_all", id=tasks, only_fields=["system_tags"])["tasks"]
    assert status == 400
    assert {tuple(task["system_tags"]) for task in found} == {()}


def refused(server: Running, name: str, **data: object) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {server.token}"}
    answer = server.client.post(f"{server.api}/{name}", json=data, headers=headers)
    return answer.status_code, answer.json()["meta"]["result_msg"]


def test_a_project_goes_with_all_that_is_in_it(server: Running) -> None:
    project = server.call("projects.create", name="crowded")["id"]
    below = server.call("projects.create", name="crowded/below")["id"]
    tasks = [*made(server, 20, project=project), *made(server, 20, project=below)]
    model = server.call("models.create", name="model", uri="file:///m", project=below)["id"]
    told = server.call("projects.delete", project=project, force=True, delete_contents=True)
    assert {name: told[name] for name in ("deleted", "deleted_tasks", "deleted_models")} == {
        "deleted": 2, "deleted_tasks": 40, "deleted_models": 1,
    }  # fmt: skip
    assert told["urls"]["model_urls"] == ["file:///m"]
    assert server.call("tasks.get_all", id=tasks)["tasks"] == []
    assert server.call("models.get_all", id=[model])["models"] == []


def test_a_project_is_merged_whole_or_not_at_all(server: Running) -> None:
    source = server.call("projects.create", name="many below")["id"]
    children = [server.call("projects.create", name=f"many below/p{n:02}")["id"] for n in range(20)]
    target = server.call("projects.create", name="target")["id"]
    other = server.call("projects.create", name="target/p19")["id"]
    tasks = made(server, 120, project=source)
    status, why = refused(server, "projects.merge", project=source, destination_project=target)
    assert (status, "name=target/p19" in why) == (400, True)
    assert server.call("projects.get_by_id", project=children[0])["project"]["name"] == "many below/p00"
    server.call("projects.delete", project=other)
    told = server.call("projects.merge", project=source, destination_project=target)
    assert told == {"moved_entities": 120, "moved_projects": 20}
    found = server.call("projects.get_all", id=children, search_hidden=True)["projects"]
    assert sorted(child["name"] for child in found) == [f"target/p{n:02}" for n in range(20)]
    assert len(server.call("tasks.get_all", id=tasks, project=[target])["tasks"]) == 120


def test_a_console_is_cleared_some_lines_at_a_time(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of one instant too, and lines that are spared between those that go."""
    monkeypatch.setattr(logs, "LOOKED_AT", 10)
    task = made(server, 1)[0]
    kept = {"metric": "kept", "variant": "v"}
    lines = [
        {"type": "log", "task": task, "msg": f"{n}", "timestamp": n // 25, **(kept if n % 3 == 0 else {})}
        for n in range(100)
    ]
    server.call_lines("events.add_batch", lines)
    assert server.call("events.clear_task_log", task=task, exclude_metrics=["kept"]) == {"deleted": 66}
    assert server.call("events.get_task_log", task=task)["total"] == 34
    assert server.call("events.clear_task_log", task=task, threshold_sec=3600) == {"deleted": 34}
    assert server.call("events.get_task_log", task=task)["total"] == 0
