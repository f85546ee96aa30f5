"""What a supervisor leaves behind that is killed: processes of its run, which the kernel gives to others, and its FIFO.

Linux. Reads /proc.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from stackyard_task.records import OUTPUTS_FOLDER

#: As often at most: whoever is killed may have forked meanwhile.
_ROUNDS = 200


def ended(folder: Path, supervisor: int) -> int:
    """End what is left of a run, and remove its FIFO; answers how many processes were ended.

    Args:
        folder: the run folder, whose name everything that the run started carries in its environment, or a function's
            child among its words.
        supervisor: process id of the supervisor, which is gone.
    """
    killed: set[int] = set()
    for _ in range(_ROUNDS):
        found = list(_processes(folder))
        if not found:
            break
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.005)
    for fifo in Path(tempfile.gettempdir()).glob(f"stackyard-report-{supervisor}-*"):
        shutil.rmtree(fifo, ignore_errors=True)
    return len(killed)


def _processes(folder: Path) -> Iterator[int]:
    """Processes of the run in ``folder``, of this user; zombies have no environment any more."""
    place = os.path.abspath(folder)
    variable = os.fsencode(f"STACKYARD_OUTPUTS={os.path.join(place, OUTPUTS_FOLDER)}")
    words = b"stackyard_task.child\0" + os.fsencode(place)
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                called = Path(entry.path, "cmdline").read_bytes().rstrip(b"\0")
                if called.endswith(words) or variable in Path(entry.path, "environ").read_bytes().split(
                    b"\0"
                ):
                    yield int(entry.name)
