"""``models.*`` as clients see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stackyard_server.tasks import addresses

from ..running import Running, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


def make(server: Running, **more: Any) -> str:
    id: str = server.call("models.create", **{"name": "a model", "uri": "http://files/m.pt", **more})["id"]
    return id


def make_task(server: Running, **more: Any) -> str:
    id: str = server.call("tasks.create", **{"name": "a task", "type": "training", **more})["id"]
    return id


def get(server: Running, id: str) -> dict[str, Any]:
    model: dict[str, Any] = server.call("models.get_by_id", model=id)["model"]
    return model


def refusal(server: Running, endpoint: str, **data: Any) -> tuple[int, int]:
    meta = server.ask(endpoint, **data)["meta"]
    return meta["result_code"], meta["result_subcode"]


def test_a_new_model_has_the_recorded_defaults(server: Running) -> None:
    model = get(server, make(server))
    assert model["ready"] is True
    assert {name: model[name] for name in ("tags", "labels", "design", "metadata", "last_metrics")} == {
        "tags": [], "labels": {}, "design": {}, "metadata": {}, "last_metrics": {},
    }  # fmt: skip
    assert "framework" not in model
    assert "ui_cache" not in model


@pytest.mark.parametrize("form", ["list", "dict"])
def test_metadata_is_taken_in_both_forms(server: Running, form: str) -> None:
    entry = {"key": "k", "type": "str", "value": "v"}
    id = make(server, metadata=[entry] if form == "list" else {"k": entry})
    assert get(server, id)["metadata"] == {"k": entry}
    server.call(
        "models.add_or_update_metadata", model=id, metadata=[{"key": "l", "type": "int", "value": "1"}]
    )
    assert set(get(server, id)["metadata"]) == {"k", "l"}
    server.call("models.delete_metadata", model=id, keys=["k"])
    assert set(get(server, id)["metadata"]) == {"l"}
    server.call("models.add_or_update_metadata", model=id, metadata=[entry], replace_metadata=True)
    assert get(server, id)["metadata"] == {"k": entry}


def test_edit_answers_what_was_set_and_update_leaves_the_content_alone(server: Running) -> None:
    id = make(server)
    fields = server.call("models.edit", model=id, uri="http://files/new.pt", labels={"cat": 1})["fields"]
    assert {"uri", "labels", "ui_cache", "last_update", "last_change", "last_changed_by"} == set(fields)
    fields = server.call("models.update", model=id, comment="good", uri="http://elsewhere")["fields"]
    assert set(fields) == {"comment", "last_change", "last_changed_by"}
    assert get(server, id)["uri"] == "http://files/new.pt"


def test_publishing_a_model_publishes_the_task_that_made_it(server: Running) -> None:
    task = make_task(server)
    server.call("tasks.started", task=task)
    id = make(server, ready=False, task=task)
    assert refusal(server, "models.set_ready", model=id) == (400, 110)
    assert refusal(server, "models.set_ready", model=id, publish_task=True) == (400, 110)
    assert get(server, id)["ready"] is False  # a running task cannot be published, and so nothing is
    alone = server.call("models.set_ready", model=make(server, ready=False, task=task), publish_task=False)
    assert "published_task" not in alone
    server.call("tasks.stopped", task=task)
    answer = server.call("models.set_ready", model=id)
    assert answer["published_task"]["id"] == task
    assert answer["published_task"]["data"]["fields"]["status"] == "published"
    assert server.call("tasks.get_by_id", task=task)["task"]["status"] == "published"
    assert get(server, id)["ready"] is True
    assert refusal(server, "models.set_ready", model=id) == (400, 203)


def test_publishing_many_reports_each_failure(server: Running) -> None:
    draft, ready = make(server, ready=False), make(server)
    answer = server.call("models.publish_many", ids=[draft, ready, "nope"])
    assert [entry["id"] for entry in answer["succeeded"]] == [draft]
    assert [entry["error"]["codes"] for entry in answer["failed"]] == [[400, 203], [400, 201]]


def test_a_model_in_use_is_deleted_by_force_only_and_leaves_its_tasks(server: Running) -> None:
    id = make(server, uri="http://files/used.pt")
    task = make_task(server)
    server.call("tasks.add_or_update_model", task=task, name="start", model=id, type="input")
    assert refusal(server, "models.delete", model=id) == (400, 205)
    gone = server.call("models.delete", model=id, force=True)
    assert gone == {"deleted": True, "url": "http://files/used.pt"}
    assert server.call("tasks.get_by_id", task=task)["task"]["models"] == {"input": [], "output": []}
    assert refusal(server, "models.get_by_id", model=id) == (400, 201)


def test_what_a_published_task_made_is_deleted_by_force_only(server: Running) -> None:
    task = make_task(server)
    id, put_away = (make(server, ready=False, task=task, uri=f"http://files/{n}.pt") for n in range(2))
    server.call("models.archive_many", ids=[put_away])
    server.call("tasks.publish", task=task, force=True)
    for model in (id, put_away):
        assert refusal(server, "models.delete", model=model) == (400, 206)
    failed = server.call("models.delete_many", ids=[id])["failed"]
    assert [entry["error"]["codes"] for entry in failed] == [[400, 206]]
    assert server.call("models.delete", model=id, force=True)["deleted"]


def test_a_file_that_another_model_gives_is_not_named_for_deletion(server: Running) -> None:
    first, second = (make(server, uri="http://elsewhere/shared.pt") for _ in range(2))
    assert server.call("models.delete", model=first) == {"deleted": True, "url": None}
    answer = server.call("models.delete_many", ids=[second])["succeeded"]
    assert answer == [{"id": second, "deleted": True, "url": "http://elsewhere/shared.pt"}]


def test_deleting_a_model_takes_its_events_along(server: Running) -> None:
    id = make(server, ready=False)
    line = {
        "type": "training_stats_scalar", "task": id, "model_event": True, "iter": 1, "metric": "loss",
        "variant": "a", "value": 1.0,
    }  # fmt: skip
    server.call_lines("events.add_batch", [line])
    assert get(server, id)["last_metrics"]
    server.call("models.delete_many", ids=[id])
    with server.store.reading() as tx:
        assert tx.value("SELECT count(*) FROM metric WHERE owner=?", (id,)) == 0


def test_archived_models_are_left_out_by_the_tag(server: Running) -> None:
    project = server.call("projects.create", name="archive room")["id"]
    kept, put_away = make(server, project=project), make(server, project=project)
    server.call("models.archive_many", ids=[put_away])

    def ids() -> list[str]:
        found = server.call("models.get_all", project=[project], system_tags=["-archived"])["models"]
        return [model["id"] for model in found]

    assert ids() == [kept]
    server.call("models.unarchive_many", ids=[put_away])
    assert ids() == [kept, put_away]


def test_moving_makes_the_project_that_is_named(server: Running) -> None:
    id = make(server)
    project = server.call("models.move", ids=[id], project_name="moved/models here")["project_id"]
    assert get(server, id)["project"] == project
    assert server.call("projects.get_by_id", project=project)["project"]["name"] == "moved/models here"
    server.call("models.move", ids=[id], project=None)
    assert "project" not in get(server, id)


def test_tags_are_added_and_removed_in_bulk(server: Running) -> None:
    ids = [make(server, tags=["old"]), make(server)]
    assert server.call("models.update_tags", ids=ids, add_tags=["new"], remove_tags=["old"])["updated"] == 2
    assert [get(server, id)["tags"] for id in ids] == [["new"], ["new"]]


def test_label_counts_are_shown_whatever_fields_are_asked_for(server: Running) -> None:
    id = make(server, labels={"a": 1, "b": 2}, framework="Frame")
    found = server.call("models.get_all_ex", id=[id], only_fields=["name"], include_stats=True)["models"]
    assert found == [{"id": id, "name": "a model", "stats": {"labels_count": 2}}]
    assert "Frame" in server.call("models.get_frameworks")["frameworks"]


@pytest.mark.parametrize("endpoint", ["models.update_for_task", "models.get_by_task_id"])
def test_retired_endpoints_say_so(server: Running, endpoint: str) -> None:
    assert refusal(server, endpoint, task="t") == (301, 1)


@pytest.mark.parametrize(
    ("endpoint", "data", "refused"),
    [
        ("models.create", {"name": "no uri"}, (400, 12)),
        ("models.create", {"name": "mo", "uri": "x"}, (400, 800)),
        ("models.create", {"name": "fine", "uri": "x", "project": "nope"}, (400, 16)),
        ("models.create", {"name": "fine", "uri": "x", "metadata": "text"}, (400, 12)),
        ("models.create", {"name": "fine", "uri": "x", "metadata": [{"key": "k", "value": 1}]}, (400, 12)),
        ("models.create", {"name": "fine", "uri": "x", "labels": {"a": "one"}}, (400, 12)),
        ("models.edit", {"model": "nope"}, (400, 201)),
        ("models.update_tags", {"ids": ["x"]}, (400, 12)),
        ("models.move", {"ids": ["x"], "project": "nope"}, (400, 401)),
        ("models.move", {"ids": ["x"]}, (400, 12)),
        ("models.delete_many", {"ids": []}, (400, 12)),
        ("models.get_by_id_ex", {}, (400, 12)),
    ],
)
def test_bad_requests_get_their_error(
    server: Running, endpoint: str, data: dict[str, Any], refused: tuple[int, int]
) -> None:
    assert refusal(server, endpoint, **data) == refused


def test_a_placeholder_names_no_file() -> None:
    assert addresses.of_model({"uri": "http://files/m.pt"}) == ["http://files/m.pt"]
    assert addresses.of_model({"uri": addresses.PLACEHOLDER}) == []


def test_which_tasks_name_a_model_follows_every_change_of_the_tasks(server: Running) -> None:
    first, second = make(server), make(server)
    task = make_task(server, models={"input": [{"name": "in", "model": first}]})

    def naming() -> list[tuple[Any, ...]]:
        with server.store.reading() as tx:
            return tx.all("SELECT model, kind FROM task_model WHERE task=? ORDER BY kind", (task,))

    assert naming() == [(first, "input")]
    server.call("tasks.add_or_update_model", task=task, name="out", model=second, type="output")
    assert naming() == [(first, "input"), (second, "output")]
    server.call("tasks.delete_models", task=task, models=[{"name": "in", "type": "input"}])
    assert naming() == [(second, "output")]
    assert server.call("models.delete", model=first)["deleted"]
    server.call("tasks.delete", task=task, force=True)
    assert naming() == []
