"""A test run's own folder, and the end of whatever the run leaves behind: however it ends, killed too.

All that a run makes lies in one folder of a name of its own (``TMPDIR``: temporary folders of tests, homes of agents,
folders of servers). So a process of the run names that folder in its environment, its arguments or its working folder,
and a container in what it mounts or in a label. A watcher, a process beside the run, waits for the run's end and ends
all that still names the folder. Standard library only, Python >= 3.9. Linux; elsewhere nothing is watched.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Dict, List, Set

PREFIX = "stackyard-tests."
_PROC = Path("/proc")


def begin() -> Path:
    """The run's folder; made, with its watcher, by the outermost process of a run, and found by all others."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # a script's background job; what the tests start would ignore SIGINT too, by which agents are stopped
        signal.signal(signal.SIGINT, signal.default_int_handler)
    held = Path(os.environ.get("TMPDIR", ""))
    if held.name.startswith(PREFIX) and held.is_dir():
        return held
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None  # what it was before is remembered there
    if _PROC.is_dir():
        subprocess.Popen(
            [sys.executable, __file__, str(os.getpid()), str(folder)],
            env={"PATH": os.environ.get("PATH", os.defpath)},
            cwd="/",
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a signal to the run's group must not reach it
        )
    return folder


def end_with_parent() -> None:
    """Have the kernel end this process when the one that started it has ended. Linux."""
    parent, death_signal = os.getppid(), 1  # PR_SET_PDEATHSIG
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(death_signal, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(1)


def named_by(folder: Path) -> List[int]:
    """The processes that name a folder, and their descendants; the calling one excluded."""
    mark = str(folder).encode()
    children: Dict[int, List[int]] = {}
    found: Set[int] = set()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError, ValueError):
            state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state in "ZX":
                continue
            children.setdefault(int(parent), []).append(int(entry.name))
            told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            if mark in told or mark in os.fsencode(os.readlink(entry / "cwd")):
                found.add(int(entry.name))
    waiting: List[int] = list(found)
    while waiting:
        more: Set[int] = set(children.get(waiting.pop(), [])) - found
        found |= more
        waiting += more
    return sorted(found)


def end_processes(folder: Path) -> int:
    """End the processes that name a folder; how many there were."""
    ended: Set[int] = set()
    while left := named_by(folder):
        for pid in left:  # first they stand still: none starts another, none is orphaned unseen
            _signal(pid, signal.SIGSTOP)
        left = named_by(folder)
        for pid in left:
            _signal(pid, signal.SIGKILL)
        ended |= set(left)
        time.sleep(0.05)
    return len(ended)


def end_containers(folder: Path) -> int:
    """Remove the containers that name a folder; how many there were."""
    client = shutil.which("docker")
    if client is None:
        return 0
    ids = _answer([client, "ps", "--all", "--quiet", "--no-trunc"]).split()
    documents = json.loads(_answer([client, "inspect", *ids]) or "[]") if ids else []
    named = [one["Id"] for one in documents if str(folder) in json.dumps(one)]
    if named:
        _answer([client, "rm", "--force", "--volumes", *named])
    return len(named)


def _answer(command: List[str]) -> str:
    with suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    return ""


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _watch(run: int, folder: Path) -> None:
    while os.getppid() == run:
        time.sleep(0.2)
    processes, containers = end_processes(folder), end_containers(folder)
    processes += end_processes(folder)
    if processes or containers:
        left = f"{processes} processes and {containers} containers"
        print(f"the test run ended and left {left}: ended too", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _watch(int(sys.argv[1]), Path(sys.argv[2]))
