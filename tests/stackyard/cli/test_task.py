"""``stackyard task`` and ``stackyard data publish``: what a user types, sees and gets as exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackyard import stacks, workloads
from stackyard.clearml.tasks import templates
from stackyard.clearml.tasks.templates import Origin, Template
from stackyard_task.records import StackPin
from tests.installation.site import Site, site
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.whole

SLOW = """
import time


def main(parameters, channel, output_folder):
    print("it has begun", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("home")
    before = os.environ.get("STACKYARD_HOME")
    with site(home) as found:
        folder, code = workloads.load().taken(found.home)
        template = Template("simulate", workloads.load().declared["simulate-firewall"], {"sessions": 50})
        templates.publish(found.sender, [template], Origin(folder, code, StackPin("plain")))
        os.environ["STACKYARD_HOME"] = str(home)
        yield found
    if before is None:
        os.environ.pop("STACKYARD_HOME", None)
    else:
        os.environ["STACKYARD_HOME"] = before


def stackyard(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stackyard.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


def started(*arguments: str) -> subprocess.Popen[str]:
    # a suite run in the background of a shell has SIGINT ignored, and its children inherit that
    reset = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL)"
    quietly = f"{reset}; os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-u", "-m", "stackyard.cli.main", *arguments]
    return subprocess.Popen(
        [sys.executable, "-c", quietly, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def read_until(process: subprocess.Popen[str], mark: str) -> str:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if mark in line:
            return seen
    pytest.fail(f"{mark!r} never came: {seen} {process.stderr.read() if process.stderr else ''}")


def test_submit_and_wait_shows_what_happens_and_what_it_came_to(here: Site) -> None:
    done = stackyard("task", "submit", "simulate", "--set", "sessions=40", "--name", "forty", "--wait")
    assert done.returncode == 0, done.stderr
    assert "submitted forty as " in done.stdout
    assert "-- running on here:cpu-0" in done.stdout
    assert "-- completed" in done.stdout
    assert "figures  wall " in done.stdout
    assert "artifact record" in done.stdout
    shown = stackyard("task", "show", "forty", "--json")
    outcome = json.loads(shown.stdout)
    assert outcome["record"]["parameters"]["sessions"] == 40
    assert outcome["record"]["dispatch"]["user_code_at"]
    listed = json.loads(stackyard("task", "list", "--status", "completed", "--json").stdout)
    (created,) = {task["created"] for task in listed["tasks"] if task["name"] == "forty"}
    assert created.endswith("+00:00")
    head, *rows = stackyard("task", "list").stdout.splitlines()
    (row,) = (row for row in rows if "  forty " in row)
    # the instant stands below the name of its zone
    assert row[head.index("created (UTC)") :].startswith(created[:19].replace("T", " "))


def test_a_refusal_is_one_sentence_and_exit_status_2(here: Site) -> None:
    done = stackyard("task", "submit", "simulate", "--set", "seed=x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "stackyard: Simulation/seed is 'x', expected a whole number\n"


def test_a_failed_task_is_exit_status_4_with_its_reason(here: Site) -> None:
    done = stackyard("task", "submit", "simulate", "--set", "test_share=1", "--wait", "--json")
    assert done.returncode == 4
    assert json.loads(done.stdout)["status"] == "failed"
    assert "failed: bad_input: " in done.stderr


def test_ctrl_c_leaves_the_task_running_and_says_how_to_come_back(here: Site, tmp_path: Path) -> None:
    if stacks.DEFAULT not in here.stacks:
        pytest.skip("the default stack is not built: stackyard stack build")
    (tmp_path / "slow.py").write_text(SLOW)
    waiting = started("task", "submit", f"{tmp_path}/slow.py:main", "--set", "x=1", "--wait")
    seen = read_until(waiting, "it has begun")
    id = seen.split(" as ")[1].split()[0]
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=PATIENCE_SECONDS)
    assert waiting.returncode == 130
    assert f"task {id} goes on; come back with: stackyard task follow {id}" in said
    assert here.task(id)["status"] == "in_progress"

    again = started("task", "follow", id, "--abort-on-interrupt")
    read_until(again, "it has begun")
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=PATIENCE_SECONDS)
    assert again.returncode == 130
    assert here.ended(id)["status"] == "stopped"


@pytest.mark.long
def test_publishing_a_folder_twice_makes_one_version(here: Site, tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    first = stackyard("data", "publish", str(folder), "--as", "Cli/letters")
    assert first.returncode == 0, first.stderr
    assert "published Cli/letters 1.0.0: 1 new" in first.stdout
    assert "clearml-dataset:Cli/letters@1.0.0//FILE" in first.stdout
    again = stackyard("data", "publish", str(folder), "--as", "Cli/letters", "--json")
    assert json.loads(again.stdout)["new"] is False
    assert "Cli/letters 1.0.0" in stackyard("data", "published").stdout
    nothing = stackyard("data", "publish", str(tmp_path / "none"))
    assert (nothing.returncode, nothing.stdout) == (2, "")


def test_without_a_server_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKYARD_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CLEARML_CONFIG_FILE", raising=False)
    done = stackyard("task", "list")
    assert done.returncode == 2
    assert "stackyard up" in done.stderr


@pytest.mark.long
def test_every_template_is_published_and_again_in_place(here: Site) -> None:
    first = stackyard("task", "publish", "--no-examples", "--json")
    assert first.returncode == 0, first.stderr
    said = json.loads(first.stdout)
    assert {"detector-train", "detector-infer", "detector-evaluate"} <= {
        each["name"] for each in said["templates"]
    }
    # a server without the pipeline's queues has the others all the same, and it is said
    assert [sentence for sentence in said["missing"] if "no template of the pipeline" in sentence]
    here.client.call("queues.create", name="services")
    again = json.loads(stackyard("task", "publish", "--no-examples", "--json").stdout)
    assert again["missing"] == []
    outcomes = {each["name"]: each["outcome"] for each in again["templates"]}
    assert outcomes["detector-train"] == "unchanged"
    assert outcomes["pipeline"] == "new"
    assert {each["name"]: each["id"] for each in said["templates"]}.items() <= {
        each["name"]: each["id"] for each in again["templates"]
    }.items()
