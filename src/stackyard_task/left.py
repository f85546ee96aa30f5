"""Records of ordinary tasks whose supervisor was killed: made from what lies in the run folder, and handed in.

``python -m stackyard_task.left RUN_FOLDER`` does it for one, with the server that ClearML's variables name. Exit
status: 0 the folder is gone, for its record is with the task or nobody wants it any more; 75 not yet. Standard library
only.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import sys
import time
from pathlib import Path
from typing import List, Optional

from stackyard_task import handing_in, records
from stackyard_task.api import ApiError, Server, address
from stackyard_task.records import Dispatch, Failure, Progress, RecordError, RunRecord, TaskSpec

#: Statuses in which a task is on its way to run anew, so what an earlier run left is nobody's.
_ANEW = ("queued", "created")
#: A task that still counts as running gets its end from somebody else first.
_RUNS = "in_progress"
_ABORTED = "stopped"
#: A folder whose task began so long ago is given up.
OLD_SECONDS = 7 * 86400.0
_LATER = 75


def main(arguments: Optional[List[str]] = None) -> int:
    """The command line: one run folder."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        print("usage: python -m stackyard_task.left RUN_FOLDER", file=sys.stderr)
        return 2
    folder = Path(given[0])
    if folder.is_symlink():  # a script put it in the place of its folder: what it leads to is nobody's record
        folder.unlink()
        return 0
    try:
        server = Server(address(os.environ), 5.0)
        done = handed_in(server, folder)
    except (ApiError, OSError) as error:
        print(f"{folder}: {error}", file=sys.stderr)
        done = False
    if not done and time.time() - _began(folder) < OLD_SECONDS:
        return _LATER
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def handed_in(server: Server, folder: Path) -> bool:
    """Hand in what lies in a run folder that nobody works in any more; whether that is settled.

    Raises:
        ApiError: the server does not answer.
        OSError: the folder cannot be read or written.
    """
    try:
        way = records.read_json(Dispatch, folder / records.WAY_FILE)
        if way.task_id is None:
            return True
        task = handing_in.document(server, way.task_id)
    except (RecordError, handing_in.NoTask):
        return True
    status = str(task.get("status"))
    if status in _ANEW or task.get("started") != way.pulled_at:
        return True
    if status == _RUNS:
        return False
    artifacts = (task.get("execution") or {}).get("artifacts") or []
    if any(isinstance(one, dict) and one.get("key") == handing_in.RECORD for one in artifacts):
        return True
    try:
        record = records.read_json(RunRecord, folder / records.RECORD_FILE)
    except RecordError:
        try:
            spec = records.read_json(TaskSpec, folder / records.TASK_FILE)
        except RecordError:  # it had not got so far
            spec = TaskSpec(str(task["id"]), handing_in.called(task))
        record = of_the_lost(spec, folder, aborted=status == _ABORTED)
    record.dispatch = record.dispatch or way
    record.parameters = handing_in.parameters_of(task)
    records.write_json(record, folder / records.RECORD_FILE)
    handing_in.hand_in(server, task, record, folder)
    return True


def of_the_lost(spec: TaskSpec, folder: Path, *, aborted: bool = False) -> RunRecord:
    """The record of a run whose supervisor was killed: what was seen of it by then stands in a note.

    Args:
        spec: the run.
        folder: its run folder.
        aborted: whether it was killed because the task was aborted.
    """
    try:
        way = records.read_json(Dispatch, folder / records.WAY_FILE)
        seen = records.read_json(Progress, folder / records.PROGRESS_FILE)
    except RecordError:
        way, seen = Dispatch(), Progress()
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    said = "its supervisor was killed, and the task with it"
    if aborted:
        said = f"the task was aborted; {said}"
    record = RunRecord(spec.run_id, spec.workload, "failed", way.workload_started_at or now, now)
    record.failure = Failure("interrupted", f"{said}; run it again to complete it")
    record.environment.stack = spec.stack.name if spec.stack else None
    record.environment.stack_digest = spec.stack.digest if spec.stack else None
    record.measurement.peak_rss_low_bytes = seen.most_rss_bytes
    if seen.elapsed_seconds is not None:
        cpu = "" if seen.cpu_seconds is None else f", it had used {seen.cpu_seconds:.1f} s of CPU"
        rss = "" if seen.most_rss_bytes is None else f" and at least {seen.most_rss_bytes / 1e6:.0f} MB"
        record.notes.append(f"seen last {seen.elapsed_seconds:.1f} s after its start{cpu}{rss}")
    return record


def _began(folder: Path) -> float:
    """When a folder was begun, in epoch seconds: its first file is written once, others again at each try."""
    for place in (folder / records.WAY_FILE, folder):
        with contextlib.suppress(OSError):
            return place.stat().st_mtime
    return 0.0


if __name__ == "__main__":
    sys.exit(main())
