"""``tasks.reset`` and ``tasks.delete``: what goes, what stays, and which files clients are told to delete."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stackyard_server.upkeep.freeing import Freeing

from ..running import Running, running_server
from .asking import Clock, create, read, refusal


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def server(clock: Clock) -> Iterator[Running]:
    with running_server(clock=clock) as running:
        yield running


def test_a_reset_leaves_the_draft_and_takes_the_results(server: Running) -> None:
    id = create(
        server,
        hyperparams={"Args": {"lr": {"value": "0.1"}}},
        script={"repository": "r"},
        execution={
            "artifacts": [
                {"key": "in", "type": "t", "mode": "input", "uri": "http://x/in"},
                {"key": "out", "type": "t", "uri": "http://x/out"},
            ]
        },
    )
    server.call("tasks.started", task=id)
    server.call("events.add", task=id, type="log", msg="a line")
    server.call(
        "events.add", task=id, type="training_stats_scalar", metric="m", variant="v", iter=3, value=1.0
    )
    server.call("tasks.edit_runtime", task=id, runtime={"progress": "5"})
    server.call("tasks.completed", task=id)
    assert read(server, id)["last_metrics"]
    answer = server.call("tasks.reset", task=id, return_file_urls=True)
    assert answer["urls"]["artifact_urls"] == ["http://x/out"]
    task = read(server, id)
    assert (task["status"], task["status_message"], task["last_iteration"]) == ("created", "reset", 0)
    assert (task["runtime"], task["last_metrics"], task["metric_stats"]) == ({}, {}, {})
    assert [a["key"] for a in task["execution"]["artifacts"]] == ["in"]
    assert task["hyperparams"]["Args"]["lr"]["value"] == "0.1"
    assert not {"started", "completed", "active_duration", "last_worker"} & set(task)
    assert server.call("events.get_task_log", task=id)["total"] == 0
    server.call("tasks.reset", task=id, clear_all=True)
    wiped = read(server, id)
    assert (wiped["script"]["repository"], wiped["execution"]["artifacts"]) == ("", [])
    assert wiped["hyperparams"]["Args"]["lr"]["value"] == "0.1"


def test_a_reset_frees_the_files_of_the_run_and_nobody_elses(server: Running, clock: Clock) -> None:
    id, other = create(server), create(server)
    headers = {"Authorization": f"Bearer {server.token}"}
    urls = {}
    for owner in (id, other):
        path = f"/p/a task.{owner}/artifacts/k/file.txt"
        server.client.post(server.files, files={path: (path, b"content")}, headers=headers).raise_for_status()
        urls[owner] = f"{server.files}{path.replace(' ', '%20')}"
    artifacts = [{"key": key, "type": "t", "uri": uri} for key, uri in urls.items()]
    artifacts.append({"key": "broken", "type": "t", "uri": "http://[x"})
    server.call("tasks.add_or_update_artifacts", task=id, artifacts=artifacts)
    clock.seconds += 5
    server.call("tasks.reset", task=id)
    freeing = Freeing(server.store, (server.files,))
    freeing.step()
    freeing.step()
    assert server.client.get(urls[id], headers=headers).status_code == 404
    assert server.client.get(urls[other], headers=headers).content == b"content"


def test_a_deleted_task_takes_its_drafts_along_and_lets_go_of_the_rest(server: Running) -> None:
    id = create(server)
    used, free, ready = (
        server.call("models.create", name=name, uri=f"http://x/{name}", task=id, ready=name == "ready")["id"]
        for name in ("used", "free", "ready")
    )
    child = create(server, parent=id, models={"input": [{"name": "m", "model": used}]})
    server.call("tasks.started", task=id)
    server.call("events.add", task=id, type="log", msg="a line")
    server.call(
        "tasks.add_or_update_artifacts", task=id, artifacts=[{"key": "k", "type": "t", "uri": "http://x/a"}]
    )
    code, subcode, message = refusal(server, "tasks.delete", task=id)
    assert (code, subcode) == (400, 123)
    assert message.endswith(f"task={id}, expected=created, current=in_progress")
    answer = server.call("tasks.delete", task=id, force=True, return_file_urls=True)
    assert (answer["deleted"], answer["updated_children"]) == (True, 1)
    assert (answer["deleted_models"], answer["updated_models"]) == (1, 2)
    assert answer["urls"] == {
        "event_urls": [],
        "artifact_urls": ["http://x/a"],
        "model_urls": ["http://x/free"],
    }
    assert "parent" not in read(server, child)
    assert refusal(server, "models.get_by_id", model=free)[:2] == (400, 201)
    assert "task" not in server.call("models.get_by_id", model=ready)["model"]
    company = read(server, child)["company"]
    assert refusal(server, "tasks.delete", task=id) == (
        400,
        101,
        f"Invalid task id: id={id}, company={company}",
    )
    with server.store.reading() as tx:
        assert tx.value("SELECT count(*) FROM log WHERE owner=?", (id,)) == 0


@pytest.mark.parametrize("call", ["tasks.delete", "tasks.delete_many", "tasks.reset", "tasks.reset_many"])
def test_clients_are_told_to_delete_only_what_the_task_put_out(server: Running, call: str) -> None:
    other = create(server)
    foreign = f"{server.files}/p/a%20task.{other}/artifacts/k/file.txt"
    model = server.call("models.create", name="kept", uri=f"http://x/{call}.pt", ready=True)["id"]
    id = create(
        server,
        execution={
            "artifacts": [
                {"key": "taken", "type": "t", "mode": "input", "uri": "http://x/taken"},
                {"key": "own", "type": "t", "uri": "http://x/own"},
                {"key": "link", "type": "t", "uri": foreign},
                {"key": "model", "type": "t", "uri": f"http://x/{call}.pt"},
            ]
        },
    )
    image = {"type": "training_debug_image", "task": id, "metric": "m", "variant": "v", "iter": 1}
    server.call("events.add", **image, url=foreign)
    server.call("events.add", **image | {"variant": "w"}, url="http://x/image.png")
    if call.endswith("_many"):
        answer = server.call(call, ids=[id], return_file_urls=True, force=True)["succeeded"][0]
    else:
        answer = server.call(call, task=id, return_file_urls=True, force=True)
    assert answer["urls"] == {
        "event_urls": ["http://x/image.png"],
        "artifact_urls": ["http://x/own"],
        "model_urls": [],
    }
    assert server.call("models.get_by_id", model=model)


def test_a_task_that_others_stand_on_is_deleted_by_force_only(server: Running) -> None:
    parent, maker, archived = create(server), create(server), create(server)
    server.call("tasks.publish", task=create(server, parent=parent), force=True)
    server.call("models.create", name="model", uri="http://x/ready", task=maker, ready=True)
    server.call("tasks.publish", task=archived, force=True)
    server.call("tasks.archive", tasks=[archived])
    for id in (parent, maker, archived):
        assert refusal(server, "tasks.delete", task=id)[:2] == (400, 123)
        failed = server.call("tasks.delete_many", ids=[id])["failed"]
        assert [entry["error"]["codes"] for entry in failed] == [[400, 123]]
        assert server.call("tasks.delete", task=id, force=True)["deleted"]


@pytest.mark.parametrize("kept", [True, False])
def test_files_of_a_deleted_task_stay_where_that_was_asked(server: Running, clock: Clock, kept: bool) -> None:
    id = create(server)
    headers = {"Authorization": f"Bearer {server.token}"}
    path = f"/p/a task.{id}/artifacts/k/file.txt"
    server.client.post(server.files, files={path: (path, b"content")}, headers=headers).raise_for_status()
    weights = f"/p/a task.{id}/models/m.pt"
    server.client.post(server.files, files={weights: (weights, b"m")}, headers=headers).raise_for_status()
    uri = f"{server.files}{weights.replace(' ', '%20')}"
    server.call("models.create", name="model", uri=uri, task=id, ready=False)
    clock.seconds += 5
    server.call("tasks.delete", task=id, force=True, delete_external_artifacts=not kept)
    freeing = Freeing(server.store, (server.files,))
    for _ in range(2):
        freeing.step()
    for name in (path, weights):
        found = server.client.get(f"{server.files}{name.replace(' ', '%20')}", headers=headers)
        assert found.status_code == (200 if kept else 404)
