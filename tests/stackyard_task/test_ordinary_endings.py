"""Ordinary tasks that end in odd ways, run by a real agent: each has a status, a reason and a record."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "clearml", reason="what comes over a server is in the agent's Python only, never in a stack's"
)

from stackyard.agents.slots import Slot
from stackyard_task import ordinary
from tests.installation.agents import agent_of
from tests.installation.site import QUEUE, site
from tests.stackyard.fake_stacks import wheel
from tests.stackyard_task.test_ordinary import Ordinary
from tests.waiting import until


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ordinary]:
    home = tmp_path_factory.mktemp("h")
    slot = Slot(f"{QUEUE}-0", QUEUE, default_stack="none")
    with site(home, with_agent=False) as here, agent_of(home, here.client.connection, slot, here.stacks):
        yield Ordinary(here)


@pytest.mark.whole
@pytest.mark.long
def test_where_agents_make_environments_a_shells_script_finds_what_was_installed(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "mine", "1.5", {"mine.py": "x = 1.5\n"})
    shell = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels"), "PATH": os.environ["PATH"]}
    slot = Slot(f"{QUEUE}-0", QUEUE, environment="agent")
    with (
        site(tmp_path / "h", with_agent=False) as here,
        agent_of(here.home, here.client.connection, slot, here.stacks, shell=shell),
    ):
        text = "kept=$(head -c 40000000 /dev/zero | tr '\\0' a)\n"
        text += "python -c 'import mine; print(\"has\", mine.x)'\nexit 7\n"
        listed = {"pip": "mine==1.5\n"}
        made = Ordinary(here)
        task, record = made.ran(text, binary="/bin/bash", entry_point="work.sh", requirements=listed)
        assert task["status_reason"].startswith("code: the command exited with status 7")
        until(lambda: "has 1.5" in here.console(task["id"]), "the script's word")
        assert record["command"] == ["/bin/bash", "work.sh"]
        assert record["measurement"]["peak_rss_bytes"] > 40e6


@pytest.mark.whole
def test_a_script_of_a_shell_is_measured_and_finds_its_python(tasks: Ordinary) -> None:
    text = "echo shell=$0 bash=$BASH_VERSION SHELL=$SHELL\nkept=$(head -c 40000000 /dev/zero | tr '\\0' a)\n"
    text += "python -c 'import sys; print(sys.executable)'\n$BASH -c 'echo inner $STACKYARD_SHELL'\nexit 7\n"
    task, record = tasks.ran(text, binary="bash", entry_point="work.sh")
    assert task["status_reason"].startswith("code: the command exited with status 7")
    assert (record["command"][0].rpartition("/")[2], record["command"][1:]) == ("bash", ["work.sh"])
    assert 40e6 < record["measurement"]["peak_rss_bytes"] < 400e6
    console = tasks.here.console(task["id"])
    assert "/agents/" not in console.partition("shell=")[2].partition("\n")[0], (
        "the user's shell is its own again"
    )
    assert "\ninner\n" in console
    assert sys.executable in console


@pytest.mark.whole
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            {"binary": "zsh-of-nowhere"},
            "bad_input: the task's script names the program zsh-of-nowhere; agents run",
        ),
        ({"entry_point": "", "diff": ""}, "bad_input: the task names no script; give it an entry point"),
        ({"entry_point": "gone.py", "diff": ""}, "bad_input: the task's entry point gone.py is not there"),
    ],
    ids=["program", "no script", "gone"],
)
def test_what_cannot_be_started_is_named(tasks: Ordinary, script: dict[str, Any], reason: str) -> None:
    task, record = tasks.ran("print(1)\n", **script)
    assert task["status_reason"].startswith(reason)
    assert record["measurement"]["wall_seconds"] is None


@pytest.mark.whole
def test_a_script_that_removes_its_run_folder_and_its_own_has_a_record(tasks: Ordinary) -> None:
    text = (
        "import os, shutil\n"
        "shutil.rmtree(os.path.dirname(os.environ['STACKYARD_OUTPUTS']))\n"
        "shutil.rmtree(os.getcwd())\n"
    )
    task, record = tasks.ran(text, name="a/../../b\nc" + "x" * 3000)
    assert (task["status"], record["status"]) == ("completed", "completed")
    assert record["measurement"]["wall_seconds"] > 0
    assert "the run removed its own folder" in " ".join(record["notes"])
    assert record["notes"][0] == "stack none: the default of queue cpu"


@pytest.mark.whole
def test_a_script_that_ends_its_process_group_ends_itself_alone(tasks: Ordinary) -> None:
    task, record = tasks.ran("import os, signal\nos.killpg(0, signal.SIGTERM)\n")
    assert task["status"] == "failed"
    assert task["status_reason"].startswith("killed: the command was killed by SIGTERM after")
    assert (record["failure"]["kind"], record["failure"]["signal"]) == ("killed", 15)


@pytest.mark.whole
def test_descriptors_processes_and_output_without_measure_end_in_a_record(tasks: Ordinary) -> None:
    text = (
        "import os, sys, time\n"
        "for _ in range(100):\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(0.2)\n"
        "        os._exit(0)\n"
        "for _ in range(300): os.open(os.devnull, os.O_RDONLY)\n"
        "sys.stdout.write('x' * 5_000_000 + '\\n')\n"
        "sys.stdout.flush()\n"
        "os.closerange(0, 3)\n"
        "os.execv(sys.executable, [sys.executable, '-c', 'import os; os._exit(5)'])\n"
    )
    task, record = tasks.ran(text)
    assert task["status_reason"].startswith("code: the command exited with status 5; its last words: xxx")
    assert record["measurement"]["wall_seconds"] > 0


def test_on_anothers_machine_a_script_that_cannot_be_measured_runs_as_without_us(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(top: str | None, id: str) -> Path:
        raise OSError(28, "No space left on device", "/tmp")

    class BecameError(Exception):
        pass

    def become(path: str, words: list[str]) -> None:
        raise BecameError(words)

    names = {
        "CLEARML_API_HOST": "http://127.0.0.1:9",
        "CLEARML_API_ACCESS_KEY": "k",
        "CLEARML_API_SECRET_KEY": "s",
    }
    for name, value in {**names, "CLEARML_TASK_ID": "t1", "STACKYARD_PYTHON": "/usr/bin/python3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("STACKYARD_TASKS_FILE", raising=False)
    monkeypatch.setattr(ordinary.handing_in, "document", lambda server, id: {"id": id})
    monkeypatch.setattr(ordinary, "_folder", full)
    monkeypatch.setattr(os, "execv", become)
    with pytest.raises(BecameError, match=r"'/usr/bin/python3', '-u', 'train\.py'"):
        ordinary.main(["-u", "train.py"], 0.0)
    assert "stackyard: not measured: " in capsys.readouterr().err
