"""Which file a source means, and what is never read."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stackyard_task.metrics import files, read
from stackyard_task.metrics.figure import Nothing
from stackyard_task.metrics.files import find, walk
from tests.stackyard_task.metrics.running import places


def test_the_outputs_come_before_the_working_folder(tmp_path: Path) -> None:
    where = places(tmp_path)
    (where.working / "m.json").write_text('{"a": "working"}')
    assert read({"a": "json:m.json#a"}, where).values == {"a": "working"}
    (where.outputs / "m.json").write_text('{"a": "outputs"}')
    assert read({"a": "json:m.json#a"}, where).values == {"a": "outputs"}


def test_what_an_earlier_run_left_is_not_this_runs(tmp_path: Path) -> None:
    where = places(tmp_path, since=time.time())
    old = where.working / "m.json"
    old.write_text('{"a": 1}')
    os.utime(old, (time.time() - 60, time.time() - 60))
    found = read({"a": "json:m.json#a", "b": "json:none.json#a"}, where)
    assert found.values == {}
    assert found.notes == [
        "metric 'a': m.json is older than the run, which did not write it",
        "metric 'b': there is no file none.json in the outputs or the working folder",
    ]
    old.write_text('{"a": 2}')
    assert read({"a": "json:m.json#a"}, where).values == {"a": 2}


def test_a_file_of_that_name_that_lies_deeper_is_named(tmp_path: Path) -> None:
    where = places(tmp_path, since=time.time())
    for place in ("old/m.json", "out/m.json"):
        (where.working / place).parent.mkdir()
        (where.working / place).write_text('{"a": 1}')
    os.utime(where.working / "old/m.json", (1000, 1000))
    for name in ("m.json", "results/m.json", "m.j*"):
        with pytest.raises(Nothing) as nothing:
            find(name, where)
        said, _, hint = str(nothing.value).partition("; ")
        assert said == f"there is no file {name} in the outputs or the working folder"
        assert hint == "out/m.json is there, in the working folder"
    assert find("out/m.json", where) == where.working / "out/m.json"


def test_wildcards_mean_the_file_that_was_written_last(tmp_path: Path) -> None:
    where = places(tmp_path)
    for number, name in enumerate(["x/1/m.json", "x/2/deep/m.json", "m.json"]):
        path = where.working / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"a": {number}}}')
        os.utime(path, (1000 - number, 1000 - number))
    assert find("**/m.json", where) == where.working / "x" / "1" / "m.json"
    assert find("x/*/deep/?.json", where) == where.working / "x" / "2" / "deep" / "m.json"
    assert find("*.json", where) == where.working / "m.json"


def test_a_fifo_a_folder_and_a_broken_link_are_no_files(tmp_path: Path) -> None:
    where = places(tmp_path)
    os.mkfifo(str(where.outputs / "fifo.json"))
    (where.outputs / "folder.json").mkdir()
    (where.outputs / "link.json").symlink_to("nowhere")
    found = read({name: f"json:{name}.json#a" for name in ("fifo", "folder", "link")}, where)
    assert found.values == {}
    assert len(found.notes) == 3
    assert all("there is no file" in note for note in found.notes)


def test_a_file_that_is_too_long_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FILE_BYTES", 1 << 20)
    where = places(tmp_path)
    (where.outputs / "m.json").write_text('"' + "x" * (1 << 20) + '"')
    assert read({"a": "json:m.json#a"}, where).notes == ["metric 'a': m.json is longer than 1 MiB"]


def test_the_walk_is_bounded_and_enters_no_other_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs" / "other" / "outputs").mkdir(parents=True)
    (tmp_path / "runs" / "other" / "task.json").write_text("{}")
    (tmp_path / "runs" / "other" / "outputs" / "m.json").write_text("{}")
    (tmp_path / "runs" / "mine.json").write_text("{}")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "m.json").write_text("{}")
    (tmp_path / "round").symlink_to(tmp_path)
    assert list(walk(tmp_path)) == [tmp_path / "runs" / "mine.json"]
    for number in range(50):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "m.json").write_text("{}")
    monkeypatch.setattr(files, "ENTRIES_SEEN", 60)
    assert len(list(walk(tmp_path))) < 15
