"""Tasks that a real agent fails before their script: one sentence as their reason, and a record."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stackyard.clearml.client import Client
from stackyard.services.early import Early
from stackyard.services.watch import Worker
from stackyard_task.records import Failure, RunRecord, to_json
from tests.stackyard.services.conftest import Yard
from tests.waiting import until


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    return subprocess.run(
        ["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "train.py").write_text("print('worked')\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    return folder


def told(yard: Yard, script: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Reason and record of a task, once it has both."""
    shape = {"binary": "python3", "entry_point": "train.py", "working_dir": ".", "requirements": {}}
    id = str(yard.call("tasks.create", name="a task", type="training", script={**shape, **script})["id"])
    yard.call("tasks.enqueue", task=id, queue_name="cpu")

    def record() -> str | None:
        task = yard.task(id)
        held = {one["key"]: one for one in (task.get("execution") or {}).get("artifacts") or []}
        settled = task["status"] == "failed" and ": " in task["status_reason"]
        return held["stackyard-record"]["type_data"]["preview"] if settled and held else None

    found = json.loads(until(record, "reason and record", lambda: yard.task(id)))
    return yard.task(id)["status_reason"], found


@pytest.mark.whole
def test_what_an_agent_cannot_begin_has_a_sentence_and_a_record(standing: Yard, repository: Path) -> None:
    standing.up()
    here = {"repository": f"file://{repository}"}
    reason, record = told(standing, {**here, "version_num": "1" * 40})
    assert reason.startswith(f"bad_input: the repository file://{repository} has no commit 1111")
    assert record["status"] == "failed"
    assert f"bad_input: {record['failure']['message']}" == reason
    assert record["measurement"]["cpu_seconds"] is None
    assert record["measurement"]["wall_seconds"] is None

    broken = "diff --git a/train.py b/train.py\n--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-other\n+new\n"
    reason, record = told(
        standing, {**here, "version_num": git(repository, "rev-parse", "HEAD"), "diff": broken}
    )
    assert reason.startswith(
        "bad_input: the task's uncommitted changes cannot be applied to its commit (git: error"
    )
    assert record["failure"]["kind"] == "bad_input"

    reason, _ = told(standing, {**here, "branch": "master", "working_dir": "nowhere"})
    assert "working folder nowhere is not in its repository" in reason


@pytest.mark.whole
def test_a_task_that_its_own_code_failed_keeps_its_reason(standing: Yard) -> None:
    standing.up()
    reason, record = told(
        standing, {"diff": "print('fatal: reference is not a tree: 1')\nraise SystemExit(3)\n"}
    )
    assert (
        reason == "code: the command exited with status 3; its last words: fatal: reference is not a tree: 1"
    )
    assert record["failure"]["exit_code"] == 3
    word = "stackyard: this task failed: code: the command exited with status 3; its last words: fatal: "
    until(lambda: word in standing.console(record["run_id"]), "the console's last word")
    assert "Process completed successfully" not in standing.console(record["run_id"]).partition(word)[2]


@pytest.mark.whole
def test_a_task_that_kills_what_measures_it_is_told_so(standing: Yard) -> None:
    standing.up()
    reason, record = told(standing, {"diff": "import os\nos.kill(os.getppid(), 9)\n"})
    assert (
        reason == "interrupted: its supervisor was killed, and the task with it; run it again to complete it"
    )
    assert record["measurement"]["wall_seconds"] is None


class Said:
    """A server with one failed task."""

    def __init__(self, **fields: Any) -> None:
        self.entry = {
            "id": "t1",
            "name": "a task",
            "status": "failed",
            "status_reason": "failed cloning repository",
            "status_changed": "1970-01-01T00:16:40",
            "started": "1970-01-01T00:16:30",
            "last_worker": "here:cpu-0",
            "script": {"repository": "r"},
            **fields,
        }
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.console = ["Executing task id [t1]:", "fatal: 'r' does not appear to be a git repository"]

    def call(self, method: str, **fields: Any) -> dict[str, Any]:
        self.called.append((method, fields))
        if method == "events.get_task_log":
            lines = self.console
            said = [{"timestamp": n // 2, "msg": line} for n, line in enumerate(lines)]
            return {"events": said[::-1]}
        return {"tasks": [self.entry]}


def settled(
    said: Said, folder: Path, running: str | None = None, now: float = 1002.0
) -> list[dict[str, Any]]:
    client: Any = said
    early = Early(lambda: client, lambda job: job(), wall=lambda: now)
    early.look({"here:cpu-0": Worker(now, running)}, {"here:cpu-0": str(folder)})
    return [fields for method, fields in said.called if method == "tasks.failed"]


def test_the_agent_is_waited_for_until_it_is_through_with_the_task(tmp_path: Path) -> None:
    assert settled(Said(), tmp_path, running="t1") == []
    (fields,) = settled(Said(), tmp_path, running="t2")
    assert fields["status_message"] == "bad_input"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["t1-0.0"]
    assert len(settled(Said(), tmp_path, running="t1", now=1100.0)) == 1


def test_the_last_word_in_the_console_of_a_failed_task_is_not_that_all_went_well(tmp_path: Path) -> None:
    client: Any = Said(status_reason="bad_input: no such stack", status_message="bad_input")
    early = Early(lambda: client, lambda job: job(), wall=lambda: 1002.0)
    agents = {"here:cpu-0": str(tmp_path)}

    def spoken() -> list[str]:
        early.settle({}, agents)
        return [fields["msg"] for method, fields in client.called if method == "events.add"]

    assert spoken() == [], "its agent has not said it yet"
    client.console += ["stackyard: bad_input: no such stack", "Process completed successfully", ""]
    (line,) = spoken()
    assert line.startswith("stackyard: this task failed: bad_input: no such stack (what its agent says")
    assert len(spoken()) == 1, "it is said once"
    client.console.append(line)
    later = Early(lambda: client, lambda job: job(), wall=lambda: 1003.0)
    later.settle({}, agents)
    assert len(spoken()) == 1, "also by services that were started anew"
    assert client.entry["status_reason"] == "bad_input: no such stack"


@pytest.mark.parametrize(
    "fields",
    [
        {"last_worker": "elsewhere:cpu-0"},
        {"status_reason": "code: the command exited with status 3"},
        {"execution": {"artifacts": [{"key": "stackyard-record"}]}},
        {"execution": {"artifacts": [{"key": "record"}]}},
    ],
)
def test_other_machines_tasks_and_those_with_a_reason_or_a_record_are_left_alone(
    fields: dict[str, Any], tmp_path: Path
) -> None:
    assert settled(Said(**fields), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_came_after_the_agents_reason_gives_its_own(tmp_path: Path) -> None:
    record = RunRecord("t1", "w", "failed", "now", "now", failure=Failure("killed", "by somebody\nelse"))
    for preview, reasons in (
        (json.dumps(to_json(record)), ["killed: by somebody else"]),
        (json.dumps(to_json(record))[:100], []),
        ("[" * 100_000, []),
        ("null", []),
    ):
        held = {"key": "stackyard-record", "type_data": {"preview": preview}}
        found = settled(Said(execution={"artifacts": [held]}), tmp_path)
        assert [fields["status_reason"] for fields in found] == reasons
    assert list(tmp_path.iterdir()) == [], "there is a record already"


def test_no_agent_asks_nothing() -> None:
    asked: list[Client] = []
    Early(lambda: asked.pop(), lambda job: job()).look({}, {})
