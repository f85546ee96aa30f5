"""The matrix: preparations, then randomised blocks, each run in fresh processes; progress, limits, resume.

What to do comes in as a Plan, what this machine offers as a Site, and what happens goes out to a Watcher, so
this module knows neither settings nor terminals. May import scenarios, runs, site and launch; never reports
or cli.
"""

from __future__ import annotations

import datetime
import json
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from stackyard import scenarios
from stackyard.errors import NotRunnableError, StackyardError
from stackyard.launch import Launcher, LaunchError, Place, Started
from stackyard.launch.deployment import Deployment
from stackyard.launch.retries import RetryPolicy
from stackyard.matrix import shards
from stackyard.matrix.estimate import Estimate
from stackyard.matrix.runs import Plan, PlannedBlock, RunFolder, counts_as_done, unwritable
from stackyard.matrix.site import Site
from stackyard.scenarios import Preparation, References, Scenario
from stackyard.specs import Cell
from stackyard_task import records
from stackyard_task.records import SUPERVISOR_LOG, Code, Failure, Limits, RunRecord, TaskSpec

PROGRESS_FILE = "progress.json"
#: How often a run under way is looked at.
TICK_SECONDS = 0.5
#: A supervisor that has not ended a run so long after its time limit is taken for dead.
GRACE_SECONDS = 60.0


class Watcher(Protocol):
    """Who is told what happens."""

    def message(self, text: str) -> None:
        """One line worth knowing."""

    def started(self, label: str, done: int, total: int) -> None:
        """A run begins; ``done`` of ``total`` runs are over."""

    def tick(self, progress: Mapping[str, Any] | None, left_seconds: float | None) -> None:
        """A run is under way; ``progress`` is the supervisor's, where it has written one."""

    def ended(
        self, label: str, record: RunRecord, done: int, total: int, remaining_seconds: float | None
    ) -> None:
        """A run ended with ``record``."""


_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Outcome:
    """What became of a matrix."""

    completed: int = 0
    failed: int = 0
    #: Runs that were already there.
    kept: int = 0
    not_runnable: int = 0
    interrupted: bool = False
    #: Label and reason of each failed run.
    failures: list[tuple[str, str]] = field(default_factory=list)


class Stop:
    """Counts requests to stop: the first ends the current run in order, the second kills it."""

    def __init__(self) -> None:
        self.requests = 0

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Count SIGINT, SIGTERM and SIGHUP while inside; outside the main thread, leave signals alone."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        old = {number: signal.signal(number, self._count) for number in _STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _count(self, number: int, frame: object) -> None:
        self.requests += 1


class Runner:
    """Runs one planned matrix in one folder."""

    def __init__(
        self,
        scenario: Scenario,
        plan: Plan,
        folder: RunFolder,
        site: Site,
        code: Path,
        beside: Path,
        watcher: Watcher,
        stop: Stop | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        """Take everything a matrix needs; nothing starts yet.

        Args:
            scenario: what the plan was made from.
            plan: what to do.
            folder: where.
            site: what this machine offers.
            code: the snapshot's folder, for PYTHONPATH.
            beside: folder of the scenario file; relative paths of sources are seen from there.
            watcher: who is told.
            stop: counts requests to stop; default: this process' own signals.
            retries: how often a run that the infrastructure lost is started again, whoever does it, where its
                deployment allows it.
        """
        self.scenario = scenario
        self.plan = plan
        self.folder = folder
        self.site = site
        self.code = code
        self.beside = beside.resolve()
        self.watcher = watcher
        self.stop = stop or Stop()
        self.retries = retries or RetryPolicy()
        self._cells = {cell.slug: cell for cell in scenarios.cells(scenario)}
        self._estimate = Estimate()
        #: Stacks that a preparation has just loaded: the disk's cache is warm for them.
        self._loaded: set[str] = set()
        self._lock: int | None = None

    def run(self, scenario_text: str, *, resume: bool = False, fresh: bool = False) -> Outcome:
        """Make every run of the plan that is not there yet, and say what became of them.

        Raises:
            NotRunnableError: no cell can run here.
            BadInputError: the folder is not one to write into.
            StackyardError: a preparation failed, or the folder cannot be written.
        """
        if not self.plan.cells:
            reasons = "; ".join(sorted({c.reason or "" for c in self.plan.not_runnable}))
            raise NotRunnableError(f"{self.plan.name}: no cell can run on this machine: {reasons}")
        with self.folder.locked() as lock, self.stop.on_signals():
            self._lock = lock
            try:
                self.folder.begin(self.plan, scenario_text, resume=resume, fresh=fresh)
                return self._matrix()
            except BrokenPipeError:  # nobody reads our output any more; the folder is fine
                raise
            except OSError as error:
                raise unwritable(self.folder.path, error) from error

    # -- the matrix --------------------------------------------------------------------------------

    def _matrix(self) -> Outcome:
        outcome = Outcome(not_runnable=len(self.plan.not_runnable))
        for absent in self.plan.not_runnable:
            self.watcher.message(f"not runnable: {absent.name}: {absent.reason}")
        todo = self._todo(outcome)
        ready = False
        done = outcome.kept
        for index, (block, cell) in enumerate(todo):
            if self.stop.requests:
                outcome.interrupted = True
                break
            if not ready and not self.folder.run(block.name, cell.slug).exists():
                if not self._prepare(outcome):
                    return outcome
                self._warm()
                ready = True
            self._estimate.remaining = [c.slug for _, c in todo[index:]]
            label = f"{block.name} {self._short(cell)}"
            self.watcher.started(label, done, self.plan.runs_total)
            record = self._tried(self._task(block, cell), self.folder.run(block.name, cell.slug), cell)
            if not counts_as_done(record) and self.stop.requests:
                outcome.interrupted = True
                break
            done += 1
            self._estimate.remaining = [c.slug for _, c in todo[index + 1 :]]
            self._count(outcome, label, record)
            remaining = self._estimate.seconds()
            self.watcher.ended(label, record, done, self.plan.runs_total, remaining)
        return outcome

    def _warm(self) -> None:
        """Load every stack once, on the host and in its image, wherever the matrix runs it."""
        used = {(self._image_of(cell.axes["deployment"]), cell.axes["stack"]) for cell in self.plan.cells}
        for image, stack in sorted(used - {("", name) for name in self._loaded}):
            self.watcher.message(f"loading stack {stack} once" + (" in its image" if image else ""))
            self.site.deployment(image or self.site.default_deployment).warm(stack, self.code)

    def _image_of(self, deployment: str) -> str:
        """The deployment again where its runs happen in an image; empty: they happen on the host."""
        return deployment if self.site.deployment(deployment).in_container else ""

    def _todo(self, outcome: Outcome) -> list[tuple[PlannedBlock, Cell]]:
        """Runs still to make, in order; those already there are counted.

        What an earlier runner left on a server comes first: it may be at work, and nothing shall disturb it.
        """
        todo: list[tuple[PlannedBlock, Cell]] = []
        begun: list[tuple[PlannedBlock, Cell]] = []
        for block in self.plan.blocks:
            for name in block.order:
                folder = self.folder.run(block.name, name)
                record = self.folder.record(folder)
                if record is not None and counts_as_done(record):
                    outcome.kept += 1
                    self._count(outcome, folder.name, record)
                    self._estimate.add(name, record.measurement.wall_seconds)
                else:
                    if record is not None or not self._deployment(self._cells[name]).can_be_taken_up:
                        self.folder.set_aside(folder)
                    (begun if folder.exists() else todo).append((block, self._cells[name]))
        return begun + todo

    def _deployment(self, cell: Cell | None) -> Deployment:
        """How a cell's runs are started; of a preparation, which has no cell, the default."""
        return self.site.deployment(cell.axes["deployment"] if cell else self.site.default_deployment)

    def _tried(self, task: TaskSpec, folder: Path, cell: Cell) -> RunRecord:
        """Make one run; what the infrastructure loses is made again, a bounded number of times, where it may be."""
        parts = scenarios.settings_of(self.scenario, cell).workers or 1
        #: How often a task was tried again, and how often the record says so: of all its parts.
        tries = counted = 0
        while True:
            record = self._run(task, folder, cell)
            if record.dispatch is not None:
                # what a server tried again itself counts like a start of ours
                tries += -(-record.dispatch.retries // parts)
                if counted:
                    record.dispatch.retries += counted
                    records.write_json(record, folder / records.RECORD_FILE)
                counted = record.dispatch.retries
            pause = None
            if self._deployment(cell).tried_again and not self.stop.requests:
                pause = self.retries.pause_seconds(record.failure, tries)
            if pause is None:
                return record
            assert record.failure is not None
            self.watcher.message(f"again in {pause:.0f} s: {record.failure.kind}: {record.failure.message}")
            until = time.monotonic() + pause
            while time.monotonic() < until and not self.stop.requests:
                time.sleep(min(TICK_SECONDS, pause))
            if self.stop.requests:
                return record
            self.folder.set_aside(folder)
            tries, counted = tries + 1, counted + 1

    def _prepare(self, outcome: Outcome) -> bool:
        """Make the preparations that are not there; False when stopped meanwhile."""
        for preparation in self.scenario.preparations:
            if preparation.name not in self.plan.preparations:
                continue
            folder = self.folder.preparation(preparation.name)
            record = self.folder.record(folder)
            if record is not None and record.status == "completed":
                continue
            if self.stop.requests:
                outcome.interrupted = True
                return False
            self.folder.set_aside(folder)
            self.watcher.started(f"prepare {preparation.name}", 0, self.plan.runs_total)
            record = self._run(self._preparation_task(preparation), folder, None)
            self._loaded.add(preparation.stack)
            if record.failure is not None or record.status != "completed":
                if self.stop.requests:
                    outcome.interrupted = True
                    return False
                message = record.failure.message if record.failure else "no reason given"
                raise StackyardError(
                    f"preparation {preparation.name!r} failed ({message}); see {folder / records.LOG_FILE}, "
                    "then continue with --resume"
                )
            self.watcher.message(
                f"prepared {preparation.name} in {record.measurement.wall_seconds or 0:.1f} s"
            )
        return True

    def _count(self, outcome: Outcome, label: str, record: RunRecord) -> None:
        if record.status == "completed":
            outcome.completed += 1
        else:
            outcome.failed += 1
            reason = f"{record.failure.kind}: {record.failure.message}" if record.failure else "unknown"
            outcome.failures.append((label, reason))

    # -- one run -----------------------------------------------------------------------------------

    def _run(self, task: TaskSpec, folder: Path, cell: Cell | None) -> RunRecord:
        """Make one run; answers its record, written here where the supervisor left none."""
        found_again = folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        started_at = _now()
        begun = time.monotonic()
        settings = None if cell is None else scenarios.settings_of(self.scenario, cell)
        workers = settings.workers if settings else None
        deployment = self._deployment(cell)
        parts, folders = [task], [folder]
        if workers is not None:
            parts, folders = shards.parts_of(task, workers), shards.folders_of(folder, workers)
        try:
            launcher = deployment.launcher(settings.hardware.gpus if settings else 0)
            started = self._found_again(parts, folders, launcher) if found_again else None
            if started is None:
                if found_again:
                    self.folder.set_aside(folder)
                    folder.mkdir(parents=True)
                started = self._started(parts, folders, launcher)
        except LaunchError as error:
            return self._unrecorded(task, folder, started_at, Failure("infrastructure", str(error)))
        try:
            status, ended_by = self._watched(started, task, folders[0], begun, deployment)
        except BaseException:  # we fail (nobody reads our output, a bug): the run must not go on unseen
            started.interrupt()
            if started.wait(deployment.stop_seconds) is None:
                started.kill()
            raise
        if cell is not None:
            self._estimate.add(cell.slug, time.monotonic() - begun)
        found = []
        for part, place in zip(parts, folders, strict=True):
            (place / PROGRESS_FILE).unlink(missing_ok=True)
            record = self.folder.record(place)
            if record is None:
                words = _supervisor_words(place, status)
                failure = ended_by or Failure("infrastructure", words, exit_code=status)
                record = self._unrecorded(part, place, started_at, failure)
            found.append(record)
        if len(found) == 1:
            return found[0]
        whole = shards.merged(task, found)
        records.write_json(task, folder / records.TASK_FILE)
        records.write_json(whole, folder / records.RECORD_FILE)
        return whole

    def _found_again(
        self, parts: Sequence[TaskSpec], folders: Sequence[Path], launcher: Launcher
    ) -> Started | None:
        """The run whose tasks are still on the server since an earlier runner went away; ``None``: make it again.

        Of several parts all are found again, or those that are there are ended.
        """
        found = [
            launcher.again(part, Place(folder.resolve(), None, self.code))
            for part, folder in zip(parts, folders, strict=True)
        ]
        there = [run for run in found if run is not None]
        if len(there) == len(found):
            self.watcher.message("this run's task is still on the server: taking it up")
            return there[0] if len(there) == 1 else shards.Together(there)
        for run in there:
            run.kill()
        return None

    def _started(self, parts: Sequence[TaskSpec], folders: Sequence[Path], launcher: Launcher) -> Started:
        """The task, or all of its parts, under way.

        Raises:
            LaunchError: one cannot be started; none is left running.
        """
        python = self.site.python_of(parts[0].stack.name if parts[0].stack else "")
        inherited = () if self._lock is None else (self._lock,)
        under_way: list[Started] = []
        try:
            for part, folder in zip(parts, folders, strict=True):
                folder.mkdir(parents=True, exist_ok=True)
                place = Place(folder.resolve(), python, self.code, inherited)
                under_way.append(launcher.start(part, place))
        except BaseException:
            for started in under_way:
                started.kill()
            raise
        return under_way[0] if len(under_way) == 1 else shards.Together(under_way)

    def _watched(
        self, started: Started, task: TaskSpec, folder: Path, begun: float, deployment: Deployment
    ) -> tuple[int | None, Failure | None]:
        """Wait for a run's end, passing on progress and requests to stop.

        Returns:
            The supervisor's exit status, and the failure to record if it leaves no record itself.
        """
        asked = 0
        deadline: float | None = None
        if task.time_limit_seconds is not None and not deployment.waits_in_queue:
            deadline = begun + task.time_limit_seconds + GRACE_SECONDS
        failure: Failure | None = None
        while (status := started.wait(TICK_SECONDS)) is None:
            now = time.monotonic()
            if self.stop.requests > asked:
                if asked == 0:
                    self.watcher.message("stopping: the current run ends now (again to kill it)")
                    failure = Failure("interrupted", "the runner was told to stop")
                    started.interrupt()
                    deadline = now + deployment.stop_seconds
                else:
                    started.kill()
                asked = self.stop.requests
            elif deadline is not None and now > deadline:
                failure = failure or Failure("infrastructure", "the supervisor did not end the run in time")
                started.kill()
                deadline = None
            else:
                self.watcher.tick(_progress(folder), self._estimate.seconds(now - begun))
        return status, failure

    def _unrecorded(self, task: TaskSpec, folder: Path, started_at: str, failure: Failure) -> RunRecord:
        """The record of a run whose supervisor could not write one."""
        record = RunRecord(
            run_id=task.run_id,
            workload=task.workload,
            status="failed",
            started_at=started_at,
            finished_at=_now(),
            scenario=task.scenario,
            cell=task.cell,
            block=task.block,
            warm_up=task.warm_up,
            failure=failure,
            parameters=task.parameters,
        )
        records.write_json(record, folder / records.RECORD_FILE)
        return record

    # -- tasks -------------------------------------------------------------------------------------

    def _task(self, block: PlannedBlock, cell: Cell) -> TaskSpec:
        settings = scenarios.settings_of(self.scenario, cell)
        environment, tunables = self.site.environment_of(settings.stack)
        chosen = tunables if settings.tunables is None else settings.tunables
        return TaskSpec(
            run_id=f"{self.plan.name}/{block.name}-{cell.slug}",
            workload=settings.workload.workload,
            parameters=self._resolved(settings.parameters),
            scenario=self.plan.name,
            cell=dict(cell.axes),
            block=None if block.warm_up else block.number,
            warm_up=block.warm_up,
            stack=self.site.pin_of(settings.stack),
            limits=Limits(settings.hardware.cores, settings.hardware.memory_bytes),
            threads=settings.threads,
            environment={
                **environment,
                **chosen,
                **settings.environment,
                **self._deployment(cell).environment(settings.hardware.gpus),
            },
            time_limit_seconds=self.scenario.time_limit_seconds,
            code=Code(**self.plan.code),
            measure=self.plan.measure,
        )

    def _preparation_task(self, preparation: Preparation) -> TaskSpec:
        environment, tunables = self.site.environment_of(preparation.stack)
        return TaskSpec(
            run_id=f"{self.plan.name}/prepare-{preparation.name}",
            workload=preparation.workload,
            parameters=self._resolved(preparation.parameters),
            scenario=self.plan.name,
            stack=self.site.pin_of(preparation.stack),
            threads=preparation.threads,
            environment={**environment, **tunables, **self._deployment(None).environment(0)},
            time_limit_seconds=preparation.time_limit_seconds,
            code=Code(**self.plan.code),
        )

    def _resolved(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        replace = References(
            dataset=lambda reference: str(self.site.dataset(reference)),
            prepared=lambda reference: str(self.folder.prepared_file(reference).resolve()),
            beside=lambda path: str(self.beside / path),
        )
        value: dict[str, Any] = scenarios.resolved(parameters, self.scenario.data, replace)
        return value

    def _short(self, cell: Cell) -> str:
        """The cell by the axes in which the cells of this matrix differ."""
        varied = [axis for axis in cell.axes if len({c.axes[axis] for c in self.plan.cells}) > 1]
        return " · ".join(cell.axes[axis] for axis in varied) or cell.axes["workload"]


def _progress(folder: Path) -> Mapping[str, Any] | None:
    try:
        value = json.loads((folder / PROGRESS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _supervisor_words(folder: Path, status: int | None) -> str:
    """Why a supervisor left no record, from its last line."""
    try:
        lines = (folder / SUPERVISOR_LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    last = f": {lines[-1][:200]}" if lines else ""
    return f"the supervisor ended with status {status} and without a record{last}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
