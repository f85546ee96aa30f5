"""The child's environment: what it inherits, what a task adds, and what a task cannot take away."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

import stackyard_task
from stackyard_task import spawn

CODE = str(Path(stackyard_task.__file__).resolve().parent.parent)


def test_python_path_is_joined_never_replaced() -> None:
    inherited = {"PYTHONPATH": os.pathsep.join(["/inherited", CODE])}
    variables = spawn.child_variables(inherited, {"PYTHONPATH": "/the/tasks"}, threads=1)
    assert variables["PYTHONPATH"].split(os.pathsep) == [CODE, "/inherited", "/the/tasks"]
    assert spawn.child_variables({}, {}, threads=1)["PYTHONPATH"] == CODE


def test_threads_are_told_and_a_task_may_say_otherwise() -> None:
    variables = spawn.child_variables({"OMP_NUM_THREADS": "64"}, {"MKL_NUM_THREADS": "3"}, threads=2)
    assert (variables["OMP_NUM_THREADS"], variables["MKL_NUM_THREADS"]) == ("2", "3")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_program_sends_its_group_does_not_reach_whoever_started_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    text = (
        "import os, sys, time\n"
        "assert os.getpgrp() not in (int(sys.argv[1]), os.getpid())\n"
        "assert os.getsid(0) == int(sys.argv[2])\n"
        "if os.fork() == 0:\n"
        "    time.sleep(600)\n"
        "os.killpg(0, int(sys.argv[3]))\n"
    )
    words = [sys.executable, "-c", text, str(os.getpgrp()), str(os.getsid(0)), str(int(number))]
    pid = spawn.start(spawn.Start(words, os.environ), None, [], spawn.Given(apart=True))
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == number


def test_a_program_in_a_group_of_its_own_may_begin_a_session() -> None:
    words = [sys.executable, "-c", "import os; os.setsid(); assert os.getsid(0) == os.getpid()"]
    pid = spawn.start(spawn.Start(words, os.environ), None, [], spawn.Given(apart=True))
    assert os.waitpid(pid, 0)[1] == 0


def test_a_program_at_a_terminal_stays_in_its_group() -> None:
    words = [
        sys.executable,
        "-c",
        "import os, sys; assert os.getpgrp() == int(sys.argv[1])",
        str(os.getpgrp()),
    ]
    pid = spawn.start(spawn.Start(words, os.environ), None, [], spawn.Given())
    assert os.waitpid(pid, 0)[1] == 0
