"""Documents of another server are held to their shape before one of them is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackyard_server import admin, identity
from stackyard_server.admin import shapes
from stackyard_server.protocol import bounds
from stackyard_server.store import Store
from stackyard_server.store.documents import MODEL, QUEUE, TASK

from ..running import running_server

ID = "a" * 32
SERIES = {"metric": "loss", "variant": "a", "value": 0.5}
DEEP: Any = "x"
for _ in range(500):
    DEEP = [DEEP]
TASKS: list[tuple[str, dict[str, Any]]] = [
    ("id", {"id": "aaaaaaaaaa\n"}),
    ("id", {"id": "../secret"}),
    ("id", {"id": ["x"]}),
    ("name", {"name": None}),
    ("name", {"name": ""}),
    ("name", {"name": 7}),
    ("models", {"models": {"input": [1]}}),
    ("models", {"models": [1]}),
    ("models", {"models": "x"}),
    ("models", {"models": {"input": [{"name": "m", "model": {"id": 5}}]}}),
    ("models", {"models": {"output": [{"model": "m"}]}}),
    ("created", {"created": 10**30}),
    ("created", {"created": True}),
    ("created", {"created": "9999-12-31T23:59:59-12:00"}),
    ("created", {"created": -1}),
    ("active_duration", {"active_duration": 2**70}),
    ("active_duration", {"active_duration": 2**63}),
    ("last_iteration", {"last_iteration": "x"}),
    ("comment", {"comment": "\ud800"}),
    ("runtime", {"runtime": {"x": DEEP}}),
    ("runtime", {"runtime": [1]}),
    ("hyperparams", {"hyperparams": "x"}),
    ("hyperparams", {"hyperparams": {"Args": 5}}),
    ("hyperparams", {"hyperparams": {"Args": {"x": 5}}}),
    ("hyperparams", {"hyperparams": {"Args": {"x": {"value": 5}}}}),
    ("execution", {"execution": [1]}),
    ("execution", {"execution": {"artifacts": "x"}}),
    ("execution", {"execution": {"artifacts": [1]}}),
    ("execution", {"execution": {"artifacts": [{"type": "no key"}]}}),
    ("execution", {"execution": {"queue": {"id": [1]}}}),
    ("configuration", {"configuration": [1]}),
    ("configuration", {"configuration": {"General": 5}}),
    ("container", {"container": {"image": 5}}),
    ("script", {"script": "x"}),
    ("script", {"script": {"diff": 5}}),
    ("output", {"output": "x"}),
    ("output", {"output": {"destination": 5}}),
    ("metric_stats", {"metric_stats": "x"}),
    ("status", {"status": "cooked"}),
    ("type", {"type": "cake"}),
    ("tags", {"tags": "x"}),
    ("tags", {"tags": [None]}),
    ("report_assets", {"report_assets": {"x": 1}}),
    ("project", {"project": 5}),
    ("user", {"user": {"id": [1]}}),
    ("parent", {"parent": ["x"]}),
    ("last_metrics", {"last_metrics": [1]}),
    ("last_metrics", {"last_metrics": {"m": {"v": 1}}}),
    ("last_metrics", {"last_metrics": {"m": {"v": {"metric": "loss"}}}}),
    ("last_metrics", {"last_metrics": {"m": {"v": {**SERIES, "value": 10**400}}}}),
    ("last_metrics", {"last_metrics": {"m": {"v": {**SERIES, "value": "0.5"}}}}),
    ("last_metrics", {"last_metrics": {"m": {"v": {**SERIES, "count": 2**64}}}}),
    ("last_metrics", {"last_metrics": {"m": {"v": {**SERIES, "x_axis_label": 5}}}}),
    ("last_metrics", {"last_metrics": {"m": {str(n): SERIES for n in range(10_001)}}}),
    ("more than", {"comment": "x" * (bounds.STORED["bytes"] + 1)}),
    ("more than", {"runtime": {str(n): [0] * 20_000 for n in range(11)}}),
    ("runtime", {"runtime": {"x" * 5000: 1}}),
]  # fmt: skip
OTHERS: list[tuple[str, str, dict[str, Any]]] = [
    ("projects", "name", {"name": None}),
    ("projects", "name", {"name": ["x"]}),
    ("projects", "path", {"path": [1]}),
    ("projects", "featured", {"featured": "x"}),
    ("projects", "description", {"description": {}}),
    ("queues", "name", {"name": {}}),
    ("queues", "entries", {"entries": [1]}),
    ("queues", "entries", {"entries": [{"task": "x"}]}),
    ("queues", "entries", {"entries": [{"task": "x", "added": "soon"}]}),
    ("queues", "metadata", {"metadata": [{"type": "no key"}]}),
    ("models", "name", {"name": None}),
    ("models", "ready", {"ready": "yes"}),
    ("models", "labels", {"labels": {"x": "y"}}),
    ("models", "labels", {"labels": [1]}),
    ("models", "design", {"design": "x"}),
    ("models", "metadata", {"metadata": {"x": 5}}),
    ("models", "metadata", {"metadata": {"x": {"key": ["x"]}}}),
    ("models", "uri", {"uri": 5}),
    ("models", "ui_cache", {"ui_cache": [1]}),
    ("users", "name", {"name": 5}),
    ("users", "name", {"name": None}),
    ("users", "created", {"created": {}}),
]
BROKEN = [("tasks", *case) for case in TASKS] + OTHERS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes") / "data"
    store = Store(folder)
    with store.writing() as tx:
        identity.found(tx, 0)
    store.close()
    return folder


@pytest.mark.parametrize(("kind", "field", "broken"), BROKEN, ids=lambda value: str(value)[:40])
def test_a_broken_document_is_named_and_nothing_is_written(
    folder: Path, kind: str, field: str, broken: dict[str, Any]
) -> None:
    sound = {"id": "b" * 32, "name": "sound one"}
    documents = {
        "users": [{"id": "c" * 32, "name": "Late"}],
        kind: [sound, {"id": ID, "name": "one", **broken}],
    }
    with pytest.raises(admin.AdminError, match=rf"^{kind}\.jsonl: line 2: .*{field}") as said:
        admin.take_in(folder, documents, [])
    assert said.value.usage
    assert len(str(said.value)) < 500
    assert [user["name"] for user in admin.list_users(folder)] == []
    store = Store(folder)
    with store.reading() as tx:
        assert (TASK.count(tx), MODEL.count(tx)) == (0, 0)
    store.close()


@pytest.mark.parametrize(
    "event",
    [
        {"task": [ID], "type": "log"},
        {"task": ID, "type": "log", "msg": "\ud800"},
        {"task": ID, "type": "log", "msg": "x", "further": DEEP},
        {"task": ID, "type": "training_stats_scalar", "metric": "m", "variant": "v", "value": 10**400},
        {"task": ID, "type": "log", "msg": "x" * (bounds.REQUESTS["events"].bytes + 1)},
        {"task": ID, "type": "log", "msg": "x", "timestamp": 10**30},
        5,
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_broken_event_stops_the_whole(folder: Path, event: Any) -> None:
    with pytest.raises(admin.AdminError, match=r"event"):
        admin.take_in(folder, {"tasks": [{"id": ID, "name": "one"}], "events": [event]}, [])
    store = Store(folder)
    with store.reading() as tx:
        assert TASK.count(tx) == 0
    store.close()


def test_a_path_that_may_be_none_is_told_before_documents_are_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(admin.AdminError, match=r"'../x' may not be the path of a file"):
        admin.take_in(folder, {"tasks": [{"id": ID, "name": "one"}]}, [("../x", tmp_path / "x")])
    store = Store(folder)
    with store.reading() as tx:
        assert TASK.count(tx) == 0
    store.close()


def test_what_is_taken_over_is_answered_changed_and_copied(tmp_path: Path) -> None:
    """Null stands for absent wherever it may stand."""
    folder = tmp_path / "data"
    with running_server(folder=folder, role="admin"):
        pass
    nulls = {
        "hyperparams": {"Args": None, "Other": {"x": None, "y": {"value": "1", "type": None}}},
        "configuration": {"General": None},
        "container": {"image": None},
        "execution": {
            "artifacts": [None, {"key": "a", "type": "custom", "type_data": None}],
            "queue": {"id": "q"},
        },
        "models": {"input": None, "output": [None]},
        "output": {"destination": None},
        "runtime": {"x": None},
        "script": {"requirements": None, "diff": None},
    }
    counts = admin.take_in(
        folder,
        {
            "tasks": [
                {"id": ID, "name": "nulls", "type": "custom", **nulls},
                {"id": "b" * 32, "name": "bare"},
                {"id": "c" * 32, "name": "whole", "active_duration": 3.0, "created": "2026-11-21T20:42:46Z",
                 "last_metrics": {"m": {"v": {**SERIES, "count": 1, "mean_value": 1e308}}}},
            ],
            "models": [{"id": "b" * 32, "name": "bare"},
                       {"id": ID, "name": "m", "uri": "x", "labels": {}, "metadata": [{"key": "k", "value": "v"}]}],
            "queues": [{"id": "d" * 32, "name": "queue", "entries": []}],
        },
        [],
    )  # fmt: skip
    assert counts["tasks"] == 3
    with running_server(folder=folder, role="admin") as server:
        for task in (ID, "b" * 32, "c" * 32):
            assert server.call("tasks.get_by_id", task=task)["task"]["id"] == task
            copy = server.call("tasks.clone", task=task)["id"]
            server.call(
                "tasks.edit_hyper_params",
                task=copy,
                hyperparams=[{"section": "Args", "name": "z", "value": "1"}],
            )
            server.call("tasks.delete_hyper_params", task=copy, hyperparams=[{"section": "Args"}])
            server.call("tasks.delete_artifacts", task=task, artifacts=[{"key": "a"}])
            server.call("tasks.add_or_update_model", task=task, name="m", model=ID, type="input")
            server.call("tasks.reset", task=task, force=True)
            server.call("tasks.enqueue", task=task, queue="d" * 32)
        assert (
            len(server.call("tasks.get_all_ex", only_fields=["id", "last_metrics", "models"])["tasks"]) == 6
        )
        assert server.call("models.get_by_id", model=ID)["model"]["metadata"]["k"]["value"] == "v"
        assert server.call("queues.get_all_ex")["queues"]
        assert len(server.call("models.get_all_ex")["models"]) == 2
        server.call("models.edit", model="b" * 32, name="another")
        server.call("models.update", model="b" * 32, comment="x")
        server.call("models.set_ready", model="b" * 32)
        server.call("models.make_private", ids=["b" * 32])
        server.call("models.delete", model="b" * 32, force=True)
        for task in (ID, "b" * 32, "c" * 32):
            server.call("tasks.dequeue", task=task)
            server.call("tasks.started", task=task)
            server.call("tasks.completed", task=task, force=True)
            server.call("tasks.publish", task=task, force=True)
            server.call("tasks.delete", task=task, force=True)


@pytest.mark.parametrize("collection", [TASK, MODEL, QUEUE], ids=lambda one: one.name)
def test_a_document_that_is_no_object_is_one_sentence(collection: Any) -> None:
    with pytest.raises(shapes.DocumentError, match="expected an object"):
        shapes.check(collection, [1])
