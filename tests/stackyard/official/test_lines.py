"""A bundle is somebody's file: nothing outside of it is read, and every fault has its file, line and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stackyard.errors import BadInputError
from stackyard.official import importing, lines
from stackyard.official.bundle import Bundle, digest

ID = "a" * 32
DEEP: Any = "x"
for _ in range(101):
    DEEP = [DEEP]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle with one of each, and a secret beside it."""
    bundle = Bundle.new(tmp_path / "bundle")
    for kind in ("users", "projects", "queues", "models"):
        bundle.write(kind, [])
    bundle.write("tasks", [{"id": ID, "name": "one"}])
    bundle.write_events(ID, [{"task": ID, "type": "log", "msg": "hello"}])
    (bundle.folder / "files" / "000000").write_bytes(b"content")
    entry = {
        "path": "a/b.txt",
        "name": "000000",
        "bytes": 7,
        "sha256": digest(bundle.folder / "files" / "000000"),
    }
    bundle.write_files([entry])
    bundle.finish({})
    (tmp_path / "secret.jsonl").write_text(json.dumps({"task": ID, "type": "log", "msg": "secret"}) + "\n")
    return bundle.folder


def write(path: Path, *values: Any) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


def take_in(folder: Path) -> list[dict[str, Any]]:
    documents, files = importing.documents_for(folder, "http://files")
    assert [path for path, _ in files] == ["a/b.txt"]
    return list(documents["events"])


def test_a_sound_bundle_is_read(folder: Path) -> None:
    assert [event["msg"] for event in take_in(folder)] == ["hello"]


@pytest.mark.parametrize(
    "id", ["{}/secret", "../../secret", "..", "", "a.b", ID + "\n", "a" * 65, None, 5, ["x"]]
)
@pytest.mark.parametrize("kind", ["tasks", "models", "projects", "queues", "users"])
def test_an_id_never_leads_out_of_the_bundle(folder: Path, kind: str, id: Any) -> None:
    if isinstance(id, str):
        id = id.format(folder.parent)
    write(folder / f"{kind}.jsonl", {"id": "b" * 32, "name": "sound"}, {"id": id, "name": "one"})
    with pytest.raises(BadInputError, match=rf"{kind}\.jsonl: line 2: id is .*; expected 1 to 64 letters"):
        take_in(folder)
    if isinstance(id, str):
        with pytest.raises(BadInputError, match="names no file of events"):
            list(Bundle.read(folder).events(id))


@pytest.mark.parametrize(
    "name", ["tasks.jsonl", "files.jsonl", f"events/{ID}.jsonl", "files/000000", "events", "files"]
)
def test_a_link_out_of_the_bundle_is_not_followed(folder: Path, name: str) -> None:
    path = folder / name
    moved = path.rename(folder.parent / "moved")
    path.symlink_to(moved)
    with pytest.raises(BadInputError, match=r"no regular file|is a link|is missing or not what it was"):
        take_in(folder)


def test_a_receipt_that_is_a_link_is_not_written_to(folder: Path) -> None:
    (folder / "imported-http-a.jsonl").symlink_to(folder.parent / "secret.jsonl")
    with pytest.raises(BadInputError, match="is a link"):
        importing.Receipt(Bundle.read(folder), "http://a")


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({}, "name"),
        ({"name": 1}, "name"),
        ({"name": "../../secret.jsonl"}, "name"),
        ({"name": "\u0661"}, "name"),
        ({"name": "0\n"}, "name"),
        ({"name": "0", "sha256": "x"}, "sha256"),
        ({"name": "0", "sha256": "0" * 64, "path": 5}, "path"),
        ({"name": "0", "sha256": "0" * 64}, "path"),
    ],
    ids=str,
)
def test_a_row_of_a_file_has_its_fields(folder: Path, row: dict[str, Any], field: str) -> None:
    write(folder / "files.jsonl", row)
    with pytest.raises(BadInputError, match=rf"files\.jsonl: line 1: {field} is"):
        take_in(folder)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"comment": "\ud800"}, "comment holds"),
        ({"runtime": {"\ud800": 1}}, "runtime holds"),
        ({"runtime": {"x": DEEP}}, "runtime is nested deeper than 100"),
        ({"active_duration": 2**70}, "active_duration holds a whole number of more than 64 bits"),
        ({"name": ""}, "name is missing"),
        ({"name": 5}, "name is 5"),
        ({"models": {"input": [1]}}, r"models\.input is 1"),
        ({"models": {"input": [None]}}, r"models\.input is 'null'"),
        ({"models": [1]}, r"models is \[1\]"),
        ({"models": {"output": [{"model": [1]}]}}, r"models\.output is \[1\]"),
        ({"execution": [1]}, r"execution is \[1\]"),
        ({"execution": {"artifacts": "x"}}, r"execution\.artifacts is 'x'"),
        ({"runtime": [1]}, r"runtime is \[1\]"),
        ({"parent": {"id": []}}, r"parent is \[\]"),
        ({"tags": [1]}, "tags is 1"),
        ({"output": "x"}, "output is 'x'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_broken_task_is_told_by_file_line_and_field(
    folder: Path, broken: dict[str, Any], said: str
) -> None:
    write(folder / "tasks.jsonl", {"id": "b" * 32, "name": "sound"}, {"id": ID, "name": "one", **broken})
    with pytest.raises(BadInputError, match=rf"tasks\.jsonl: line 2: {said}"):
        take_in(folder)


def test_an_event_is_of_the_task_that_its_file_is_named_after(folder: Path) -> None:
    write(folder / "events" / f"{ID}.jsonl", {"task": ID}, {"task": ["x"]})
    with pytest.raises(BadInputError, match=rf"{ID}\.jsonl: line 2: task is \['x'\]"):
        take_in(folder)


def test_a_line_without_end_is_not_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_BYTES", 100)
    write(folder / "tasks.jsonl", {"id": ID, "name": "x" * 200})
    with pytest.raises(BadInputError, match=r"tasks\.jsonl: line 1 has more than 100 bytes"):
        take_in(folder)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"a": ' + "9" * 5000 + "}", "(a number has too many digits)"),
        ("[" * 100_000, "(nested too deeply)"),
    ],
    ids=["digits", "depth"],
)
def test_what_python_does_not_read_is_said_in_our_words(folder: Path, line: str, why: str) -> None:
    (folder / "tasks.jsonl").write_text(line + "\n")
    with pytest.raises(BadInputError) as refusal:
        take_in(folder)
    assert str(refusal.value).endswith(f"tasks.jsonl: line 1 cannot be read as JSON lines {why}")
