"""The matrix: preparations, then randomised blocks, each run in fresh processes; progress, resume. The order of things.

What to do comes in as a Plan, what this machine offers as a Site, and what happens goes out to a Watcher, so
this module knows neither settings nor terminals. What is left to do is ``todo``'s, one run ``attempt``'s, its task
``task_specs``'. May import scenarios, runs, site and launch; never reports or cli.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stackyard import scenarios
from stackyard.errors import NotRunnableError, StackyardError
from stackyard.launch.deployment import Deployment
from stackyard.launch.retries import RetryPolicy
from stackyard.matrix import folders
from stackyard.matrix.attempt import Attempt, Conditions
from stackyard.matrix.estimate import Estimate
from stackyard.matrix.plan import Plan
from stackyard.matrix.runs import CODE_FOLDER, RunFolder, counts_as_done
from stackyard.matrix.site import Site
from stackyard.matrix.stop import Stop
from stackyard.matrix.task_specs import TaskSpecs
from stackyard.matrix.todo import Due, Todo, todo_of
from stackyard.matrix.watcher import Watcher
from stackyard.scenarios import Cell, Scenario
from stackyard.scenarios.shape import NO_STACK
from stackyard.workloads.folder import Folder
from stackyard_task import records
from stackyard_task.records import RunRecord


@dataclass
class Outcome:
    """What became of a matrix."""

    completed: int = 0
    failed: int = 0
    #: Runs that were stopped at a criterion of the scenario, of which each stands.
    stopped: int = 0
    #: Runs that were already there.
    kept: int = 0
    not_runnable: int = 0
    interrupted: bool = False
    #: A cell's first run failed, and nothing more was started.
    given_up: bool = False
    #: Label and reason of each failed run.
    failures: list[tuple[str, str]] = field(default_factory=list)

    def count(self, label: str, record: RunRecord) -> None:
        """A run stands."""
        if record.status == "completed":
            self.completed += 1
        elif record.status == "stopped":
            self.stopped += 1
        else:
            self.failed += 1
            reason = f"{record.failure.kind}: {record.failure.message}" if record.failure else "unknown"
            self.failures.append((label, reason))


#: Notes of one run that are told; its record has them all.
MOST_NOTES = 10


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
        travelling: Mapping[str, Folder] | None = None,
        archives: Mapping[str, Path] | None = None,
        gives_up: bool = False,
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
            travelling: workload -> the folder that travels with it, where it is a command.
            archives: workload -> the archive of that folder.
            gives_up: whether nothing more is started once a run fails of whose cell none has completed.
        """
        self.scenario = scenario
        self.plan = plan
        self.folder = folder
        self.site = site
        self.code = code
        self.watcher = watcher
        self._travelling = travelling or {}
        self.stop = stop or Stop()
        self.retries = retries or RetryPolicy()
        self._tasks = TaskSpecs(scenario, plan, folder, site, beside.resolve(), archives or {})
        self._gives_up = gives_up
        self._estimate = Estimate()
        #: Stacks that a preparation has just loaded: the disk's cache is warm for them.
        self._loaded: set[str] = set()
        #: Notes that the watcher has heard: repetitions tell the same.
        self._noted: set[str] = set()

    def run(self, scenario_text: str, *, resume: bool = False, fresh: bool = False) -> Outcome:
        """Make every run of the plan that is not there yet, and say what became of them.

        Raises:
            NotRunnableError: no cell can run here.
            BadInputError: the folder is not one to write into.
            StackyardError: a preparation failed, the folder cannot be written, or a file that a run names not read.
        """
        if not self.plan.cells:
            reasons = "; ".join(sorted({c.reason or "" for c in self.plan.not_runnable}))
            raise NotRunnableError(f"{self.plan.name}: no cell can run on this machine: {reasons}")
        with self.folder.locked(made=not resume) as lock, self.stop.on_signals():
            conditions = Conditions(
                folder=self.folder,
                python_of=self.site.python_of,
                code=self.code,
                lock=lock,
                watcher=self.watcher,
                stop=self.stop,
                retries=self.retries,
                estimate=self._estimate,
            )
            try:
                self.folder.begin(self.plan, scenario_text, resume=resume, fresh=fresh)
                folders.keep_diffs(self._travelling, self.folder.path / CODE_FOLDER)
                return self._matrix(conditions)
            except BrokenPipeError:  # nobody reads our output any more; the folder is fine
                raise
            except OSError as error:
                raise self.folder.unusable(error) from error

    def _matrix(self, conditions: Conditions) -> Outcome:
        outcome = Outcome(not_runnable=len(self.plan.not_runnable))
        for absent in self.plan.not_runnable:
            self.watcher.message(f"not runnable: {absent.name}: {absent.reason}")
        todo = self._todo(outcome)
        due = todo.due
        ready = False
        done = outcome.kept
        completed = {kept.cell.slug for kept in todo.kept if kept.record.status == "completed"}
        for index, run in enumerate(due):
            if self.stop.requests:
                outcome.interrupted = True
                break
            if not ready and not run.begun:
                if not self.prepare(conditions):
                    outcome.interrupted = True
                    return outcome
                ready = True
            self._estimate.remaining = [later.cell.slug for later in due[index:]]
            label = f"{run.block.name} {self._short(run.cell)}"
            self.watcher.started(label, done, self.plan.runs_total)
            record = self._attempt(run, conditions).record()
            if not counts_as_done(record) and self.stop.requests:
                outcome.interrupted = True
                break
            done += 1
            self._estimate.remaining = [later.cell.slug for later in due[index + 1 :]]
            outcome.count(label, record)
            remaining = self._estimate.seconds()
            self.watcher.ended(label, record, done, self.plan.runs_total, remaining)
            self._tell_notes(record, self.folder.run(run.block.name, run.cell.slug))
            if record.status == "completed":
                completed.add(run.cell.slug)
            elif record.status == "failed" and self._gives_up and run.cell.slug not in completed:
                outcome.given_up = True
                break
        return outcome

    def _todo(self, outcome: Outcome) -> Todo:
        """What is left of the plan; runs that are there already are counted."""
        cells = {cell.slug: cell for cell in scenarios.cells(self.scenario)}
        todo = todo_of(self.plan, self.folder, cells, lambda cell: self._deployment(cell).can_be_taken_up)
        for reason in todo.unreadable:
            self.watcher.message(f"a record cannot be read, its run is made again: {reason}")
        for kept in todo.kept:
            outcome.kept += 1
            outcome.count(kept.name, kept.record)
            self._estimate.add(kept.cell.slug, kept.record.measurement.wall_seconds)
        return todo

    def _attempt(self, run: Due, conditions: Conditions) -> Attempt:
        settings = scenarios.settings_of(self.scenario, run.cell)
        return Attempt(
            self._tasks.of_cell(run.block, run.cell),
            self.folder.run(run.block.name, run.cell.slug),
            self._deployment(run.cell),
            conditions,
            cell=run.cell.slug,
            gpus=settings.hardware.gpus,
            workers=settings.workers,
        )

    def _deployment(self, cell: Cell) -> Deployment:
        return self.site.deployment(cell.axes["deployment"])

    def _warm(self) -> None:
        """Load every stack once, on the host and in its image, wherever the matrix runs it."""
        cells = {cell.slug: cell for cell in scenarios.cells(self.scenario)}
        settings = [scenarios.settings_of(self.scenario, cells[planned.name]) for planned in self.plan.cells]
        used = {(self._image_of(s.deployment), s.stack) for s in settings if s.stack != NO_STACK}
        for image, stack in sorted(used - {("", name) for name in self._loaded}):
            self.watcher.message(f"loading stack {stack} once" + (" in its image" if image else ""))
            self.site.deployment(image or self.site.default_deployment).warm(stack, self.code)

    def _image_of(self, deployment: str) -> str:
        """The deployment again where its runs happen in an image; empty: they happen on the host."""
        return deployment if self.site.deployment(deployment).in_container else ""

    def prepare(self, conditions: Conditions) -> bool:
        """Make the preparations that are not there, and load every stack once; False when stopped meanwhile.

        Raises:
            StackyardError: a preparation failed.
        """
        if not self._prepared(conditions):
            return False
        self._warm()
        return True

    def _prepared(self, conditions: Conditions) -> bool:
        for preparation in self.scenario.preparations:
            if preparation.name not in self.plan.preparations:
                continue
            folder = self.folder.preparation(preparation.name)
            record = self.folder.record(folder)
            if record is not None and record.status == "completed":
                continue
            if self.stop.requests:
                return False
            self.folder.set_aside(folder)
            self.watcher.started(f"prepare {preparation.name}", 0, self.plan.runs_total)
            task = self._tasks.of_preparation(preparation)
            deployment = self.site.deployment(self.site.default_deployment)
            record = Attempt(task, folder, deployment, conditions).record()
            self._loaded.add(preparation.stack)
            if record.failure is not None or record.status != "completed":
                if self.stop.requests:
                    return False
                why = record.failure or record.stopped
                message = why.message if why is not None else "no reason given"
                raise StackyardError(
                    f"preparation {preparation.name!r} failed ({message}); see {folder / records.LOG_FILE}, "
                    f"then {self.folder.continuing()}"
                )
            self.watcher.message(
                f"prepared {preparation.name} in {record.measurement.wall_seconds or 0:.1f} s"
            )
            self._tell_notes(record, folder)
        return True

    def _tell_notes(self, record: RunRecord, folder: Path) -> None:
        """Say what a reader should know of a run, and where the run lies, once."""
        new = [note for note in record.notes if note not in self._noted][:MOST_NOTES]
        for note in new:
            self.watcher.message(f"  note: {''.join(c if c.isprintable() else ' ' for c in note)}")
        if new:
            self.watcher.message(f"  in {folder}")
        self._noted.update(new)

    def _short(self, cell: Cell) -> str:
        """The cell by the axes in which the cells of this matrix differ; those of earlier versions lie there too."""
        varied = [
            axis
            for axis in cell.axes
            if len({c.axes[axis] for c in self.plan.cells}) > 1
            or (axis == "workload" and cell.axes[axis] in self.plan.changes)
        ]
        return " · ".join(cell.axes[axis] for axis in varied) or cell.axes["workload"]
