"""How a task's code gets to an agent: a wheel named by its digest, or a clone of a repository."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest

from stackyard import workloads
from stackyard.clearml.sending import CODE_FOLDER, Repository, Sender
from stackyard.launch import Place
from stackyard.launch.agent import AgentLauncher
from stackyard.launch.contract import Ground, record_in
from stackyard.settings import base
from stackyard.workloads import wheel
from stackyard_task.records import TaskSpec
from tests.stackyard.launch.conftest import ENGINE, WHOLE, AgentGround
from tests.stackyard_detector.declared import WORKLOADS


def test_code_that_was_changed_on_the_file_server_does_not_run(on_agent: AgentGround, tmp_path: Path) -> None:
    code = tmp_path / "code"
    shutil.copytree(on_agent.code, code)
    (code / "stackyard_task" / "mark.py").write_text("# new code, which no agent has fetched yet\n")
    built = wheel.built(code)
    client = on_agent.client
    other = tmp_path / "other.whl"
    other.write_bytes(wheel.built(on_agent.code).content)
    client.upload(other, f"{CODE_FOLDER}/{built.sha256}/{built.name}")
    folder = tmp_path / "run"
    folder.mkdir()
    launcher = AgentLauncher(Sender(client), "cpu")
    run = launcher.start(
        on_agent.task("fail", parameters={"how": "raise"}), Place(folder, Path("python"), code)
    )
    on_agent.runs.append(run)
    assert on_agent.ended(run) == 1
    failure = record_in(folder).failure
    assert failure is not None
    assert failure.kind == "infrastructure"
    assert built.sha256 in failure.message, failure
    assert "but the task was sent with" in failure.message


@pytest.mark.parametrize(
    "ground", ["bare", pytest.param("agent", marks=[*WHOLE.marks, pytest.mark.long]), ENGINE], indirect=True
)
def test_the_example_of_a_function_of_ones_own_runs_on_every_deployment(
    ground: Ground, tmp_path: Path
) -> None:
    code_folder, code = workloads.load(base() / "examples" / "own-function").taken(tmp_path, ["work.py:main"])
    spec = TaskSpec(
        "own/b01", "work.py:main", {"throws": 1000, "rounds": 2}, stack=ground.task("x").stack, code=code
    )
    folder = tmp_path / "run"
    place = dataclasses.replace(ground.place(folder), code=code_folder)
    run = ground.launcher.start(spec, place)
    ground.runs.append(run)
    assert ground.ended(run) == 0, ground.seen()
    record = record_in(folder)
    assert record.results["throws"] == 2000
    assert record.environment.code_own_digest == code.own_digest
    assert (folder / "outputs" / "pi.json").exists()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A bare repository on this machine that holds what is needed of this one."""
    work, bare = tmp_path / "work", tmp_path / "remote.git"
    ignore = shutil.ignore_patterns("__pycache__")
    for package in ("stackyard_task", "stackyard_detector", "stackyard_tabular"):
        shutil.copytree(base() / "src" / package, work / "src" / package, ignore=ignore)
    (work / "tasks").mkdir()
    shutil.copy(base() / "tasks" / "dispatched.py", work / "tasks")

    def git(*words: str) -> str:
        named = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        done = subprocess.run(
            ["git", "-C", str(work), *named, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "all of it")
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True)
    return Repository(f"file://{bare}", git("rev-parse", "HEAD"), "main")


def test_a_clone_of_a_repository_runs_as_clearml_has_it(
    on_agent: AgentGround, repository: Repository, tmp_path: Path
) -> None:
    client = on_agent.client
    folder = tmp_path / "run"
    folder.mkdir()
    launcher = AgentLauncher(Sender(client), "cpu", repository=repository)
    simulate, stack = WORKLOADS["simulate-firewall"], on_agent.task("x").stack
    spec = TaskSpec("cloned", simulate.name, {"sessions": 20}, simulate, stack=stack)
    run = launcher.start(spec, Place(folder, Path("python"), on_agent.code))
    on_agent.runs.append(run)
    assert on_agent.ended(run) == 0, on_agent.log()
    seen = record_in(folder).environment
    assert (seen.code_version, seen.code_dirty, seen.code_wheel) == (repository.commit, False, None)
