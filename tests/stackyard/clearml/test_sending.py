"""What travels with a task: named by its content, sent once, whole."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from stackyard.clearml import sending
from stackyard.clearml.client import Client
from stackyard.clearml.sending import Filing, Repository, Sender
from stackyard.errors import BadInputError
from stackyard.workloads import wheel
from stackyard_task.records import TaskSpec


def test_files_and_folders_become_references(sender: Sender, client: Client, tmp_path: Path) -> None:
    model = tmp_path / "a model"
    (model / "deep").mkdir(parents=True)
    (model / "deep" / "größe.bin").write_bytes(b"weights")
    data = tmp_path / "some data.csv"
    data.write_text("a,b\n")
    sent = sender.sent({"data": {"sources": [str(data)]}, "model": str(model), "word": "/no/such", "n": 3})
    scheme, digest, url = sent["data"]["sources"][0].split(":", 2)
    assert (scheme, digest) == ("clearml-file", hashlib.sha256(b"a,b\n").hexdigest())
    assert url.endswith("/some_data.csv")
    assert (sent["word"], sent["n"]) == ("/no/such", 3)
    scheme, _, url = sent["model"].split(":", 2)
    assert scheme == "clearml-folder"
    client.download(url, tmp_path / "list.json")
    listed = json.loads((tmp_path / "list.json").read_text())["files"]
    assert [item["path"] for item in listed] == ["deep/größe.bin"]
    client.download(listed[0]["url"], tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"weights"
    assert sender.sent(str(model)) == sent["model"]  # the same content has the same name


def test_a_changed_file_is_sent_again(sender: Sender, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("one")
    first = sender.sent(str(path))
    path.write_text("other")
    assert sender.sent(str(path)) != first


def test_a_folder_of_very_many_files_is_no_parameter(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MOST_FILES", 3)
    for number in range(4):
        (tmp_path / str(number)).write_text("x")
    with pytest.raises(BadInputError, match=r"more than 3 files.*data set"):
        sender.sent(str(tmp_path))


def test_the_wheel_is_the_same_for_the_same_code_and_never_a_stacks(contract_code: Path) -> None:
    first = wheel.built(contract_code)
    assert wheel.built(contract_code) == first
    assert first.sha256 == hashlib.sha256(first.content).hexdigest()


def test_two_that_make_the_same_project_at_once_have_one(
    sender: Sender, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the threads of trials that begin side by side do, and as two tuners may."""
    first = sender.project("made/at-once")
    other = Sender(client)
    looked = iter([None])
    real = other._project
    monkeypatch.setattr(other, "_project", lambda name: next(looked, real(name)))
    assert other.project("made/at-once") == first


def test_tasks_lie_where_their_sender_files_them(client: Client, sender: Sender) -> None:
    spec = TaskSpec("study/t0001", "w.py:main")
    parent = sender.create(spec, {}, "the study")
    filed = Sender(client, Filing("made/filed", ("trial",), parent))
    task = client.call("tasks.get_by_id", task=filed.create(spec, {}, "study/t0001"))["task"]
    assert (task["project"], task["parent"]) == (filed.project("made/filed"), parent)
    assert task["tags"] == ["trial"]
    assert client.call("tasks.get_by_id", task=parent)["task"]["tags"] == []


def test_a_repository_leaves_the_script_to_the_clone(sender: Sender) -> None:
    script = sender.script_in(Repository("file:///srv/code.git", "c0ffee", "main"))
    assert (script["repository"], script["version_num"], script["branch"]) == (
        "file:///srv/code.git",
        "c0ffee",
        "main",
    )
    assert (script["entry_point"], script["working_dir"], script["diff"]) == ("tasks/dispatched.py", ".", "")
