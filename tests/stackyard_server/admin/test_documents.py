"""Documents of another server are taken over with their ids, all or none."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from stackyard_server import identity
from stackyard_server.admin.documents import DocumentError, load_documents
from stackyard_server.store import Store, meta
from stackyard_server.store.documents import MODEL, PROJECT, QUEUE, TASK, USER

PROJECT_ID, TASK_ID, QUEUE_ID, MODEL_ID = ("1" * 32, "2" * 32, "3" * 32, "4" * 32)
HASH_LOSS, HASH_A = (hashlib.md5(name.encode()).hexdigest() for name in ("loss", "a"))
ADDED = "2026-11-21T20:42:46.992000+00:00"
SERIES = {
    "metric": "loss", "variant": "a", "value": 0.5, "min_value": 0.5, "min_value_iteration": 2, "max_value": 1.0,
    "max_value_iteration": 0, "first_value": 1.0, "first_value_iteration": 0, "count": 3, "mean_value": 0.7,
}  # fmt: skip
DOCUMENTS: dict[str, list[dict[str, Any]]] = {
    "users": [{"id": "__tests__", "name": "Default User"}],
    "projects": [
        {"id": "5" * 32, "name": "lab"},
        {"id": PROJECT_ID, "name": "lab/one", "user": {"id": "__tests__", "name": "Default User"}},
    ],
    "queues": [{"id": QUEUE_ID, "name": "fast", "entries": [{"task": {"id": TASK_ID, "name": "t"}, "added": ADDED}]}],
    "tasks": [
        {
            "id": TASK_ID, "name": "train", "type": "training", "status": "queued", "created": ADDED,
            "company": {"id": "another"}, "project": {"id": PROJECT_ID, "name": "lab/one"}, "stats": {"ignored": 1},
            "models": {"input": [{"name": "m", "model": {"id": MODEL_ID, "name": "m"}}], "output": []},
            "last_metrics": {"a" * 32: {"b" * 32: SERIES}},
        }
    ],
    "models": [{"id": MODEL_ID, "name": "m", "uri": "http://x/m.pt", "ready": True, "task": {"id": TASK_ID}}],
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = Store(tmp_path / "data")
    with opened.writing() as tx:
        identity.found(tx, 0)
    yield opened
    opened.close()


def test_documents_keep_their_ids_and_join_by_them(store: Store) -> None:
    assert load_documents(store, DOCUMENTS) == {
        "users": 1,
        "projects": 2,
        "queues": 1,
        "tasks": 1,
        "models": 1,
    }
    with store.reading() as tx:
        company = meta.company(tx)
        task, project = TASK.get(tx, TASK_ID), PROJECT.get(tx, PROJECT_ID)
        model, queue = MODEL.get(tx, MODEL_ID), QUEUE.get(tx, QUEUE_ID)
        assert None not in (task, project, model, queue)
        assert task
        assert project
        assert model
        assert (task["project"], task["company"]) == (PROJECT_ID, company)
        assert task["models"]["input"] == [{"name": "m", "model": MODEL_ID}]
        assert TASK.render(task)["created"] == ADDED
        assert (project["parent"], project["path"], project["basename"]) == ("5" * 32, ["5" * 32], "one")
        assert project["user"] == "__tests__"
        assert (model["ready"], model["task"]) == (True, TASK_ID)
        waiting = tx.all(
            "SELECT e.task FROM queue_entry e JOIN queue q ON q.number=e.queue WHERE q.id=?", (QUEUE_ID,)
        )
        assert waiting == [(TASK_ID,)]
        assert tx.one("SELECT metric, value, max_value FROM metric WHERE owner=?", (TASK_ID,)) == (
            "loss",
            0.5,
            1.0,
        )


def test_what_is_here_stays_unless_it_is_to_be_replaced(store: Store) -> None:
    load_documents(store, DOCUMENTS)
    changed = {"tasks": [{"id": TASK_ID, "name": "renamed"}]}
    assert load_documents(store, changed) == {"tasks": 0}
    with store.reading() as tx:
        assert (TASK.get(tx, TASK_ID) or {})["name"] == "train"
    assert load_documents(store, changed, replace=True) == {"tasks": 1}
    with store.reading() as tx:
        task = TASK.get(tx, TASK_ID) or {}
    assert (task["name"], task["status"]) == ("renamed", "queued")


@pytest.mark.parametrize(
    ("kind", "document", "said"),
    [
        ("tasks", {"name": "no id"}, "id None"),
        ("tasks", {"id": "a/b"}, "id 'a/b'"),
        ("tasks", {"id": "6" * 32, "created": "soon"}, "created is 'soon'"),
        ("tasks", {"id": "6" * 32, "tags": "x"}, "tags is 'x'"),
        ("projects", {"id": "6" * 32, "name": "lab/one"}, "is taken by"),
        ("queues", {"id": "6" * 32}, "has no name"),
        ("cakes", {"id": "6" * 32}, "unknown kinds"),
    ],
)
def test_a_bad_document_is_named_and_nothing_is_written(
    store: Store, kind: str, document: dict[str, Any], said: str
) -> None:
    load_documents(store, DOCUMENTS)
    with pytest.raises(DocumentError, match=said):
        load_documents(store, {"users": [{"id": "late", "name": "Late"}], kind: [document]})
    with store.reading() as tx:
        assert tx.value("SELECT 1 FROM user WHERE id='late'") is None


def test_the_folder_of_a_stopped_server_will_do(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    with store.writing() as tx:
        identity.found(tx, 0)
    store.close()
    assert load_documents(tmp_path / "data", {"projects": [{"id": PROJECT_ID, "name": "one"}]}) == {
        "projects": 1
    }


def test_events_come_along_and_the_documents_figures_stay(store: Store) -> None:
    event = {
        "type": "training_stats_scalar",
        "task": TASK_ID,
        "metric": "loss",
        "variant": "a",
        "timestamp": 1,
    }
    events: list[dict[str, Any]] = [
        {**event, "iter": 0, "value": 1.0, "@timestamp": ADDED, "model_event": False},
        {**event, "iter": 1, "value": 0.5},
        {"type": "log", "task": TASK_ID, "msg": "hello", "timestamp": 2, "worker": "w"},
        {"type": "log", "task": "7" * 32, "msg": "of a task that is not taken over"},
    ]
    tasks = [{**DOCUMENTS["tasks"][0], "status": "published", "last_iteration": 2, "last_update": ADDED}]
    tasks[0]["last_metrics"] = {HASH_LOSS: {HASH_A: SERIES}}
    counts = load_documents(store, {**DOCUMENTS, "tasks": tasks, "events": events})
    assert (counts["tasks"], counts["events"]) == (1, 3)
    with store.reading() as tx:
        task = TASK.get(tx, TASK_ID) or {}
        assert TASK.render(task)["last_update"] == ADDED
        assert (task["status"], task["last_iteration"]) == ("published", 2)
        assert tx.one("SELECT value, count FROM metric WHERE owner=?", (TASK_ID,)) == (0.5, 3)
        assert tx.all("SELECT s.iter, s.value FROM scalar s JOIN metric m ON m.number=s.series") == [
            (0, 1.0),
            (1, 0.5),
        ]
        assert tx.all("SELECT owner, msg FROM log") == [(TASK_ID, "hello")]
    assert load_documents(store, {"tasks": tasks, "events": events}) == {"tasks": 0, "events": 0}


def test_an_event_that_cannot_be_kept_stops_the_whole(store: Store) -> None:
    events: list[dict[str, Any]] = [{"type": "nope", "task": TASK_ID}]
    with pytest.raises(DocumentError, match="Invalid event type nope"):
        load_documents(store, {**DOCUMENTS, "events": events})
    with store.reading() as tx:
        assert TASK.get(tx, TASK_ID) is None


def test_whoever_comes_along_is_a_plain_user(store: Store) -> None:
    """A bundle is somebody's file: roles, passwords and logins are said on this server alone."""
    taken = {"role": "admin", "login": "boss", "password": "x", "disabled": True, "generation": 7}
    load_documents(store, {"users": [{"id": "a" * 32, "name": "Boss", **taken}]})
    with store.reading() as tx:
        user = USER.get(tx, "a" * 32, ("role", "login", "password", "disabled", "generation"))
    assert user is not None
    assert {name: user.get(name) or None for name in taken} == {**dict.fromkeys(taken), "role": "user"}
