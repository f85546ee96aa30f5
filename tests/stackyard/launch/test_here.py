"""A command at the terminal: whoever starts it, and the command itself, cannot tell that it is measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_MAIN = "from stackyard.cli.main import main; main()"
_COUNTING = """
import os, signal, sys, time
got = []
signal.signal(int(sys.argv[1]), lambda *_: got.append(1))
print("ready", flush=True)
while not got:
    time.sleep(0.01)
time.sleep(0.1)
print(len(got), flush=True)
os._exit(7)
"""

Started = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def started(tmp_path: Path) -> Any:
    """Starts a command through us, in a group of its own; what is left of it is ended."""
    children: list[subprocess.Popen[str]] = []

    def start(*command: str, prepare: Callable[[], Any] = lambda: None) -> subprocess.Popen[str]:
        def ready() -> None:
            os.setpgrp()
            prepare()

        child = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _MAIN,
                "run",
                "--stack",
                "none",
                "--out",
                str(tmp_path / "run"),
                "--",
                *command,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            preexec_fn=ready,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def ready(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGCONT, signal.SIGSEGV, signal.SIGTSTP])
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to us", "to the group"])
def test_a_signal_reaches_the_command_once(
    started: Started, number: int, send: Callable[[int, int], None]
) -> None:
    child = started(sys.executable, "-c", _COUNTING, str(int(number)))
    ready(child)
    send(child.pid, number)
    out, _ = child.communicate(timeout=30)
    assert (out, child.returncode) == ("1\n", 7)


def test_a_command_that_is_killed_leaves_us_killed(started: Started, tmp_path: Path) -> None:
    child = started("sh", "-c", "kill -9 $$")
    _, said = child.communicate(timeout=30)
    assert child.returncode == -signal.SIGKILL
    assert "was killed by SIGKILL" in said
    record = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    assert record["failure"]["signal"] == signal.SIGKILL


def test_nothing_outlives_us_being_killed(started: Started) -> None:
    child = started("sh", "-c", "echo ready; echo $$; exec sleep 60")
    ready(child)
    assert child.stdout is not None
    command = Path(f"/proc/{int(child.stdout.readline())}")
    child.kill()
    child.wait()
    end = time.monotonic() + 10
    while command.exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not command.exists()


def test_we_stop_and_go_on_with_the_command(started: Started) -> None:
    child = started("sh", "-c", "echo ready; kill -STOP $$; exit 5")
    ready(child)
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    os.killpg(child.pid, signal.SIGCONT)
    child.communicate(timeout=30)
    assert child.returncode == 5


def test_whoever_lets_the_supervisor_go_on_lets_us(started: Started) -> None:
    child = started("sh", "-c", "echo ready; kill -STOP $PPID; sleep 0.3; kill -CONT $PPID; exit 6")
    ready(child)
    child.communicate(timeout=30)
    assert child.returncode == 6


def test_blocked_and_ignored_signals_stay_so(started: Started) -> None:
    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    command = ("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    out, _ = started(*command, prepare=prepare).communicate(timeout=30)
    # whoever runs the tests may ignore further ones
    bare = subprocess.run(command, preexec_fn=prepare, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert out == bare
    masks = [int(line.split()[1], 16) for line in out.splitlines()]
    assert masks[0] == 1 << signal.SIGUSR1 - 1
    assert masks[1] & 1 << signal.SIGHUP - 1


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_file_is_closed_for_the_command(started: Started, tmp_path: Path, closed: int) -> None:
    file = tmp_path / "seen"
    program = f"for n in 0 1 2; do test -e /proc/self/fd/$n && echo $n >> {file}; done; exit 3"
    child = started("sh", "-c", program, prepare=lambda: os.close(closed))
    child.communicate(timeout=30)
    assert child.returncode == 3
    assert file.read_text(encoding="utf-8").split() == [str(n) for n in range(3) if n != closed]
    assert (tmp_path / "run" / "record.json").exists()


def test_a_summary_that_nobody_can_be_told_changes_no_status(started: Started) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    child = started("sh", "-c", "exit 3", prepare=lambda: os.dup2(full, 2))
    os.close(full)
    child.communicate(timeout=30)
    assert child.returncode == 3
