"""Tasks that a real agent fails before their script: one sentence as their reason, and a record."""

from __future__ import annotations

import datetime
import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stackyard.clearml.client import Client, ServerError
from stackyard.services.early import MOST_AT_ONCE, Early
from stackyard.services.recent import MOST_PAGES
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


@pytest.mark.whole
def test_a_task_that_is_aborted_when_it_was_just_pulled_has_a_record_too(standing: Yard) -> None:
    standing.up()
    id = standing.submit("import time\nprint('began', flush=True)\ntime.sleep(600)\n")
    until(lambda: standing.task(id)["status"] == "in_progress", "its agent to pull it")
    standing.call("tasks.stop", task=id, status_reason="enough")
    assert standing.waits(id) == "stopped"

    def preview() -> str | None:
        held = (standing.task(id).get("execution") or {}).get("artifacts") or []
        return next(
            (str(one["type_data"]["preview"]) for one in held if one["key"] == "stackyard-record"), None
        )

    record = json.loads(until(preview, "its record", lambda: standing.console(id)))
    assert (record["status"], record["failure"]["kind"]) == ("failed", "interrupted")
    assert "the task was aborted" in record["failure"]["message"]
    assert standing.task(id)["status_reason"] == "task was stopped by tasks.stop"
    assert standing.task(id)["status"] == "stopped"


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


@pytest.mark.parametrize(
    "agents", ["Process completed successfully", "Process aborted by user - Task status was Failed"]
)
def test_the_last_word_in_the_console_of_a_failed_task_is_why_it_failed(tmp_path: Path, agents: str) -> None:
    client: Any = Said(status_reason="bad_input: no such stack", status_message="bad_input")
    early = Early(lambda: client, lambda job: job(), wall=lambda: 1002.0)  # it has just ended
    folders = {"here:cpu-0": str(tmp_path)}

    def spoken() -> list[str]:
        early.settle({}, folders)
        return [fields["msg"] for method, fields in client.called if method == "events.add"]

    assert spoken() == [], "its agent has not said it yet"
    client.console += ["stackyard: bad_input: no such stack", agents, ""]
    (line,) = spoken()
    assert line.startswith("stackyard: this task failed: bad_input: no such stack (what its agent says")
    assert len(spoken()) == 1, "it is said once"
    client.console.append(line)
    later = Early(lambda: client, lambda job: job(), wall=lambda: 1003.0)
    later.settle({}, folders)
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


def aborted(said: Said, folder: Path, now: float, worker: Worker | None, on_host: bool = True) -> list[str]:
    """Why an aborted task has its record laid; empty: none is laid."""
    client: Any = said
    early = Early(lambda: client, lambda job: job(), wall=lambda: now)
    where = {"here:cpu-0": str(folder)}
    early.look({} if worker is None else {"here:cpu-0": worker}, where, where if on_host else ())
    assert all(method in ("tasks.get_all", "events.get_task_log") for method, _ in said.called)
    laid = (folder / "runs").glob("*-0.0/record.json")
    return [json.loads(record.read_text())["failure"]["message"] for record in laid]


NOT_BEGUN = ["the task was aborted before its script began"]
STOPPED = {"status": "stopped", "status_reason": "task was stopped by tasks.stop"}
IDLE = Worker(1001.0, None)


def test_an_aborted_task_that_nobody_measured_gets_a_record_once_its_agent_is_through(tmp_path: Path) -> None:
    for worker in (Worker(1001.0, "t1"), Worker(999.0, None)):
        assert aborted(Said(**STOPPED), tmp_path, 1002.0, worker) == []
        assert aborted(Said(**STOPPED), tmp_path / str(worker.task), 1061.0, worker) == NOT_BEGUN
    assert aborted(Said(**STOPPED), tmp_path, 1002.0, IDLE) == NOT_BEGUN
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["t1-0.0"]


def test_no_record_is_laid_beside_one_that_is_there_or_handed_in(tmp_path: Path) -> None:
    for fields in (
        {"execution": {"artifacts": [{"key": "stackyard-record"}]}},
        {"execution": {"artifacts": [{"key": "record"}]}},
        {"started": None},
        {"last_worker": "elsewhere:cpu-0"},
        {"id": "../t1"},
    ):
        assert aborted(Said(**{**STOPPED, **fields}), tmp_path, 1300.0, IDLE) == []
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "runs" / "t1-77.12345").mkdir(parents=True)
    assert aborted(Said(**STOPPED), tmp_path, 1300.0, IDLE) == []
    (tmp_path / "runs" / "t1-77.12345").rename(tmp_path / "runs" / "t2-77.12345")
    assert aborted(Said(**STOPPED), tmp_path, 1300.0, IDLE) == NOT_BEGUN


def test_a_record_may_still_come_out_of_a_container_for_a_while(tmp_path: Path) -> None:
    said = Said(**STOPPED)
    said.console = ["Executing task id [t1]:", "Starting Task Execution:", "", "step 1"]
    assert aborted(said, tmp_path, 1080.0, IDLE, on_host=False) == []
    (sentence,) = aborted(said, tmp_path, 1090.0, IDLE, on_host=False)
    assert sentence == "the task was aborted, and what measured it ended before it could leave a record"


@pytest.mark.parametrize(
    ("fields", "line"),
    [({}, "stackyard: not measured: no server"), ({"script": {"entry_point": "dispatched.py"}}, "")],
)
def test_what_ran_without_our_measuring_gets_no_record_of_ours(
    tmp_path: Path, fields: dict[str, Any], line: str
) -> None:
    said = Said(**{**STOPPED, **fields})
    said.console = ["Executing task id [t1]:", "Starting Task Execution:", "", line]
    assert aborted(said, tmp_path, 1300.0, IDLE) == []


def test_a_task_that_was_started_anew_meanwhile_gets_no_record(tmp_path: Path) -> None:
    class Moving(Said):
        def call(self, method: str, **fields: Any) -> dict[str, Any]:
            if method == "events.get_task_log":
                self.entry = {**self.entry, "started": "1970-01-01T00:16:41"}
            return super().call(method, **fields)

    assert aborted(Moving(**STOPPED), tmp_path, 1002.0, IDLE) == []


class Many(Said):
    """A server with many tasks of one worker, that answers as it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, dict[str, Any]] = {}
        #: Ids of those that it does not let fail.
        self.refused: set[str] = set()

    def fails(self, id: str, at: float, **fields: Any) -> None:
        changed = datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat().replace("+00:00", "")
        said = {"status_reason": "worker execution exit code 1", "status_changed": changed}
        self.tasks[id] = {**self.entry, **said, "id": id, **fields}

    def call(self, method: str, **fields: Any) -> dict[str, Any]:
        self.called.append((method, fields))
        if method == "events.get_task_log":
            begun = [] if fields["task"].startswith("early") else ["Starting Task Execution:", ""]
            lines = ["Executing task id [x]:", *begun, "clearml_agent: ERROR: no"]
            return {"events": [{"timestamp": n // 9, "msg": line} for n, line in enumerate(lines)][::-1]}
        if method == "tasks.failed":
            if fields["task"] in self.refused:
                raise ServerError("not this one", 400)
            self.tasks[fields["task"]]["status_reason"] = fields["status_reason"]
        if "id" in fields:
            return {"tasks": [self.tasks[id] for id in fields["id"] if id in self.tasks]}
        if method != "tasks.get_all":
            return {}
        assert fields["order_by"] == ["-status_changed"]
        since = fields["status_changed"][0].removeprefix(">=")
        found = [one for one in self.tasks.values() if one["status_changed"] >= since][::-1]
        start = fields["page"] * fields["page_size"]
        return {"tasks": found[start : start + fields["page_size"]]}


@dataclass
class Looks:
    """Looks of an ``Early``, two seconds apart."""

    folder: Path
    said: Many = field(default_factory=Many)
    now: float = 2_000_000.0

    def __post_init__(self) -> None:
        client: Any = self.said
        self.early = Early(lambda: client, lambda job: job(), clock=lambda: self.now, wall=lambda: self.now)

    def look(self, times: int = 1) -> int:
        """The most calls of one look."""
        most = 0
        for _ in range(times):
            self.now += 2.0
            before = len(self.said.called)
            with suppress(ServerError):
                self.early.settle({}, {"here:cpu-0": str(self.folder)})
            most = max(most, len(self.said.called) - before)
        return most

    def told(self) -> int:
        """How many tasks have a sentence."""
        return sum(": " in one["status_reason"] for one in self.said.tasks.values())


#: Pages of tasks, the documents of those that are looked at, and of each the console, its status now, and its failure.
MOST_CALLS = MOST_PAGES + 1 + MOST_AT_ONCE * 3


def test_whoever_fails_after_many_others_is_told_soon_too(tmp_path: Path) -> None:
    looks = Looks(tmp_path)
    for n in range(300):
        looks.said.fails(f"late-{n}", looks.now)  # their script began: there is nothing better to say
    assert looks.look(5) <= MOST_CALLS
    looks.said.fails("early-last", looks.now)
    looks.look(15)
    assert looks.told() == 1, "in half a minute, and not after a quarter of an hour"


def test_at_a_steady_rate_none_is_left_out_and_a_look_has_its_bound(tmp_path: Path) -> None:
    looks = Looks(tmp_path)
    record = RunRecord("t", "w", "failed", "now", "now", failure=Failure("killed", "by somebody"))
    held = {"key": "stackyard-record", "type_data": {"preview": json.dumps(to_json(record))}}
    for n in range(240):  # for eight minutes, and more tasks than the pages reach
        for m in range(9):
            looks.said.fails(f"early-{n}-{m}", looks.now, execution={"artifacts": [held]})
        assert looks.look() <= MOST_CALLS
        assert looks.told() >= 9 * n, "nobody waits for longer than a look or two"


def test_a_task_that_the_server_refuses_keeps_no_others_waiting(tmp_path: Path) -> None:
    looks = Looks(tmp_path)
    looks.said.refused = {f"early-{n}" for n in range(10)}
    for n in range(30):
        looks.said.fails(f"early-{n}", looks.now)
    looks.look(40)
    assert looks.told() == 20


def test_no_agent_asks_nothing() -> None:
    asked: list[Client] = []
    Early(lambda: asked.pop(), lambda job: job()).look({}, {})
