"""What comes back from a server: archives that are safe, instants in order, reasons in words."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from stackyard.clearml import collecting
from stackyard.clearml.collecting import ArchiveError, complete, unpack
from stackyard_task.records import Dispatch, RunRecord, TaskSpec

T = "2026-11-22T10:00:{:02d}.000+00:00"


def archive(folder: Path, *names: str, mode: int = 0o100644, text: str = "x") -> Path:
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for name in names:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            packed.writestr(entry, text)
    return path


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "deep/../../outside", "a\\..\\outside"])
def test_a_name_that_leads_outside_unpacks_nothing(tmp_path: Path, name: str) -> None:
    target = tmp_path / "outputs"
    target.mkdir()
    with pytest.raises(ArchiveError, match="leads outside; nothing was unpacked"):
        unpack(archive(tmp_path, "good.txt", name), target)
    assert list(target.iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "outputs"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    with pytest.raises(ArchiveError, match="neither a file nor a folder"):
        unpack(archive(tmp_path, "link", mode=kind | 0o777, text="/etc/passwd"), tmp_path)


def test_what_is_no_archive_or_damaged_is_one_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no zip")
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpack(broken, tmp_path)
    good = archive(tmp_path, "file.txt", text="whole content")
    good.write_bytes(good.read_bytes().replace(b"whole", b"holes"))
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpack(good, tmp_path)


def test_outputs_that_leave_no_room_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "room_bytes", lambda folder: 3)
    target = tmp_path / "outputs"
    target.mkdir()
    with pytest.raises(ArchiveError, match="and 3 may be taken"):
        unpack(archive(tmp_path, "file.txt", text="four"), target)
    assert list(target.iterdir()) == []


def test_outputs_of_too_many_files_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MOST_FILES", 2)
    target = tmp_path / "outputs"
    target.mkdir()
    unpack(archive(tmp_path, "a", "b"), target)
    with pytest.raises(ArchiveError, match="are 3 files, more than the 2 that are unpacked"):
        unpack(archive(tmp_path, "c", "d", "e"), target)
    assert sorted(path.name for path in target.iterdir()) == ["a", "b"]


def test_files_and_folders_are_unpacked(tmp_path: Path) -> None:
    target = tmp_path / "outputs"
    target.mkdir()
    unpack(archive(tmp_path, "deep/er/file.txt", "file.txt"), target)
    assert (target / "deep" / "er" / "file.txt").read_text() == "x"


def completed(way: Dispatch, started: str | None, ended: str | None, enqueued: str | None) -> Dispatch:
    record = RunRecord("r", "w", "completed", T.format(5), T.format(6), dispatch=way)
    task = {"id": "t", "started": started, "completed": ended}
    found = complete(
        record, TaskSpec("r", "w", {"a": 1}), task, Dispatch(queue="cpu", enqueued_at=enqueued)
    ).dispatch
    assert record.parameters == {"a": 1}
    assert found is not None
    return found


def test_the_instants_of_one_clock_stay() -> None:
    way = completed(
        Dispatch(container_started_at=T.format(2), user_code_at=T.format(3), workload_started_at=T.format(4)),
        T.format(1),
        T.format(9),
        T.format(0),
    )
    instants = (
        way.enqueued_at,
        way.pulled_at,
        way.container_started_at,
        way.user_code_at,
        way.workload_started_at,
    )
    assert [*instants, way.finished_at] == [T.format(s) for s in (0, 1, 2, 3, 4, 9)]


@pytest.mark.parametrize("second", [0, 30])
def test_a_workers_clock_that_disagrees_is_not_measured(second: int) -> None:
    way = completed(Dispatch(user_code_at=T.format(second)), T.format(1), T.format(9), T.format(0))
    assert way.user_code_at is None
    assert (way.enqueued_at, way.pulled_at, way.finished_at) == (T.format(0), T.format(1), T.format(9))


def test_instants_the_server_does_not_know_are_not_made_up() -> None:
    way = completed(Dispatch(user_code_at="nonsense"), None, None, None)
    assert (way.enqueued_at, way.pulled_at, way.user_code_at, way.finished_at) == (None, None, None, None)


class Files:
    """A file server in a dictionary."""

    def __init__(self, held: dict[str, str]) -> None:
        self.held = held

    def download(self, url: str, target: Path) -> None:
        target.write_text(self.held[url])


def test_what_a_run_left_beside_its_record_is_brought(tmp_path: Path) -> None:
    held = {"timeline": "t", "series": "s", "output-log": "l"}
    task = {"execution": {"artifacts": [{"key": key, "uri": key} for key in held]}}
    client: Any = Files(held)
    assert collecting.collect(client, task, tmp_path) is None
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "timeline.json": "t",
        "series.json": "s",
        "output.log": "l",
    }
