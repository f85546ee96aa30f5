"""A folder of each released version becomes one of this version, with everything in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stackyard_server import admin
from stackyard_server.store import FILE_NAME, Store, StoreError, mark, schema
from stackyard_server.upkeep import verification

from ..running import running_server
from . import dump, load, stored

VERSIONS = stored()


def structure(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    """Tables, indexes and triggers with what makes them."""
    rows = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name"
    )
    return [tuple(row) for row in rows]


def folder_of(tmp_path: Path, version: int) -> Path:
    folder = tmp_path / f"v{version}"
    folder.mkdir()
    load(VERSIONS[version].read_text(encoding="utf-8"), folder / FILE_NAME)
    with closing(sqlite3.connect(folder / FILE_NAME)) as rows:
        ((blob,),) = rows.execute("SELECT blob FROM file")
        if version >= schema.WITH_LINEAGE:
            ((identity, commits),) = rows.execute("SELECT identity, commits FROM lineage")
            mark.Mark(folder, identity, commits, None).close()
    content = folder / "files" / blob[:2] / blob
    content.parent.mkdir(parents=True)
    content.write_bytes(b"stored content")
    return folder


@pytest.mark.skipif(not VERSIONS, reason="no schema version was released yet")
@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_stored_is_read_by_this_release(tmp_path: Path, version: int) -> None:
    folder = folder_of(tmp_path, version)
    with running_server(folder=folder) as server:
        (done,) = server.call("tasks.get_all", name="^done task$")["tasks"]
        document = server.call("tasks.get_by_id", task=done["id"])["task"]
        assert (document["status"], document["comment"], document["tags"]) == (
            "completed",
            "as it was",
            ["kept"],
        )
        assert document["hyperparams"]["Args"]["lr"]["value"] == "0.1"
        (last,) = (v for variants in document["last_metrics"].values() for v in variants.values())
        assert (last["metric"], last["value"], last["max_value"], last["count"]) == ("loss", 1.0, 1.0, 5)
        scalars = server.call("events.scalar_metrics_iter_histogram", task=done["id"])
        assert scalars["loss"]["a"]["y"] == [0, 0.25, 0.5, 0.75, 1]
        log = server.call("events.get_task_log", task=done["id"], order="asc")["events"]
        assert [event["msg"] for event in log] == ["line 0", "line 1", "line 2"]
        assert len(server.call("events.get_task_plots", task=done["id"])["plots"]) == 1
        (project,) = server.call("projects.get_all", name="^stored/project$")["projects"]
        assert project["description"] == "kept"
        (queue,) = server.call("queues.get_all", name="stored queue")["queues"]
        pulled = [
            server.call("queues.get_next_task", queue=queue["id"])["entry"]["task"] for _ in queue["entries"]
        ]
        names = [server.call("tasks.get_by_id", task=task)["task"]["name"] for task in pulled]
        assert names == ["waiting 2", "waiting 1"]
        (model,) = server.call("models.get_all", name="stored model")["models"]
        assert model["uri"].startswith(f"{server.files}/"), "the address it was stored under is a former one"
        found = verification.verify(server.store)
        assert found["problems"] == []
        assert found["rows"]["file"] == 1
        with server.store.reading() as tx:
            assert tx.value("PRAGMA user_version") == len(schema.MIGRATIONS)


@pytest.mark.skipif(not VERSIONS, reason="no schema version was released yet")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_released_migration_was_not_edited(tmp_path: Path, version: int) -> None:
    with closing(sqlite3.connect(":memory:")) as fresh, closing(sqlite3.connect(":memory:")) as old:
        for script in schema.MIGRATIONS[:version]:
            fresh.executescript(script)
        old.executescript(VERSIONS[version].read_text(encoding="utf-8"))
        assert structure(old) == structure(fresh), (
            f"version {version} is stored in {VERSIONS[version].name} as users have it: add a migration instead"
        )


@pytest.mark.promise("the-server-alone-migrates")
def test_a_command_changes_nothing_of_an_earlier_release(tmp_path: Path) -> None:
    """A server of that release may run beside it, and has to start again afterwards."""
    folder = folder_of(tmp_path, 4)

    def held() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before = held()
    for call in (
        lambda: admin.verify(folder),
        lambda: admin.status(folder),
        lambda: admin.backup(folder, tmp_path / "copy"),
        lambda: admin.collect_garbage(folder, dry_run=False),
        lambda: admin.add_user(folder, "ann", None, "user", "long enough for a password"),
        lambda: admin.list_users(folder),
        lambda: admin.list_credentials(folder, None),
        lambda: admin.write_client_config(folder, tmp_path / "clearml.conf", "admin", False),
        lambda: admin.take_in(folder, {}, []),
    ):
        with pytest.raises(admin.AdminError, match=r"earlier release \(schema 4, .*start the server of this"):
            call()
    assert held() == before
    Store(folder, serving=True).close()
    assert admin.list_users(folder) is not None


def test_a_later_version_is_reached_step_by_step_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    with store.writing() as tx:
        tx.run("INSERT INTO meta VALUES ('x', 'kept')")
    store.close()
    present = len(schema.MIGRATIONS)
    good = "ALTER TABLE task ADD COLUMN colour TEXT;\nUPDATE meta SET value='moved' WHERE key='x';"
    torn = "UPDATE meta SET value='torn' WHERE key='x';\nCREATE TABLE half (a);\nNONSENSE;"
    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, good, torn])
    with pytest.raises(sqlite3.OperationalError, match="NONSENSE"):
        Store(tmp_path, migrates=True)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        assert database.execute("PRAGMA user_version").fetchone()[0] == present + 1
        assert database.execute("SELECT value FROM meta WHERE key='x'").fetchone() == ("moved",)
        assert database.execute("SELECT 1 FROM sqlite_master WHERE name='half'").fetchone() is None
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:present])
    with pytest.raises(StoreError, match="written by a newer release"):
        Store(tmp_path, migrates=True)


def test_a_dump_makes_the_same_database(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing() as tx:
        tx.run("INSERT INTO file(path, blob, bytes, sha256, created) VALUES ('a', ?, 5, 'x', 1)", ("0" * 32,))
    store.close()
    text = dump(tmp_path / FILE_NAME)
    load(text, tmp_path / "copy.sqlite")
    assert dump(tmp_path / "copy.sqlite") == text
    with closing(sqlite3.connect(tmp_path / "copy.sqlite")) as copy:
        assert copy.execute("SELECT files, bytes FROM file_usage").fetchall() == [(1, 5)]
