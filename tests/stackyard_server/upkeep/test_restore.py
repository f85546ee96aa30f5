"""A restore believes nothing: hostile backups, the digest, and what it says of what it takes on trust."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from stackyard_server import admin
from stackyard_server.store import ApartError, Store, mark, meta
from stackyard_server.store.documents import TASK
from stackyard_server.upkeep import UpkeepError, backup, drafts, restore

from . import hostile

LONG = os.environ.get("STACKYARD_LONG") == "1"


def test_a_hostile_backup_writes_nothing_outside_its_target(tmp_path: Path) -> None:
    seed = int(os.environ.get("STACKYARD_SEED") or random.SystemRandom().randrange(10**6))
    dice = random.Random(seed)
    place = hostile.make(tmp_path / "place")
    restored: Counter[bool] = Counter()
    for number in range(hostile.COUNT if LONG else 40):
        said = hostile.spoil(place, dice)
        came, faults = hostile.judge(place, verify=dice.random() < 0.3)
        assert faults == [], f"{said}, backup {number}, STACKYARD_SEED={seed}"
        restored[came] += 1
    assert restored[False] > restored[True], "most of them cannot be believed"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    store = Store(folder)
    store.close()
    (folder / "server.toml").write_text("requeue_limit = 3\n")
    return folder


def test_a_structure_that_is_no_text_is_refused(folder: Path, tmp_path: Path) -> None:
    admin.backup(folder, tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy" / "server.sqlite")) as rows:
        rows.execute("PRAGMA writable_schema=ON")
        rows.execute(
            "UPDATE sqlite_master SET sql=CAST(CAST(sql || ' -- ' AS BLOB) || x'FF' AS TEXT) WHERE name='meta'"
        )
        rows.commit()
    hostile._mend(tmp_path / "copy")
    (problem,) = admin.restore(tmp_path / "copy", tmp_path / "restored", verify=True)["problems"]
    assert "table 'meta' is not as this server makes it" in problem
    assert not (tmp_path / "restored").exists()


def test_the_digest_knows_the_backup_again(folder: Path, tmp_path: Path) -> None:
    made = admin.backup(folder, tmp_path / "copy")
    assert made["digest"].startswith("sha256:")
    found = admin.restore(tmp_path / "copy", tmp_path / "known", verify=True, digest=made["digest"])
    assert (found["ok"], found["checked"], found["digest"]) == (True, True, made["digest"])
    assert (tmp_path / "known" / "server.toml").read_text() == "requeue_limit = 3\n"
    with closing(sqlite3.connect(tmp_path / "copy" / "server.sqlite")) as rows:
        rows.execute("INSERT INTO meta VALUES ('theirs', 'x')")
        rows.commit()
    hostile._mend(tmp_path / "copy")
    rows_fault = "rows, the manifest says"
    (problem,) = admin.restore(tmp_path / "copy", tmp_path / "trusted", verify=False)["problems"]
    assert rows_fault in problem
    with pytest.raises(admin.AdminError, match="is not the backup of that digest"):
        admin.restore(tmp_path / "copy", tmp_path / "refused", verify=False, digest=made["digest"])
    assert not (tmp_path / "trusted").exists()
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize(
    ("table", "ours", "theirs"),
    [
        ("file", "user TEXT\n", "user TEXT, UNIQUE (user) ON CONFLICT REPLACE\n"),
        ("task", "name TEXT", "name TEXT CHECK (name <> 'x')"),
        ("file", "owner TEXT", "owner TEXT REFERENCES task(id) ON DELETE CASCADE"),
        ("file", "sha256 TEXT NOT NULL", "sha256 TEXT NOT NULL ON CONFLICT IGNORE"),
    ],
)
def test_a_table_with_rules_of_somebody_elses_is_not_restored(
    folder: Path, tmp_path: Path, table: str, ours: str, theirs: str
) -> None:
    """Its columns are those of this server; rows that a server acknowledged would go, or never come, all the same."""
    admin.backup(folder, tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy" / "server.sqlite", isolation_level=None)) as rows:
        rows.execute("PRAGMA writable_schema=ON")
        made = rows.execute("SELECT sql FROM sqlite_master WHERE name=?", (table,)).fetchone()[0]
        assert ours in made
        rows.execute("UPDATE sqlite_master SET sql=? WHERE name=?", (made.replace(ours, theirs, 1), table))
    hostile._mend(tmp_path / "copy")
    found = admin.restore(tmp_path / "copy", tmp_path / "refused", verify=True)
    assert not found["ok"]
    assert f"table '{table}' is not as this server makes it" in " ".join(found["problems"])
    assert not (tmp_path / "refused").exists()


def test_a_restored_folder_notices_from_the_first_that_its_mark_is_gone(folder: Path, tmp_path: Path) -> None:
    store = Store(folder)
    with store.writing() as tx:
        meta.put(tx, "x", "y")
    store.close()
    admin.backup(folder, tmp_path / "copy")
    assert admin.restore(tmp_path / "copy", tmp_path / "restored", verify=False)["ok"]
    (tmp_path / "restored" / "files" / mark.NAME).unlink()
    with pytest.raises(ApartError, match="mark is missing"):
        Store(tmp_path / "restored")


def test_settings_that_the_manifest_does_not_name_are_left_behind(folder: Path, tmp_path: Path) -> None:
    (folder / "server.toml").unlink()
    admin.backup(folder, tmp_path / "copy")
    (tmp_path / "copy" / "server.toml").write_text('host = "0.0.0.0"\n')
    assert admin.restore(tmp_path / "copy", tmp_path / "restored", verify=False)["ok"]
    assert not (tmp_path / "restored" / "server.toml").exists()


def test_a_restored_folder_is_another_one(folder: Path, tmp_path: Path) -> None:
    """Its database is not taken for that of the folder it was copied from."""
    admin.backup(folder, tmp_path / "copy")
    admin.restore(tmp_path / "copy", tmp_path / "restored", verify=True)
    former, now = mark.read(folder), mark.read(tmp_path / "restored")
    assert former is not None
    assert now is not None
    assert former.identity != now.identity


def test_a_backup_that_changes_while_it_is_read_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.backup(folder, tmp_path / "copy")
    copy = restore._copy

    def change_first(source: Path, part: restore.inspection.Part, goal: Path) -> None:
        with (source / part.path[-1]).open("ab") as file:
            file.write(b"\n#")
        copy(source, part, goal)

    monkeypatch.setattr(restore, "_copy", change_first)
    with pytest.raises(UpkeepError, match="changed while it was read"):
        restore.restore(tmp_path / "copy", tmp_path / "restored", verify=False)
    assert not (tmp_path / "restored").exists()


def test_no_backup_is_made_of_a_damaged_database(folder: Path, tmp_path: Path) -> None:
    store = Store(folder)
    with store.writing() as tx:
        root = tx.value("SELECT rootpage FROM sqlite_master WHERE name='user'")
    store.close()
    with (folder / "server.sqlite").open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    store = Store(folder)
    with pytest.raises(UpkeepError, match=r"is damaged, and no backup was made"):
        backup.backup(store, tmp_path / "copy", 0)
    store.close()
    assert admin.verify(folder)["problems"][0].startswith("database: ")
    with pytest.raises(admin.AdminError, match=r"server\.sqlite is damaged .* restore a backup"):
        admin.list_users(folder)
    assert not (tmp_path / "copy").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".copy")]


def killed_restore(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A restore in a process of its own that is gone in the middle, at once."""

    def gone(*_: object) -> None:
        os._exit(9)

    child = os.fork()
    if child == 0:
        try:
            if step == "copying":
                monkeypatch.setattr(restore, "_copy", gone)
            elif step == "naming":
                monkeypatch.setattr(restore.copies, "rename", gone)
            else:
                real = Path.rename

                def move(path: Path, goal: Path) -> Path:
                    return gone() if path.name == "server.sqlite" else real(path, goal)  # type: ignore[return-value]

                monkeypatch.setattr(Path, "rename", move)
            restore.restore(source, folder, verify=False)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def serve(folder: Path) -> None:
    mask = os.umask(0o077)
    try:
        told = admin.read_settings(folder, {"web_port": 0, "api_port": 0, "files_port": 0})
        admin.serve(told, lambda *_: pytest.fail("it started"))
    finally:
        os.umask(mask)


@pytest.mark.promise("a-half-restored-folder-is-refused")
@pytest.mark.parametrize("step", ["copying", "naming", "moving"])
def test_a_restore_that_was_killed_is_repeated_and_nothing_else_goes_on_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    admin.backup(folder, tmp_path / "copy")
    target = tmp_path / "target"
    killed_restore(tmp_path / "copy", target, monkeypatch, step)
    assert (target / restore.DRAFT).is_dir()
    for call in (
        lambda: serve(target),
        lambda: admin.verify(target),
        lambda: admin.status(target),
        lambda: admin.list_users(target),
        lambda: admin.backup(target, tmp_path / "other"),
        lambda: admin.collect_garbage(target, dry_run=True),
        lambda: admin.reconcile(target, dry_run=False),
        lambda: admin.take_in(target, {}, []),
    ):
        with pytest.raises(admin.AdminError, match="was broken off: repeat it with this folder"):
            call()
    assert not (target / "server.sqlite").exists()
    assert admin.restore(tmp_path / "copy", target, verify=True)["ok"]
    assert not (target / restore.DRAFT).exists()
    assert (target / "server.toml").read_text() == "requeue_limit = 3\n"


def test_what_is_not_a_restores_is_not_cleared(folder: Path, tmp_path: Path) -> None:
    admin.backup(folder, tmp_path / "copy")
    target = tmp_path / "target"
    (target / restore.DRAFT).mkdir(parents=True)
    (target / "mine").write_text("kept")
    with pytest.raises(admin.AdminError, match="is not empty"):
        admin.restore(tmp_path / "copy", target, verify=False)
    (target / "mine").unlink()
    with (
        drafts.held(target / restore.DRAFT),
        pytest.raises(admin.AdminError, match=r"Another process works in .*\.restoring"),
    ):
        admin.restore(tmp_path / "copy", target, verify=False)
    assert admin.restore(tmp_path / "copy", target, verify=False)["ok"]


def test_a_restore_that_fails_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.backup(folder, tmp_path / "copy")
    (tmp_path / "target").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(restore.copies, "make_mark", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            restore.restore(tmp_path / "copy", tmp_path / "target", verify=False)
    assert list((tmp_path / "target").iterdir()) == []


def test_what_is_kept_to_answer_sooner_is_not_believed(folder: Path, tmp_path: Path) -> None:
    """Parameters are kept again when a list asks; a path that is none would end every later tasks.create."""
    with closing(sqlite3.connect(folder / "server.sqlite")) as rows:
        rows.execute("INSERT INTO parameter(path, filled, last) VALUES ('$[', 0, 0)")
        rows.execute("INSERT INTO parameter_value VALUES (1, 1, 1.0, 1)")
        rows.execute("UPDATE file_usage SET files=7, bytes=1000000000000")
        rows.commit()
    admin.backup(folder, tmp_path / "copy")
    assert admin.restore(tmp_path / "copy", tmp_path / "target", verify=True)["ok"]
    store = Store(tmp_path / "target")
    with store.writing() as tx:
        assert tx.value("SELECT count(*) FROM parameter") == 0
        assert tx.value("SELECT count(*) FROM parameter_value") == 0
        assert tx.one("SELECT files, bytes FROM file_usage") == (0, 0)
        TASK.insert(tx, {"id": "a" * 32, "hyperparams": {"Args": {"x": {"value": 1}}}})
    store.close()


def test_a_backup_that_does_not_fit_says_what_it_needs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.backup(folder, tmp_path / "copy")
    monkeypatch.setattr(restore.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1))
    with pytest.raises(
        admin.AdminError, match=r"target: its disk has 1 bytes free, the backup needs \d{5,}:"
    ):
        admin.restore(tmp_path / "copy", tmp_path / "target", verify=False)
    assert not (tmp_path / "target").exists()
