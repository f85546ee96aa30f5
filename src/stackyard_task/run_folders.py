"""Run folders of ordinary tasks below an agent's: whose one is by its name, and how one is laid that is nobody's.

Standard library only; both sides of the seam import this module.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Optional, Tuple

from stackyard_task.records import (
    RECORD_FILE,
    TIMELINE_FILE,
    WAY_FILE,
    Course,
    Dispatch,
    RunRecord,
    write_json,
)

#: A folder of such a name is being written.
_DRAFT = ".new-"


def name(task_id: str, pid: int, ticks: str) -> str:
    """The name of the folder that a process works in.

    Args:
        task_id: the task's.
        pid: the process.
        ticks: when that began, as /proc/PID/stat says it: numbers of processes are used again.
    """
    return f"{task_id}-{pid}.{ticks}"


def owner(folder: Path) -> Optional[Tuple[int, int]]:
    """(process, its beginning) of a run folder; ``None``: it is none, or is still being written."""
    pid, _, ticks = folder.name.rpartition("-")[2].partition(".")
    if folder.name.startswith(_DRAFT) or not (pid.isdigit() and ticks.isdigit()):
        return None
    return int(pid), int(ticks)


def laid(runs: Path, task_id: str, way: Dispatch, record: RunRecord, course: Optional[Course] = None) -> Path:
    """Lay a folder in which no process works, for whoever hands in what such folders hold: whole or not at all.

    It takes the place of one that was laid for the task before.

    Args:
        runs: holds the agent's run folders; made where it is missing.
        task_id: the task's.
        way: how it came here.
        record: what is to be handed in.
        course: its timeline, if there is one.

    Raises:
        OSError: it cannot be written; nothing is left then.
    """
    runs.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=str(runs)))
    try:
        if course is not None:
            write_json(course, draft / TIMELINE_FILE)
        write_json(way, draft / WAY_FILE)
        write_json(record, draft / RECORD_FILE)
        place = runs / name(task_id, 0, "0")  # no process has the number 0
        shutil.rmtree(str(place), ignore_errors=True)
        os.rename(str(draft), str(place))
    except BaseException:
        shutil.rmtree(str(draft), ignore_errors=True)
        raise
    return place
