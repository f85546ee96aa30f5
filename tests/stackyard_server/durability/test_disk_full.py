"""A full disk: a clear error, reading goes on, and nothing is lost once there is space again."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stackyard_server import admin, settings
from stackyard_server.store import Store, schema
from stackyard_server.upkeep import restore, verification

from .child import running_child

SIZE_BYTES = 12 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(place)],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """A file that takes all that is free."""
    filler = place / "filler"
    with filler.open("ab", buffering=0) as file:
        for step in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * step)
            except OSError:
                continue
    return filler


def test_a_start_on_a_full_disk_says_so(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "umask", lambda _: 0)  # it would stay for the tests after this one
    folder = small_disk / "data"
    filler = fill(small_disk)
    told = settings.read(folder, {"web_port": 0, "api_port": 0, "files_port": 0})
    with pytest.raises(admin.AdminError, match=r"its disk is full \(\d+ bytes are free, a start needs"):
        admin.serve(told, lambda *_: None)
    filler.unlink()
    Store(folder).close()


def test_every_command_on_a_full_disk_names_the_place(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "umask", lambda _: 0)
    folder, copy = small_disk / "data", tmp_path / "copy"
    Store(folder).close()
    admin.backup(folder, copy)
    filler = fill(small_disk)
    said = rf"^{folder} could not be written, its disk is full \(\d+ bytes are free\): make room"
    for call in (
        lambda: admin.verify(folder),
        lambda: admin.collect_garbage(folder, dry_run=False),
        lambda: admin.list_users(folder),
        lambda: admin.reconcile(folder, dry_run=False),
    ):
        with pytest.raises(admin.AdminError, match=said):
            call()
    with pytest.raises(
        admin.AdminError, match=r"restored: its disk has \d+ bytes free, the backup needs \d+"
    ):
        admin.restore(copy, small_disk / "restored", verify=False)
    monkeypatch.setattr(restore, "_check_room", lambda *_: None)  # it filled up meanwhile
    with pytest.raises(admin.AdminError, match=r"restored could not be written, its disk is full"):
        admin.restore(copy, small_disk / "restored", verify=False)
    filler.unlink()
    assert admin.verify(folder)["ok"]
    Store(tmp_path / "elsewhere").close()
    fill(small_disk)
    with pytest.raises(admin.AdminError, match=r"backup could not be written, its disk is full"):
        admin.backup(tmp_path / "elsewhere", small_disk / "backup")
    assert {path.name for path in small_disk.iterdir()} == {"data", "filler"}


def test_a_migration_without_room_says_what_it_needs(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "umask", lambda _: 0)
    folder = small_disk / "data"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "server.sqlite")) as rows:
        for script in schema.MIGRATIONS[:4]:
            rows.executescript(script)
        rows.execute("PRAGMA user_version=4")
        rows.executemany(
            "INSERT INTO task(id, last_update, status, name) VALUES (?, ?, 'created', ?)",
            [(f"{number:032x}", number, "x" * 100) for number in range(15_000)],
        )
        rows.commit()
    needed = 1024 * 1024 + 2 * (folder / "server.sqlite").stat().st_size
    (small_disk / "filler").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 1_500_000))
    told = settings.read(folder, {"web_port": 0, "api_port": 0, "files_port": 0})
    with pytest.raises(admin.AdminError, match=rf"its disk is full .* a start needs {needed}\)"):
        admin.serve(told, lambda *_: None)
    (small_disk / "filler").unlink()
    Store(folder, serving=True).close()


def test_a_full_disk_refuses_clearly_and_loses_nothing(small_disk: Path) -> None:
    folder = small_disk / "data"
    with running_child(folder) as (child, client):
        client_log = child.log_path  # beside the folder, on the same disk: it may not grow either
        task = client.call("tasks.create", name="before", type="testing")["id"]
        assert client.upload("before.bin", b"x" * 100_000).status_code == 200
        filler = fill(small_disk)
        acknowledged = [task]
        refused = None
        for number in range(2000):
            # Space inside the log may be used again: it takes a while until nothing goes any more.
            answer = client.ask("tasks.create", name=f"full {number}", type="testing", comment="y" * 5000)
            if answer["meta"]["result_code"] != 200:
                refused = answer["meta"]
                break
            acknowledged.append(answer["data"]["id"])
        assert refused is not None
        assert (refused["result_code"], refused["result_subcode"]) == (507, 0)
        assert "space" in refused["result_msg"].lower()
        events = [
            {
                "type": "training_stats_scalar",
                "task": task,
                "metric": "m",
                "variant": "v",
                "iter": i,
                "value": i,
            }
            for i in range(20_000)
        ]
        assert client.send_events(events)["meta"]["result_code"] == 507
        uploaded = client.upload("full.bin", os.urandom(200_000))
        assert uploaded.status_code == 507
        assert "space" in uploaded.text.lower()
        # Reading goes on.
        for one in (acknowledged[0], acknowledged[-1]):
            assert client.call("tasks.get_by_id", task=one)["task"]["id"] == one
        assert len(client.call("tasks.get_all", only_fields=["name"])["tasks"]) == min(500, len(acknowledged))
        assert client.download("before.bin").content == b"x" * 100_000
        assert client.download("full.bin").status_code == 404
        # There is space again.
        filler.unlink()
        after = client.call("tasks.create", name="after", type="testing")["id"]
        assert client.send_events(events)["data"]["added"] == len(events)
        assert client.upload("after.bin", b"z" * 100_000).status_code == 200
        client.close()
        assert child.stop() == 0
        assert "Traceback" not in client_log.read_text()
    store = Store(folder)
    with store.reading() as tx:
        kept = {row[0] for row in tx.all("SELECT id FROM task")}
        assert kept == {*acknowledged, after}
        assert tx.value("SELECT count(*) FROM scalar") == len(events)
    found = verification.verify(store)
    assert (found["ok"], found["files"]) == (True, 2), found["problems"]
    assert list((folder / "files" / "incoming").iterdir()) == []
    store.close()
