"""One run of a matrix: started, or taken up again, watched to its end, and a record in the end whatever happens.

What the infrastructure loses is started again where the run's deployment allows it. May import launch's contract, runs,
shards, lost and the records of the seam; never scenarios, planning or the runner.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackyard.launch import InDoubtError, LaunchError, Place, Started
from stackyard.launch.deployment import Deployment
from stackyard.launch.retries import RetryPolicy
from stackyard.matrix import lost, shards
from stackyard.matrix.estimate import Estimate
from stackyard.matrix.runs import RunFolder
from stackyard.matrix.stop import Stop
from stackyard.matrix.watcher import Watcher
from stackyard.stacks import NONE
from stackyard_task import records
from stackyard_task.records import SUPERVISOR_LOG, Failure, RunRecord, TaskSpec

#: How often a run under way is looked at.
TICK_SECONDS = 0.5
#: A supervisor that has not ended a run so long after its time limit is taken for dead.
GRACE_SECONDS = 60.0
#: The last words of a supervisor are looked for in so much of what it printed.
_LAST_BYTES = 64 << 10


@dataclass(frozen=True)
class Conditions:
    """What all runs of a matrix have in common."""

    folder: RunFolder
    #: Stack name -> its Python, or ``None`` where it is not built.
    python_of: Callable[[str], Path | None]
    #: The snapshot's folder, for PYTHONPATH.
    code: Path
    #: Descriptor of the run folder's lock, which a supervisor keeps open.
    lock: int | None
    watcher: Watcher
    stop: Stop
    retries: RetryPolicy
    estimate: Estimate


class Attempt:
    """One run to make.

    Args:
        task: what to run, the work of all workers in one.
        folder: its run folder.
        deployment: how it is started.
        conditions: what it has in common with the others.
        cell: the cell's name, for the estimate; ``None``: a preparation, which is not estimated.
        gpus: how many GPUs it needs.
        workers: how many tasks share its work; ``None``: the work is one task.
    """

    def __init__(
        self,
        task: TaskSpec,
        folder: Path,
        deployment: Deployment,
        conditions: Conditions,
        *,
        cell: str | None = None,
        gpus: int = 0,
        workers: int | None = None,
    ) -> None:
        self.task = task
        self.folder = folder
        self.deployment = deployment
        self.conditions = conditions
        self.cell = cell
        self.gpus = gpus
        self._parts = [task] if workers is None else shards.parts_of(task, workers)
        self._folders = [folder] if workers is None else shards.folders_of(folder, workers)
        #: A start may go on, but nobody answers: its folder stays, so that it can be found later.
        self._in_doubt = False

    def record(self) -> RunRecord:
        """Make the run; what the infrastructure loses is made again, a bounded number of times, where it may be."""
        stop, retries = self.conditions.stop, self.conditions.retries
        #: How often a task was tried again, and how often the record says so: of all its parts.
        tries = counted = 0
        while True:
            record = self._once()
            if record.dispatch is not None:
                # what a server tried again itself counts like a start of ours
                tries += -(-record.dispatch.retries // len(self._parts))
                if counted:
                    record.dispatch.retries += counted
                    records.write_json(record, self.folder / records.RECORD_FILE)
                counted = record.dispatch.retries
            pause = None
            if self.deployment.tried_again and not stop.requests:
                pause = retries.pause_seconds(record.failure, tries)
            if pause is None:
                return record
            assert record.failure is not None
            self.conditions.watcher.message(
                f"again in {pause:.0f} s: {record.failure.kind}: {record.failure.message}"
            )
            until = time.monotonic() + pause
            while time.monotonic() < until and not stop.requests:
                time.sleep(min(TICK_SECONDS, pause))
            if stop.requests:
                return record
            if not self._in_doubt:
                self.conditions.folder.set_aside(self.folder)
            tries, counted = tries + 1, counted + 1

    # -- one start ---------------------------------------------------------------------------------

    def _once(self) -> RunRecord:
        """Start the run and wait for it; answers its record, written here where the supervisor left none."""
        started_at, begun = _now(), time.monotonic()
        try:
            started = self._started()
        except LaunchError as error:
            failure = Failure("infrastructure", str(error))
            self._in_doubt |= isinstance(error, InDoubtError)
            if self._in_doubt:
                return records.failed(self.task, started_at, _now(), failure)
            return self._unrecorded(self.task, self.folder, started_at, failure)
        try:
            status, ended_by = self._watched(started, begun)
        except InDoubtError as error:
            self._in_doubt = True
            return records.failed(self.task, started_at, _now(), Failure("infrastructure", str(error)))
        except BaseException:  # we fail (nobody reads our output, a bug): the run must not go on unseen
            started.interrupt()
            if started.wait(self.deployment.stop_seconds) is None:
                started.kill()
            raise
        if self.cell is not None:
            self.conditions.estimate.add(self.cell, time.monotonic() - begun)
        return self._collected(started_at, status, ended_by)

    def _started(self) -> Started:
        """The run under way: taken up where an earlier runner left it, else started.

        Raises:
            LaunchError: a part cannot be started, and none is left running; or one that is there may go on.
        """
        left_behind = self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        launcher = self.deployment.launcher(self.gpus)
        self._in_doubt = left_behind
        if left_behind:
            found = lost.taken_up(launcher, self._places(None))
            if found is not None:
                self.conditions.watcher.message("this run goes on where it was started: taking it up")
                return found
            self._in_doubt = False
            self.conditions.folder.set_aside(self.folder)
            self.folder.mkdir(parents=True)
        python = self.conditions.python_of(self.task.stack.name if self.task.stack else NONE.name)
        under_way: list[Started] = []
        try:
            for part, place in self._places(python):
                place.folder.mkdir(parents=True, exist_ok=True)
                under_way.append(launcher.start(part, place))
        except BaseException:
            for started in under_way:
                started.kill()
            raise
        return shards.together(under_way)

    def _places(self, python: Path | None) -> list[tuple[TaskSpec, Place]]:
        lock, code = self.conditions.lock, self.conditions.code
        inherited = () if lock is None else (lock,)
        return [
            (part, Place(folder.resolve(), python, code, inherited))
            for part, folder in zip(self._parts, self._folders, strict=True)
        ]

    def _watched(self, started: Started, begun: float) -> tuple[int | None, Failure | None]:
        """Wait for a run's end, passing on progress and requests to stop.

        Returns:
            The supervisor's exit status, and the failure to record if it leaves no record itself.
        """
        stop, watcher = self.conditions.stop, self.conditions.watcher
        asked = 0
        deadline: float | None = None
        if self.task.time_limit_seconds is not None and not self.deployment.waits_in_queue:
            deadline = begun + self.task.time_limit_seconds + GRACE_SECONDS
        failure: Failure | None = None
        while (status := started.wait(TICK_SECONDS)) is None:
            now = time.monotonic()
            if stop.requests > asked:
                if asked == 0:
                    watcher.message("stopping: the current run ends now (again to kill it)")
                    failure = Failure("interrupted", "the runner was told to stop")
                    started.interrupt()
                    deadline = now + self.deployment.stop_seconds
                else:
                    started.kill()
                asked = stop.requests
            elif deadline is not None and now > deadline:
                failure = failure or Failure("infrastructure", "the supervisor did not end the run in time")
                started.kill()
                deadline = None
            else:
                left = self.conditions.estimate.seconds(now - begun)
                watcher.tick(_progress(self._folders[0]), left)
        return status, failure

    def _collected(self, started_at: str, status: int | None, ended_by: Failure | None) -> RunRecord:
        """The record of the run that ended: its only part's, or all of its parts' as one."""
        found = []
        for part, folder in zip(self._parts, self._folders, strict=True):
            (folder / records.PROGRESS_FILE).unlink(missing_ok=True)
            record = self.conditions.folder.record(folder)
            if record is None:
                failure = ended_by or _unexplained(folder, status)
                record = self._unrecorded(part, folder, started_at, failure)
            found.append(record)
        if len(found) == 1:
            return found[0]
        whole = shards.merged(self.task, found)
        records.write_json(self.task, self.folder / records.TASK_FILE)
        records.write_json(whole, self.folder / records.RECORD_FILE)
        return whole

    @classmethod
    def _unrecorded(cls, task: TaskSpec, folder: Path, started_at: str, failure: Failure) -> RunRecord:
        """The record of a run whose supervisor could not write one, written here."""
        record = records.failed(task, started_at, _now(), failure)
        folder.mkdir(parents=True, exist_ok=True)  # the run may have removed it
        records.write_json(record, folder / records.RECORD_FILE)
        return record


def _progress(folder: Path) -> Mapping[str, Any] | None:
    try:
        return records.to_json(records.read_json(records.Progress, folder / records.PROGRESS_FILE))
    except records.RecordError:
        return None  # none yet, or one that says nothing; the next comes within a second


def _unexplained(folder: Path, status: int | None) -> Failure:
    """Why there is no record of a run that ended by itself."""
    if not folder.is_dir():
        return Failure(
            "code", "the run removed its own run folder, and its record with it; let it leave that alone"
        )
    return Failure("infrastructure", _supervisor_words(folder, status), exit_code=status)


def _supervisor_words(folder: Path, status: int | None) -> str:
    """Why a supervisor left no record, from its last line."""
    try:
        with records.opened(folder / SUPERVISOR_LOG) as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_BYTES))
            lines = log.read(_LAST_BYTES).decode("utf-8", "replace").strip().splitlines()
    except OSError:
        lines = []
    last = f": {lines[-1][:200]}" if lines else ""
    if status is not None and status < 0:
        return f"the supervisor was ended by signal {-status} and left no record{last}"
    return f"the supervisor ended with status {status} and without a record{last}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
