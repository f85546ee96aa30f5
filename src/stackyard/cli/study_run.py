"""A study that the command line runs: read, planned with what this machine has, and searched.

The assembly of the rooms for ``stackyard tune``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from stackyard import scenarios
from stackyard.clearml.sending import Filing
from stackyard.cli import matrix as matrices
from stackyard.cli import progress
from stackyard.counting import count
from stackyard.errors import BadInputError, NotRunnableError
from stackyard.launch.deployment import Deployment
from stackyard.launch.retries import RetryPolicy
from stackyard.matrix import folders, planning, resuming
from stackyard.matrix.attempt import Attempt, Conditions
from stackyard.matrix.estimate import Estimate
from stackyard.matrix.plan import Plan, PlannedBlock
from stackyard.matrix.runner import Runner
from stackyard.matrix.runs import CODE_FOLDER
from stackyard.matrix.stop import Stop
from stackyard.matrix.task_specs import TaskSpecs
from stackyard.scenarios import Known, Scenario
from stackyard.settings import Settings
from stackyard.toml_tables import GPUS_VARIABLE
from stackyard.tuning import capacity, reading, shared
from stackyard.tuning.controller import Controller, Outcome, Watcher
from stackyard.tuning.engine import Engine
from stackyard.tuning.folder import StudyFile, StudyFolder, name_of
from stackyard.tuning.room import Room
from stackyard.tuning.study import Study
from stackyard.tuning.study import plain as study_plain
from stackyard.tuning.trial import Trial
from stackyard_task import records
from stackyard_task.records import RunRecord, TaskSpec
from stackyard_task.studies import STUDY_TAG, TRIAL_TAG, project_of

#: The trial whose cell stands for all of them in a study's plan.
_ANY = "any"
#: Differences that a sentence names.
_MOST_SHOWN = 3
#: Of what is noted of one change.
_MOST_LETTERS = 1000


class _Told:
    """Passes on what is said of a trial's run, but for an end that the tuner itself asked for."""

    def __init__(self, watcher: Watcher, name: str, stop: Stop) -> None:
        self._watcher, self._name, self._stop = watcher, name, stop

    def message(self, text: str) -> None:
        """One line worth knowing."""
        if not self._stop.requests:
            self._watcher.message(f"{self._name}: {text}")

    def started(self, label: str, done: int, total: int) -> None:
        """The study's watcher is told when a trial begins."""

    def tick(self, progress: Mapping[str, Any] | None, left_seconds: float | None) -> None:
        """The study's watcher looks itself."""

    def ended(
        self, label: str, record: RunRecord, done: int, total: int, remaining_seconds: float | None
    ) -> None:
        """The study's watcher is told when a trial is over."""


@dataclasses.dataclass(frozen=True)
class _Attempts:
    """Makes the attempts at trials."""

    folder: StudyFolder
    deployment: Deployment
    conditions: Conditions
    specs: Callable[[Trial], TaskSpec]
    room: Room
    watcher: Watcher
    #: The folder in memory that trials share; ``None``: there is none.
    common: Path | None
    #: GPUs that each trial needs.
    gpus: int

    def __call__(self, trial: Trial, stop: Stop) -> Attempt:
        """The attempt at a trial, which ``stop`` ends."""
        gpu = self.room.gpu_of(trial)
        seen = {} if self.common is None else {shared.VARIABLE: str(self.common)}
        if gpu is not None:
            seen[GPUS_VARIABLE] = str(self.deployment.premises.machine.gpus[gpu].index)
        task = self.specs(trial)
        task = dataclasses.replace(task, environment={**task.environment, **seen})
        told = _Told(self.watcher, name_of(trial.number), stop)
        mine = dataclasses.replace(self.conditions, stop=stop, watcher=told, estimate=Estimate())
        return Attempt(task, self.folder.run_of(trial), self.deployment, mine, gpus=self.gpus)


def _accept(
    folder: StudyFolder, study: StudyFile, earlier: Plan, plan: Plan, accepted: bool, retry_failed: bool
) -> None:
    """Have a study go on as ``plan`` says where the workload changed, and note which trials were before.

    Raises:
        BadInputError: it changed, and that was not ``accepted``.
    """
    lines = [line for found in resuming.changed(earlier, plan).values() for line in found]
    if not lines:
        return
    if not accepted:
        more = f"; and {len(lines) - _MOST_SHOWN} more" if len(lines) > _MOST_SHOWN else ""
        raise BadInputError(
            f"{folder.path}: what trials run is not what began there ({'; '.join(lines[:_MOST_SHOWN])}{more}); give "
            "the same, go on with --accept-changes, or search anew: stackyard tune run FILE --fresh"
        )
    trials = folder.trials()
    failed = sum(trial.state == "failed" for trial in trials) if retry_failed else 0
    again = f" ({failed} of them failed and {'is' if failed == 1 else 'are'} made again)" if failed else ""
    study.changes.append(f"after {count(len(trials), 'trial')}{again}: {'; '.join(lines)}"[:_MOST_LETTERS])
    folder.write_study(study)
    records.write_json(plan, folder.runs.plan_path)


@dataclasses.dataclass(frozen=True)
class _Ground:
    """A study's folder, held, and what its runs are made with."""

    folder: StudyFolder
    plans: matrices.Planned
    #: Folder of a command -> its archive.
    archives: dict[str, Path]
    conditions: Conditions


class StudyRun:
    """A study file and what is around it, ready to be searched.

    Args:
        text: the file's content.
        name: its name, for messages.
        beside: the folder that the file's relative paths are seen from.
        settings: where everything is kept.
        checked: as of a matrix.

    Raises:
        BadInputError: the study cannot be read.
    """

    def __init__(
        self, text: str, name: str, beside: Path, settings: Settings, *, checked: bool = True
    ) -> None:
        self._text, self._name, self._beside, self._settings = text, name, beside, settings
        self.study: Study

        def reader(text: str, name: str, known: Known) -> Scenario:
            self.study = reading.read(text, name, known)
            corner = {d.name: d.at(0.0) for d in self.study.space.dimensions}
            return self.study.of_trial(_ANY, corner)

        self._matrix = matrices.Matrix(
            text, name, beside, settings, checked=checked, is_file=True, reader=reader
        )

    def search(
        self,
        out: Path,
        *,
        file: str,
        again: str,
        watcher: Watcher,
        resume: bool = False,
        fresh: bool = False,
        task: str | None = None,
        accept_changes: bool = False,
        retry_failed: bool = False,
    ) -> Outcome:
        """Search until the budget is used up, nothing is left, or somebody stops it.

        Args:
            out: the study's folder.
            file: the study file, as a later ``resume`` finds it.
            again: the command that continues it, but for ``--out`` and ``--resume``.
            watcher: who is told.
            resume: continue the study that is there.
            fresh: replace it.
            task: id of the task on a server that stands for the study; its trials' tasks become parts of it.
            accept_changes: continue it though code, packages or inputs changed, and say so in the study.
            retry_failed: begin trials again that failed.

        Raises:
            BadInputError: the plan cannot be made, or the folder is not one to write into.
            NotRunnableError: the study cannot run on this machine.
            StackyardError: a preparation failed, or the folder cannot be written.
        """
        folder, engine = StudyFolder(out, again), Engine(self.study)
        earlier = folder.runs.plan() if resume else None
        plans = self._matrix.planned(folder.runs, earlier, {}, None, [], write=True)
        plan = plans.plan
        if not plan.cells:
            cell = scenarios.settings_of(plans.scenario, scenarios.cells(plans.scenario)[0])
            nowhere = planning.why_nowhere(cell, plans.site)
            if nowhere is not None:  # another machine would not help: it is the file's fault
                raise BadInputError(f"{plan.name}: {nowhere}")
            raise NotRunnableError(f"{plan.name}: cannot run on this machine: {plan.not_runnable[0].reason}")
        archives = folders.archived(plans.travelling, self._settings.home)
        stop = Stop()
        with (
            progress.watcher(Console(stderr=True)) as preparing,
            folder.runs.locked(made=not resume) as lock,
            stop.on_signals(),
        ):
            if task is not None:
                # who is told so goes with its agent: its trials go on, and the next one takes them up
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            conditions = Conditions(
                folder=folder.runs,
                python_of=plans.site.python_of,
                code=plans.code,
                lock=lock,
                watcher=preparing,
                stop=stop,
                retries=RetryPolicy(),
                estimate=Estimate(),
            )
            ground = _Ground(folder, plans, archives, conditions)
            try:
                study = self._opened(
                    ground, file, earlier, accept_changes, resume=resume, retry_failed=retry_failed
                )
                folder.runs.begin(plan, self._text, resume=resume, fresh=fresh)
                folders.keep_diffs(plans.travelling, folder.path / CODE_FOLDER)
                folder.write_study(study)  # from here on it can be continued, also while preparations run
                if not self._prepared(ground):
                    return Outcome(folder.trials(), interrupted=True)
                return self._controlled(ground, engine, study, watcher, task, retry_failed)
            except BrokenPipeError:
                raise
            except OSError as error:
                raise folder.runs.unusable(error) from error

    def _opened(
        self,
        ground: _Ground,
        file: str,
        earlier: Plan | None,
        accept_changes: bool,
        *,
        resume: bool,
        retry_failed: bool,
    ) -> StudyFile:
        """What study.json is to hold: that of the study that goes on, or of a new one."""
        folder, plan, now = ground.folder, ground.plans.plan, study_plain(self.study)
        old = folder.study() if resume else None
        if old is not None:
            folder.sweep()
            folder.refuse_other(old, now)
        study = old or StudyFile(self.study.name, self.study.scenario.title, file, plan.started_at)
        study.study, study.file = now, file
        if old is not None and earlier is not None:
            _accept(folder, study, earlier, plan, accept_changes, retry_failed)
        return study

    def _prepared(self, ground: _Ground) -> bool:
        """Run what is made once before the trials; False: somebody stopped it."""
        plans, conditions = ground.plans, ground.conditions
        runner = Runner(
            plans.scenario,
            plans.plan,
            ground.folder.runs,
            plans.site,
            plans.code,
            self._beside,
            conditions.watcher,
            conditions.stop,
            travelling=plans.travelling,
            archives=ground.archives,
        )
        return runner.prepare(conditions)

    def _controlled(
        self,
        ground: _Ground,
        engine: Engine,
        study: StudyFile,
        watcher: Watcher,
        task: str | None,
        retry_failed: bool,
    ) -> Outcome:
        """Make trials until there are no more."""
        folder, plans, conditions = ground.folder, ground.plans, ground.conditions
        deployment = plans.site.deployment(plans.scenario.axes["deployment"][0])
        deployment.premises.shared[Filing] = self._filing(task)
        own = contextlib.nullcontext() if deployment.elsewhere else shared.folder(folder.path)
        with own as common:
            room = capacity.room_of(self.study, deployment, common)
            gpus = 0 if self.study.hardware is None else self.study.hardware.gpus
            specs = self._specs(ground)
            attempt = _Attempts(folder, deployment, conditions, specs, room, watcher, common, gpus)
            controller = Controller(engine, folder, attempt, room, watcher, conditions.stop)
            return controller.run(study, retry_failed)

    def _filing(self, task: str | None) -> Filing:
        """Where the tasks of trials are found, if they are tasks."""
        name = self.study.name
        return Filing(project_of(name), (TRIAL_TAG, f"{STUDY_TAG}{name}"), task)

    def _specs(self, ground: _Ground) -> Callable[[Trial], TaskSpec]:
        plans, runs, archives = ground.plans, ground.folder.runs, ground.archives

        def of(trial: Trial) -> TaskSpec:
            name = name_of(trial.number)
            scenario = self.study.of_trial(name, trial.parameters)
            specs = TaskSpecs(scenario, plans.plan, runs, plans.site, self._beside.resolve(), archives)
            (cell,) = scenarios.cells(scenario)
            task = specs.of_cell(PlannedBlock(name, trial.number + 1, False), cell)
            return dataclasses.replace(
                task,
                run_id=f"{plans.plan.name}/{name}",
                block=None,
                criteria=self.study.limits,
                wanted=[objective.name for objective in self.study.objectives],
                threads=task.threads or self.study.threads,
                followed=True,
            )

        return of
