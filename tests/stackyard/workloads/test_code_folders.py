"""Where a command's names lie, and what of its folder travels."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.workloads import code_folders
from stackyard_task.commands import Command
from stackyard_task.records import Code
from stackyard_task.workloads import Workload


def test_what_a_command_reads_does_not_travel_twice(tmp_path: Path) -> None:
    for name in ("train.py", "workloads.toml", "big/data.bin", "runs/record.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    command = Command(("python", "train.py"), code=".")
    inputs = {"data": "big", "made": "step:make/big", "set": "dataset:a/b"}
    found = code_folders.looked_at(command, tmp_path, inputs, "w", leave_out=[tmp_path / "runs"])
    assert found is not None
    assert list(found.files) == ["train.py"]
    code = code_folders.code_with(Code(digest="harness"), found)
    assert (code.digest, code.own_digest) == ("harness", found.digest)
    assert code_folders.looked_at(Command(("ls",)), tmp_path, {}, "w") is None
    with pytest.raises(BadInputError, match=r"steps.a.code is 'gone': there is no folder"):
        code_folders.looked_at(Command(("ls",), code="gone"), tmp_path, {}, "steps.a")


def test_names_are_seen_from_the_file_and_absolute_where_that_is_elsewhere() -> None:
    command = Command(("ls",), code=".", requirements="r.txt", inputs={"a": "x", "b": "clearml-dataset:p/d"})
    placed = code_folders.absolute(Workload("w", "", "", command=command), Path("/pack")).command
    assert placed is not None
    assert (placed.code, placed.requirements) == ("/pack", "/pack/r.txt")
    assert placed.inputs == {"a": "/pack/x", "b": "clearml-dataset:p/d"}
    function = Workload("w", "a:b", "")
    assert code_folders.absolute(function, Path("/pack")) is function


def test_a_command_that_works_in_place_cannot_go_elsewhere(tmp_path: Path) -> None:
    here = Command(("ls",), folder=".")
    assert "name the folder as code" in (code_folders.why_not_elsewhere(here) or "")
    assert code_folders.why_not_elsewhere(Command(("ls",), code=".")) is None
    found = code_folders.in_place(Workload("w", "", "", command=here), tmp_path).command
    assert found is not None
    assert found.folder == str(tmp_path.resolve())
    assert "there is no folder" in (code_folders.why_not(Command(("ls",), folder="gone"), tmp_path) or "")
    assert "there is no file" in (code_folders.why_not(Command(("ls",), requirements="r"), tmp_path) or "")


def test_a_folder_whose_name_begins_as_a_reference_does_is_a_path() -> None:
    paths = ["data", "clearml-logs", "clearml-logs/a:b", "models:x", "./data:x"]
    references = ["data:x", "step:a/b", "clearml-dataset:p/d"]
    assert [text for text in paths + references if code_folders.is_path(text)] == paths
