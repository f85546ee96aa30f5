"""Backup, restore, verification, cleaning, and the files of what was deleted."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stackyard_server import app
from stackyard_server.files import stored as stored_files
from stackyard_server.files.stored import StoredFiles
from stackyard_server.store import Store, copies, credentials
from stackyard_server.store import files as file_rows
from stackyard_server.upkeep import UpkeepError, backup, freeing, gc, restore, verification

from ..running import Running, running_server

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


def put(server: Running, path: str, content: bytes = b"content") -> str:
    """Upload a file; its URL."""
    answer = server.client.post(
        f"{server.files}/", files={path: ("x", content)}, headers={"Authorization": f"Bearer {server.token}"}
    )
    assert answer.status_code == 200, answer.text
    return f"{server.files}/{path.replace(' ', '%20')}"


def is_there(server: Running, path: str) -> bool:
    answer = server.client.get(f"{server.files}/{path}", headers={"Authorization": f"Bearer {server.token}"})
    return answer.status_code == 200


def make_task(server: Running, name: str = "the task") -> str:
    task: str = server.call("tasks.create", name=name, type="training")["id"]
    return task


def freed(server: Running) -> Callable[[], int]:
    """One pass over what was freed, as the server makes them; the number of files removed."""
    return freeing.Freeing(server.store, (server.files,)).step


def fill(server: Running) -> str:
    """A task with an artifact, events and a model; its id."""
    task = make_task(server)
    url = put(server, f"p/the task.{task}/artifacts/data.bin", b"x" * 100_000)
    server.call("models.create", name="the model", uri=url, task=task, ready=False)
    lines: list[dict[str, Any]] = [
        {
            "type": "training_stats_scalar",
            "task": task,
            "metric": "loss",
            "variant": "a",
            "iter": i,
            "value": i,
        }
        for i in range(50)
    ]
    lines.append({"type": "log", "task": task, "msg": "hello", "level": "info"})
    server.call_lines("events.add_batch", lines)
    return task


def test_an_address_that_is_none_holds_up_nobody(server: Running) -> None:
    """Of a deleted model; whoever stored it."""
    step = freed(server)
    for uri in (f"{server.files}//[x/a", "x://["):
        model = server.call("models.create", name="the model", uri=uri, labels={})["id"]
        server.call("models.delete", model=model, force=True)
    task = make_task(server)
    put(server, f"p/the task.{task}/artifacts/data.bin", b"x")
    server.call("tasks.delete", task=task, force=True)
    assert (step(), step()) == (0, 1)


def test_a_backup_of_a_running_server_is_restored_and_proven(server: Running, tmp_path: Path) -> None:
    task = fill(server)
    copy, folder = tmp_path / "copy", tmp_path / "restored"
    store = Store(server.server.settings.folder)  # as the command line does, beside the server
    manifest = backup.backup(store, copy, 1_700_000_000_000)
    store.close()
    assert (manifest["files"], manifest["linked"], manifest["left_out"]) == (1, 1, 0)
    assert manifest["rows"]["scalar"] == 50
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    found = restore.restore(copy, folder, verify=True)
    assert (found["ok"], found["files"], found["bytes"]) == (True, 1, 100_000)
    for path in (copy / "server.sqlite", folder / "server.sqlite", *StoredFiles(Store(folder)).blobs()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    with running_server(folder=folder) as again:
        document = again.call("tasks.get_by_id", task=task)["task"]
        assert document["name"] == "the task"
        model = again.call("models.get_all", task=[task])
        assert len(model["models"]) == 1
        assert is_there(again, f"p/the%20task.{task}/artifacts/data.bin")
        log = again.call("events.get_task_log", task=task)
        assert [event["msg"] for event in log["events"]] == ["hello"]


def test_a_backup_under_load_is_whole(server: Running, tmp_path: Path) -> None:
    """Uploads, replacements and deletes go on meanwhile: whatever the copy holds, it holds wholly."""
    ended = threading.Event()

    def load() -> None:
        for number in range(10_000):
            if ended.is_set():
                return
            put(server, f"load/{number % 7}.bin", os.urandom(1000 + number % 100))
            if number % 5 == 4:
                server.client.delete(
                    f"{server.files}/load/{number % 7}.bin",
                    headers={"Authorization": f"Bearer {server.token}"},
                )

    worker = threading.Thread(target=load)
    worker.start()
    try:
        for number in range(5):
            store = Store(server.server.settings.folder)
            backup.backup(store, tmp_path / f"copy{number}", 0)
            store.close()
            found = restore.restore(tmp_path / f"copy{number}", tmp_path / f"restored{number}", verify=True)
            assert found["ok"], found["problems"]
    finally:
        ended.set()
        worker.join()


@pytest.mark.parametrize("damage", ["file", "file size", "file missing", "row", "database", "database cut"])
def test_a_damaged_backup_is_found(server: Running, tmp_path: Path, damage: str) -> None:
    fill(server)
    copy = tmp_path / "copy"
    backup.backup(server.store, copy, 0)
    (content,) = [p for p in (copy / "files").rglob("*") if p.is_file()]
    original = content.read_bytes()
    content.unlink()  # it is a link to the original
    database = copy / "server.sqlite"
    if damage == "file":
        content.write_bytes(b"y" + original[1:])
    elif damage == "file size":
        content.write_bytes(original + b"y")
    elif damage != "file missing":
        content.write_bytes(original)
    if damage == "row":
        with closing(sqlite3.connect(database)) as rows:
            rows.execute("DELETE FROM scalar WHERE iter=7")
            rows.commit()
    elif damage == "database":
        with database.open("r+b") as file:
            file.seek(database.stat().st_size // 2)
            file.write(os.urandom(5000))
    elif damage == "database cut":
        with database.open("r+b") as file:
            file.truncate(database.stat().st_size // 2)
    found = restore.restore(copy, tmp_path / "restored", verify=True)
    assert not found["ok"]
    assert found["problems"]


def test_what_is_no_backup_and_no_empty_folder_is_refused(server: Running, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    backup.backup(server.store, copy, 0)
    with pytest.raises(UpkeepError, match="exists"):
        backup.backup(server.store, copy, 0)
    with pytest.raises(UpkeepError, match="inside the data folder"):
        backup.backup(server.store, server.server.settings.folder / "copy", 0)
    with pytest.raises(UpkeepError, match="no complete backup"):
        restore.restore(tmp_path, tmp_path / "r", verify=False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(UpkeepError, match="is not empty"):
        restore.restore(copy, tmp_path / "full", verify=False)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "schema": 99}))
    with pytest.raises(UpkeepError, match="newer release"):
        restore.restore(copy, tmp_path / "r", verify=False)
    assert not (tmp_path / "r").exists()


def test_verification_names_what_is_wrong(server: Running) -> None:
    fill(server)
    put(server, "a.bin", b"aaaa")
    put(server, "b.bin", b"bbbb")
    assert verification.verify(server.store)["ok"]
    stored = server.server.files.stored
    with server.store.reading() as tx:
        a, b = file_rows.find(tx, "a.bin"), file_rows.find(tx, "b.bin")
    assert a is not None
    assert b is not None
    stored.locate(a.blob).write_bytes(b"aaab")
    stored.locate(b.blob).unlink()
    with server.store.writing() as tx:
        tx.run("PRAGMA defer_foreign_keys=ON")
    found = verification.verify(server.store)
    assert found["problems"] == [
        "a.bin: the content is not what was uploaded (SHA-256 differs)",
        "b.bin: the content is missing",
    ]


def test_deleting_a_task_frees_its_files_after_a_while(server: Running) -> None:
    task = fill(server)
    other = make_task(server, "other")
    put(server, f"p/other.{other}/artifacts/data.bin")
    own = f"p/the%20task.{task}/artifacts/data.bin"
    steps = freed(server)
    server.call("tasks.delete", task=task, force=True, delete_output_models=True)
    assert steps() == 0, "a client that was told the addresses may come first"
    assert is_there(server, own)
    assert steps() == 1
    assert not is_there(server, own)
    assert is_there(server, f"p/other.{other}/artifacts/data.bin")
    with server.store.reading() as tx:
        assert tx.all("SELECT * FROM freed") == []
        for table in ("metric", "log", "scalar"):
            assert tx.value(f"SELECT count(*) FROM {table}") == 0
    stored = server.server.files.stored
    assert len(list(stored.blobs())) == 2, "a content stays a while longer than its file"
    stored.reap(time.time() + 1)
    assert len(list(stored.blobs())) == 1


def test_a_file_that_a_model_still_names_stays(server: Running) -> None:
    task = fill(server)
    model = server.call("models.get_all")["models"][0]["id"]
    steps = freed(server)
    server.call("tasks.delete", task=task, force=True, delete_output_models=False)
    assert [steps() for _ in range(3)] == [0, 0, 0]
    assert is_there(server, f"p/the%20task.{task}/artifacts/data.bin")
    server.call("models.delete", model=model, force=True)
    with server.store.writing() as tx:  # uploaded before the second in which the model went
        tx.run("UPDATE file SET created = created - 2000")
    assert [steps() for _ in range(2)] == [0, 1]


def test_a_running_server_frees_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "TIDY_SECONDS", 0.02)
    monkeypatch.setattr(stored_files, "GRACE_SECONDS", 0.0)
    with running_server() as server:
        task = fill(server)
        server.call("tasks.delete", task=task, force=True)
        end = time.monotonic() + 30
        while list(server.server.files.stored.blobs()) and time.monotonic() < end:
            time.sleep(0.01)
        assert list(server.server.files.stored.blobs()) == []


def test_below_a_path_of_a_proxy_files_are_freed_and_kept_all_the_same() -> None:
    with running_server(files_url="https://lab.example/files/") as server:
        task = make_task(server)
        for name in ("one", "two"):
            put(server, f"p/t.{task}/models/{name} m.bin")
            uri = f"https://lab.example/files/p/t.{task}/models/{name}%20m.bin"
            model = server.call("models.create", name="the model", uri=uri, task=task)["id"]
        passes = freeing.Freeing(server.store, server.server.services.memory["files_addresses"])
        server.call("models.delete", model=model, force=True)
        with server.store.writing() as tx:
            tx.run("UPDATE file SET created = created - 2000")
        assert passes.step() == 0
        assert passes.step() == 1
        with server.store.reading() as tx:
            (left,) = tx.all("SELECT path FROM file")
        assert left == (f"p/t.{task}/models/one m.bin",)
        header = {"Authorization": f"Bearer {server.token}"}
        kept = server.client.delete(f"{server.files}/p/t.{task}/models/one%20m.bin", headers=header)
        assert kept.status_code == 403, "its model is published"


def test_a_file_that_both_its_task_and_its_address_free_goes_once(server: Running) -> None:
    task = make_task(server)
    url = put(server, f"p/t.{task}/models/m.bin")
    model = server.call("models.create", name="the model", uri=url, task=task)["id"]
    server.call("models.delete", model=model, force=True)
    server.call("tasks.delete", task=task, force=True)
    with server.store.writing() as tx:
        tx.run("UPDATE file SET created = created - 2000")
    steps = freed(server)
    assert [steps() for _ in range(3)] == [0, 1, 0]
    assert not is_there(server, f"p/t.{task}/models/m.bin")


def test_what_was_uploaded_again_stays(server: Running) -> None:
    task = make_task(server)
    url = put(server, f"p/t.{task}/models/m.bin")
    model = server.call("models.create", name="the model", uri=url, task=task)["id"]
    server.call("models.delete", model=model, force=True)
    put(server, f"p/t.{task}/models/m.bin", b"new")
    steps = freed(server)
    assert [steps() for _ in range(3)] == [0, 0, 0]
    assert is_there(server, f"p/t.{task}/models/m.bin")


def test_gc_takes_what_nobody_needs_and_says_so_before(server: Running) -> None:
    gone, kept = "a" * 32, fill(server)
    put(server, f"p/gone.{gone}/x.bin", b"12345")
    named = put(server, f"p/gone.{gone}/named one.bin")
    put(server, "loose.bin", b"123")
    linked = put(server, "linked.bin")
    server.call("tasks.edit", task=kept, force=True, comment=f"see {named} and ({linked})")
    now = int(server.server.services.clock() * 1000) + 2 * DAY_MS
    with server.store.writing() as tx:
        tx.run(
            "INSERT INTO metric(owner, metric_hash, variant_hash, metric, variant, count, total, finite) "
            "VALUES (?, 'h', 'h', 'm', 'v', 2, 3, 2)",
            (gone,),
        )
        number = tx.value("SELECT number FROM metric WHERE owner=?", (gone,))
        tx.many("INSERT INTO scalar VALUES (?, ?, 1.0, 0, 0, 0)", [(number, 1), (number, 2)])
        last = [(f"new {number}", now) for number in range(credentials.MOST_ENDED_SESSIONS)]
        tx.many("INSERT INTO revoked_session VALUES (?, ?)", [("old", 1), *last])
        tx.many(
            "INSERT INTO worker_sample VALUES (?, 'u', 'w', NULL, '{}')",
            [(now - 31 * DAY_MS,), (now - DAY_MS,)],
        )
    stored = server.server.files.stored
    torn = stored.incoming / "torn"
    torn.write_bytes(b"1234567")
    os.utime(torn, (1, 1))
    fresh = stored.incoming / "fresh"
    fresh.write_bytes(b"on its way")
    before = _rows(server.store)
    would = gc.collect(server.store, now, dry_run=True)
    assert _rows(server.store) == before
    assert torn.exists()
    assert would["files"] == {"count": 1, "bytes": 5, "paths": [f"p/gone.{gone}/x.bin"]}
    assert (would["files_outside"]["count"], would["files_outside"]["kept"]) == (1, True)
    assert would["events"]["count"] == 2
    assert would["sessions"]["count"] == 1
    assert would["worker_samples"]["count"] == 1
    assert would["leftovers"] == {"count": 1, "bytes": 7}
    did = gc.collect(server.store, now, dry_run=False)
    assert {**did, "dry_run": True} == would
    assert len(list(stored.blobs())) == 5, "the content stays a while longer than its file"
    after = gc.collect(server.store, now, dry_run=True)
    kinds = ("files", "events", "sessions", "worker_samples", "leftovers")
    assert [after[kind]["count"] for kind in kinds] == [0] * 5
    assert is_there(server, f"p/gone.{gone}/named%20one.bin")
    assert is_there(server, "linked.bin")
    assert is_there(server, "loose.bin")
    assert fresh.exists()
    assert gc.collect(server.store, now, dry_run=False, unowned=True)["files_outside"]["count"] == 1
    assert not is_there(server, "loose.bin")
    assert is_there(server, f"p/the%20task.{kept}/artifacts/data.bin")
    assert verification.verify(server.store)["ok"]
    scalars = server.call("events.scalar_metrics_iter_histogram", task=kept)
    assert scalars["loss"]["a"]["y"] == list(range(50))


def _rows(store: Store) -> dict[str, int]:
    with store.reading() as tx:
        return copies.count_rows(tx)
