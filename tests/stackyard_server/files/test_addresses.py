"""Stored URLs stay valid when the file server's address changes."""

from __future__ import annotations

import json
from pathlib import Path

from stackyard_server.files import addresses as file_addresses

from ..running import Running, running_server

ARTIFACT = {"key": "data", "type": "json", "mode": "output", "hash": "0"}


def test_without_former_addresses_there_is_nothing_to_do() -> None:
    assert file_addresses.rewriter("http://a:1", ()) is None
    with running_server() as server:
        assert server.server.services.rewrite is None


def test_only_whole_addresses_are_replaced() -> None:
    for former in (("http://a:808",), ("http://a:808", "http://b:1", "http://b:1/files")):
        rewrite = file_addresses.rewriter("https://new", former)
        assert rewrite is not None
        assert rewrite(b'"http://a:8081/x" "http://a:808/x" http://a:808') == (
            b'"http://a:8081/x" "https://new/x" http://a:808'
        )
    assert rewrite(b"http://b:1/files/x http://b:1/y") == b"https://new/x https://new/y"


def stored(server: Running) -> tuple[str, str, str]:
    """A task with an artifact, a plot and an image, and a model, all naming files as the SDK does."""
    project = server.call("projects.create", name="addresses", description="")["id"]
    task = server.call("tasks.create", name="the task", type="training", project=project)["id"]
    path = f"addresses/the task.{task}/artifacts/data.json"
    answer = server.client.post(
        f"{server.files}/",
        files={path: ("data.json", b"{}")},
        headers={"Authorization": f"Bearer {server.token}"},
    )
    assert answer.status_code == 200
    url = f"{server.files}/addresses/the%20task.{task}/artifacts/data.json"
    server.call("tasks.add_or_update_artifacts", task=task, artifacts=[{**ARTIFACT, "uri": url}], force=True)
    model = server.call("models.create", name="the model", uri=url, task=task)["id"]
    plot = json.dumps({"data": [{"source": url}], "layout": {}})
    server.call_lines(
        "events.add_batch",
        [
            {"type": "plot", "task": task, "metric": "m", "variant": "v", "iter": 0, "plot_str": plot},
            {
                "type": "training_debug_image",
                "task": task,
                "metric": "m",
                "variant": "i",
                "iter": 0,
                "key": "k",
                "url": url,
            },
        ],
    )
    return task, model, url


def check(server: Running, task: str, model: str) -> str:
    """Every address that is read leads to the file; the address."""
    document = server.call("tasks.get_by_id", task=task)["task"]
    url: str = document["execution"]["artifacts"][0]["uri"]
    assert url.startswith(f"{server.files}/")
    header = {"Authorization": f"Bearer {server.token}"}
    assert server.client.get(url, headers=header).content == b"{}"
    assert server.call("models.get_by_id", model=model)["model"]["uri"] == url
    assert server.call("models.get_all", uri=[url])["models"][0]["id"] == model
    plot = server.call("events.get_task_plots", task=task)["plots"][0]["plot_str"]
    assert json.loads(plot)["data"] == [{"source": url}]
    images = server.call("events.debug_images", metrics=[{"task": task, "metric": "m"}], iters=1)
    assert images["metrics"][0]["iterations"][0]["events"][0]["url"] == url
    return url


def test_after_a_move_every_stored_address_leads_to_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running_server(folder=folder) as server:
        task, model, first = stored(server)
        check(server, task, model)
    with running_server(folder=folder) as server:  # another free port: another address
        second = check(server, task, model)
        assert second != first
        # What a client writes back is at home, too.
        server.call("tasks.edit", task=task, force=True, comment=f"see {second}")
    with running_server(folder=folder) as server:
        third = check(server, task, model)
        assert third not in (first, second)
        assert server.call("tasks.get_by_id", task=task)["task"]["comment"] == f"see {third}"


def test_an_address_this_folder_never_had_can_be_named(tmp_path: Path) -> None:
    with running_server(former_files_urls=("http://official:8081/",)) as server:
        project = server.call("projects.create", name="moved here", description="")["id"]
        task = server.call("tasks.create", name="the task", type="training", project=project)["id"]
        uri = "http://official:8081/p/x.json"
        server.call(
            "tasks.add_or_update_artifacts", task=task, artifacts=[{**ARTIFACT, "uri": uri}], force=True
        )
        shown = server.call("tasks.get_by_id", task=task)["task"]["execution"]["artifacts"][0]["uri"]
        assert shown == f"{server.files}/p/x.json"
