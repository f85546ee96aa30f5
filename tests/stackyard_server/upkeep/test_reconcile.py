"""A folder whose database and contents are apart: the start refuses, verify says in what, reconcile goes on."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from stackyard_server import admin
from stackyard_server.files.stored import StoredFiles
from stackyard_server.program import hint
from stackyard_server.store import Store

from ..running import Running, running_server

COUNT = 26


def put(server: Running, path: str, content: bytes) -> None:
    header = {"Authorization": f"Bearer {server.token}"}
    assert (
        server.client.post(f"{server.files}/", files={path: ("x", content)}, headers=header).status_code
        == 200
    )


def get(server: Running, path: str) -> bytes | None:
    header = {"Authorization": f"Bearer {server.token}"}
    answer = server.client.get(f"{server.files}/{path}", headers=header)
    return answer.content if answer.status_code == 200 else None


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a server left, with as many files."""
    folder = tmp_path_factory.mktemp("left") / "data"
    with running_server(folder=folder) as server:
        for number in range(COUNT):
            put(server, f"f/{number}", b"content %d" % number)
    return folder


@pytest.fixture
def folder(left: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(left, tmp_path / "data")


def start(folder: Path) -> None:
    """What a start does, in this process: it is refused."""
    mask = os.umask(0o077)
    try:
        admin.serve(
            admin.read_settings(folder, {"web_port": 0, "api_port": 0, "files_port": 0}), lambda *_: None
        )
    finally:
        os.umask(mask)


def contents(folder: Path) -> int:
    return len(list((folder / "files").glob("[0-9a-f][0-9a-f]/*")))


@pytest.mark.promise("apart-is-refused", on="command")
def test_without_its_database_a_start_ends_with_a_sentence_and_deletes_nothing(folder: Path) -> None:
    (folder / "server.sqlite").unlink()
    ports = [f"--{name}-port=0" for name in ("web", "api", "files")]
    command = [sys.executable, "-m", "stackyard_server.command", "start", "--folder", str(folder), *ports]
    for more in ([], ["--background"]):
        done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=120)
        assert done.returncode == 1
        (sentence,) = done.stderr.splitlines()
        for word in ("server.sqlite is missing", "Nothing was changed", "restore BACKUP", "reconcile"):
            assert word in sentence
    assert not (folder / "server.sqlite").exists()
    assert contents(folder) == COUNT
    found = admin.verify(folder)
    assert not found["ok"]
    assert found["unclaimed"]["count"] == COUNT
    for refused in (admin.status, admin.list_users, lambda f: admin.collect_garbage(f, dry_run=False)):
        with pytest.raises(admin.AdminError, match="is missing"):
            refused(folder)


def test_reconcile_makes_files_of_contents_and_a_new_database(folder: Path) -> None:
    (folder / "server.sqlite").unlink()
    would = admin.reconcile(folder, dry_run=True)
    assert not (folder / "server.sqlite").exists()
    did = admin.reconcile(folder, dry_run=False)
    assert {**did, "dry_run": True} == would
    assert (did["recovered"]["count"], did["forgotten"]["count"], did["new_database"]) == (COUNT, 0, True)
    with running_server(folder=folder, role="admin") as server:
        found = {get(server, path) for path in did["recovered"]["paths"]}
    assert found == {b"content %d" % number for number in range(COUNT)}
    assert admin.verify(folder)["ok"]


@pytest.mark.promise("apart-is-refused")
def test_files_without_their_contents_stop_a_start_until_they_are_given_up(folder: Path) -> None:
    store = Store(folder)
    lost, *_ = StoredFiles(store).blobs()
    store.close()
    kept = lost.read_bytes()
    lost.unlink()
    with pytest.raises(admin.AdminError, match="1 file has no content, the first is f/"):
        start(folder)
    (problem,) = admin.verify(folder)["problems"]
    assert problem.endswith("the content is missing")
    lost.write_bytes(kept)
    with running_server(folder=folder) as server:
        assert get(server, "f/3") == b"content 3"
    lost.unlink()
    did = admin.reconcile(folder, dry_run=False)
    assert did["forgotten"]["count"] == 1
    assert not did["new_database"]
    with running_server(folder=folder) as server:
        assert get(server, did["forgotten"]["paths"][0]) is None
    assert admin.verify(folder)["ok"]


@pytest.mark.promise("apart-is-refused")
def test_most_contents_without_a_file_stop_a_start_and_gc(folder: Path) -> None:
    store = Store(folder)
    with store.writing() as tx:  # as no kill leaves it
        tx.run("DELETE FROM file WHERE path <> 'f/1'")
        tx.run("DELETE FROM doomed")
    store.close()
    for refused in (
        lambda: start(folder),
        lambda: admin.collect_garbage(folder, dry_run=False),
    ):
        with pytest.raises(admin.AdminError, match=f"{COUNT - 1} of {COUNT} contents belong to no file"):
            refused()
    assert contents(folder) == COUNT
    assert not admin.verify(folder)["ok"]


@pytest.mark.promise("apart-is-refused")
def test_what_a_kill_left_of_an_upload_is_named_and_no_reason_to_refuse(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left = folder / "files" / "ab" / ("ab" + "1" * 30)
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"settled, never recorded")
    with running_server(folder=folder):
        pass
    assert f"1 contents belong to no file, the first is {left.name}" in caplog.text
    found = admin.verify(folder)
    assert found["ok"]
    assert found["unclaimed"] == {"count": 1, "names": [left.name]}
    assert left.exists()


def test_a_damaged_database_is_called_damaged_and_not_reconciled(folder: Path) -> None:
    with (folder / "server.sqlite").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)
    with pytest.raises(admin.AdminError, match=r"changed or damaged\. Nothing was changed: restore a backup"):
        start(folder)
    with pytest.raises(admin.AdminError, match=r"is damaged .* Restore a backup"):
        admin.reconcile(folder, dry_run=False)
    assert contents(folder) == COUNT


def test_reconcile_waits_for_no_running_server(folder: Path, tmp_path: Path) -> None:
    with running_server(folder=folder), pytest.raises(admin.AdminError, match="is in use"):
        admin.reconcile(folder, dry_run=False)
    with pytest.raises(admin.AdminError, match="holds no server yet"):
        admin.reconcile(tmp_path / "nothing", dry_run=False)


def test_a_copy_of_an_older_database_is_refused_and_reconciled(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "server.sqlite", tmp_path / "old")
    with running_server(folder=folder) as server:
        put(server, "later", b"later")
    shutil.copy(tmp_path / "old", folder / "server.sqlite")
    with pytest.raises(admin.AdminError, match="lost the last"):
        start(folder)
    did = admin.reconcile(folder, dry_run=False)
    (path,) = did["recovered"]["paths"]
    with running_server(folder=folder, role="admin") as server:
        assert (get(server, path), get(server, "f/1")) == (b"later", b"content 1")


def commanded(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stackyard_server.command", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_verify_without_a_database_says_that_all_contents_are_kept(folder: Path) -> None:
    (folder / "server.sqlite").unlink()
    done = commanded("verify", "--folder", folder)
    assert done.returncode == 1
    said = f"{COUNT} contents are there that the database has no file for: all are kept, gc takes none\n"
    assert done.stdout == said
    assert admin.verify(folder)["apart"]
    assert contents(folder) == COUNT


def test_verify_names_the_gc_of_that_folder_where_a_kill_left_something(folder: Path) -> None:
    left = folder / "files" / "ab" / ("ab" + "1" * 30)
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"settled, never recorded")
    done = commanded("verify", "--folder", folder)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == (
        f"1 contents belong to no file, as uploads leave that were cut off: {hint('gc', folder)} takes them"
    )


def test_hints_name_the_folder_that_was_named(folder: Path) -> None:
    named = f"--folder {folder}"
    assert admin.status(folder)["problems"][0] == f"No server runs on this folder: {hint('start', folder)}"
    with pytest.raises(admin.AdminError, match="no user is called 'nobody'") as refused:
        admin.remove_user(folder, "nobody")
    assert str(refused.value).endswith(f"user list {named}")
    (folder / "server.sqlite").unlink()
    for call in (admin.list_users, start):
        with pytest.raises(admin.AdminError, match="is missing") as refused:
            call(folder)
        assert str(refused.value).endswith(f"reconcile {named}.")


def test_status_says_why_a_start_would_be_refused(folder: Path) -> None:
    assert len(admin.status(folder)["problems"]) == 1
    store = Store(folder)
    lost, *_ = StoredFiles(store).blobs()
    store.close()
    kept = lost.read_bytes()
    lost.unlink()
    with pytest.raises(admin.AdminError) as refused:
        start(folder)
    assert admin.status(folder)["problems"][1:] == [str(refused.value)]
    lost.write_bytes(kept)
    assert len(admin.status(folder)["problems"]) == 1


def test_what_helps_against_a_database_of_any_bytes_is_what_is_said(folder: Path) -> None:
    path = folder / "server.sqlite"
    path.write_bytes(bytes(range(256)) * 300)
    with pytest.raises(admin.AdminError, match="is damaged") as refused:
        start(folder)
    said = str(refused.value)
    assert "without one move server.sqlite and its -wal away, then call" in said
    assert f"{hint('reconcile', folder)}: the files stay, all else is lost" in said
    with pytest.raises(admin.AdminError, match="is damaged"):
        admin.reconcile(folder, dry_run=False)
    path.rename(folder / "server.sqlite.damaged")
    (folder / "server.sqlite-wal").unlink(missing_ok=True)
    assert admin.reconcile(folder, dry_run=False)["recovered"]["count"] == COUNT
    with running_server(folder=folder):
        pass


def test_a_database_that_can_be_read_and_was_changed_may_be_taken_as_it_is(folder: Path) -> None:
    with running_server(folder=folder):
        pass
    with contextlib.closing(sqlite3.connect(folder / "server.sqlite")) as database, database:
        database.execute("UPDATE user SET name='changed'")
    with contextlib.closing(sqlite3.connect(folder / "server.sqlite")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for name in ("-wal", "-shm"):
        (folder / f"server.sqlite{name}").unlink(missing_ok=True)
    with pytest.raises(admin.AdminError, match="it was changed or damaged") as refused:
        start(folder)
    assert str(refused.value).endswith(f"take it as it is with {hint('reconcile', folder)}.")
    assert admin.status(folder)["problems"][1:] == [str(refused.value)]
    admin.reconcile(folder, dry_run=False)
    assert len(admin.status(folder)["problems"]) == 1
