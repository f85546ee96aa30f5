"""Emptying a folder, whatever lies in it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from stackyard_task import emptying
from tests.counts import LONG

#: Longer than a path may be, and deeper than Python calls itself.
LEVELS = 10_000 if LONG else 1_300


def deep(top: Path, levels: int, name: str = "ddd") -> None:
    """A folder in a folder, so many times: longer than any path may be."""
    place = os.open(str(top), os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=place)
        inner = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(os.open("bottom", os.O_WRONLY | os.O_CREAT, dir_fd=place))
    os.close(place)


def test_all_goes_and_nothing_that_links_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "mine").write_text("")
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "file").write_text("")
    (top / "link").symlink_to(beside)
    (top / "a" / "link").symlink_to(beside / "mine")
    os.mkfifo(str(top / "pipe"))
    monkeypatch.chdir(top)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
    (top / "closed" / "in").mkdir(parents=True)
    (top / "closed" / "in").chmod(0)
    (top / "closed").chmod(0)
    for name in (b"\xff\xfe", b"a\nb", b"-rf", b"x" * 255):
        os.mkdir(os.path.join(os.fsencode(top), name))
    emptying.emptied(top)
    assert os.listdir(top) == []
    assert (beside / "mine").exists()


def test_folders_deeper_than_any_path(tmp_path: Path) -> None:
    deep(tmp_path, LEVELS)
    deep(tmp_path, 50, "n" * 255)
    emptying.emptied(tmp_path)
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_removed_is_counted_and_the_rest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("kept", "in/kept", "in/deep/kept", "a", "in/b", "in/deep/c"):
        (tmp_path / name).write_text("")
    remove = os.unlink

    def refusing(name: bytes, **named: int) -> None:
        if name == b"kept":
            raise PermissionError(1, "Operation not permitted")
        remove(name, **named)

    monkeypatch.setattr(emptying.os, "unlink", refusing)
    top = os.open(str(tmp_path), os.O_RDONLY)
    try:
        removed, stuck = emptying.removed_below(top)
    finally:
        os.close(top)
        monkeypatch.undo()
    assert removed == 3
    assert stuck == 3
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["kept"] * 3


def test_many_names_are_taken_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emptying, "MOST_NAMES", 3)
    for folder in ("", "one", "two/in"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for number in range(10):
            (tmp_path / folder / f"{number}").write_text("")
    emptying.emptied(tmp_path)
    assert os.listdir(tmp_path) == []


def test_what_is_no_folder_is_left(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("")
    (tmp_path / "link").symlink_to("real")
    for name in ("link", "real/file", "gone"):
        emptying.emptied(tmp_path / name)
    assert (tmp_path / "real" / "file").exists()
