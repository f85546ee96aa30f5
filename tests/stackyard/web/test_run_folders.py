"""Reports of this machine: found, the newest first, and nothing outside their folders opened, whatever is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackyard.web import run_folders
from stackyard.web.run_folders import RunFolders


def report(folder: Path, *files: str, at: float = 1_000.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in files or ("report.html", "report.json", "report.csv", "report.md"):
        (folder / name).write_text(f"{folder.name} {name}")
        os.utime(folder / name, (at, at))
    return folder


def names(folders: RunFolders) -> list[str]:
    return [each.name for each in folders.found().reports]


def test_reports_are_found_the_newest_first_with_what_lies_there(tmp_path: Path) -> None:
    report(tmp_path / "old", at=1_000)
    report(tmp_path / "deep" / "new", "report.md", "report.json", at=3_000)
    report(tmp_path / "middle", at=2_000)
    (tmp_path / "none").mkdir()
    (tmp_path / "middle" / "secret.txt").write_text("x")
    found = RunFolders([tmp_path, tmp_path / "not there"]).found()
    assert [each.name for each in found.reports] == ["deep/new", "middle", "old"]
    assert found.reports[0].files == ("report.json", "report.md")
    assert found.reports[0].when == "1 January 1970, 00:50 UTC"
    assert (found.more, found.cut_off) == (0, False)


def test_the_parts_of_a_run_folder_are_not_looked_through(tmp_path: Path) -> None:
    run = report(tmp_path / "run")
    report(run / "runs" / "b01-x" / "outputs")
    assert names(RunFolders([tmp_path])) == ["run"]


def test_a_folder_may_be_a_run_folder_itself(tmp_path: Path) -> None:
    folders = RunFolders([report(tmp_path / "run")])
    assert names(folders) == ["."]
    assert folders.files("0", ".") == ["report.html", "report.json", "report.csv", "report.md"]


def test_a_file_is_opened_whole(tmp_path: Path) -> None:
    report(tmp_path / "a" / "b")
    opened = RunFolders([tmp_path]).open("0", "a/b", "report.csv")
    assert opened is not None
    with opened[0]:
        assert opened[0].read() == b"b report.csv"
    assert opened[1] == 12


@pytest.mark.parametrize(
    ("place", "name", "file"),
    [
        ("0", "run", "secret.txt"),
        ("0", "../outside", "report.html"),
        ("0", "run/../../outside", "report.html"),
        ("0", "/etc", "report.html"),
        ("0", "..", "report.html"),
        ("0", "", "report.html"),
        ("0", "run/", "report.html"),
        ("0", "run/.", "report.html"),
        ("0", ".hidden", "report.html"),
        ("0", "run\0", "report.html"),
        ("0", "x" * 300, "report.html"),
        ("0", "a/b/c/d/e", "report.html"),
        ("0", "linked", "report.html"),
        ("0", "with-link", "report.html"),
        ("0", "with-pipe", "report.html"),
        ("0", "with-folder", "report.html"),
        ("1", "run", "report.html"),
        ("-1", "run", "report.html"),
        ("²", "run", "report.html"),
        ("0" * 400, "run", "report.html"),
    ],
)
def test_nothing_else_is(tmp_path: Path, place: str, name: str, file: str) -> None:
    shown = tmp_path / "shown"
    report(shown / "run")
    (shown / "run" / "secret.txt").write_text("secret")
    outside = report(tmp_path / "outside")
    report(shown / ".hidden")
    report(shown / "a" / "b" / "c" / "d" / "e")
    (shown / "linked").symlink_to(outside)
    (shown / "with-link").mkdir()
    (shown / "with-link" / "report.html").symlink_to(outside / "report.html")
    (shown / "with-pipe").mkdir()
    os.mkfifo(shown / "with-pipe" / "report.html")
    (shown / "with-folder" / "report.html").mkdir(parents=True)
    folders = RunFolders([shown])
    assert folders.open(place, name, file) is None
    assert names(folders) == ["run"]


def test_a_look_at_very_much_ends_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        report(tmp_path / f"run {number:02}", "report.md", at=number)
    monkeypatch.setattr(run_folders, "MOST_SHOWN", 5)
    found = RunFolders([tmp_path]).found()
    assert [each.name for each in found.reports] == [f"run {n:02}" for n in range(11, 6, -1)]
    assert found.more == 7
    monkeypatch.setattr(run_folders, "MOST_ENTRIES", 6)
    assert RunFolders([tmp_path]).found().cut_off


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    report(tmp_path / "a" / "b")
    folders = RunFolders([tmp_path])
    before = len(os.listdir("/proc/self/fd"))
    for name in ("a/b", "a/nothing", "nothing/b", "../x"):
        folders.files("0", name)
        opened = folders.open("0", name, "report.md")
        if opened:
            opened[0].close()
    folders.found()
    assert len(os.listdir("/proc/self/fd")) == before
