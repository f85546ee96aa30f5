"""Nothing of a run goes on unseen when its supervisor, or whoever started that, is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackyard.launch import leftovers
from tests.waiting import until

#: A tree of which two processes have lost their parent's parent; it tells their ids.
TREE = "(sleep 600 & echo $! >>pids; wait) & echo $! >>pids; echo $$ >>pids; wait"


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command line with such a tree below it, at work."""
    started = subprocess.Popen(
        [
            *(sys.executable, "-c", "from stackyard.cli.main import main; main()"),
            *("run", "--stack", "none", "--out", str(tmp_path / "run"), "--", "sh", "-c", TREE),
        ],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: (tmp_path / "pids").exists() and len(pids(tmp_path)) == 3, "the tree to stand")
    yield started
    for pid in [started.pid, *pids(tmp_path)]:
        if is_there(pid):
            os.kill(pid, signal.SIGKILL)
    started.wait()
    if started.stderr is not None:
        started.stderr.close()


def pids(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "pids").read_text().split()]


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def supervisor_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def fifos(supervisor: int) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"stackyard-report-{supervisor}-*"))


def failure(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "run" / "record.json").read_text())["failure"]
    return found


def test_a_supervisor_that_is_killed_leaves_a_record_and_nothing_else(
    child: subprocess.Popen[str], tmp_path: Path
) -> None:
    supervisor = supervisor_of(child.pid)
    assert fifos(supervisor)
    os.kill(supervisor, signal.SIGKILL)
    _, said = child.communicate()
    assert child.returncode == 1
    assert "the supervisor was ended by SIGKILL" in said
    assert failure(tmp_path)["kind"] == "infrastructure"
    assert not any(map(is_there, pids(tmp_path)))
    assert not fifos(supervisor)
    assert not (tmp_path / "run" / "progress.json").exists()


def test_a_command_line_that_is_killed_ends_the_whole_tree(
    child: subprocess.Popen[str], tmp_path: Path
) -> None:
    supervisor = supervisor_of(child.pid)
    child.kill()
    child.wait()
    until(lambda: not is_there(supervisor), "the supervisor to end")
    assert not any(map(is_there, pids(tmp_path)))
    assert "the process that had it measured was killed" in str(failure(tmp_path)["message"])
    assert not fifos(supervisor)


def test_only_what_carries_the_run_is_ended(tmp_path: Path) -> None:
    def sleeping(place: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["sleep", "600"], env={**os.environ, "STACKYARD_OUTPUTS": str(place / "outputs")}
        )

    own, other = sleeping(tmp_path / "a"), sleeping(tmp_path / "ab")
    try:
        assert leftovers.ended(tmp_path / "a", 0) == 1
        assert own.wait() == -signal.SIGKILL
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
