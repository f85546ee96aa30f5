"""A scenario that the command line runs: read, planned with what this machine has, run, and reported on.

The assembly of the rooms for ``stackyard scenario``, ``run`` and ``compare``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from stackyard import reports, scenarios, stacks, workloads
from stackyard.cli import left_behind, progress, reporting
from stackyard.cli.building import sparsely
from stackyard.cli.options import measure
from stackyard.counting import count
from stackyard.errors import BadInputError, Interrupted, RunsFailedError, RunsStoppedError, StackyardError
from stackyard.launch import installed
from stackyard.launch.deployment import Premises
from stackyard.matrix import derived_stacks, folders, input_marks, planning, resuming, site
from stackyard.matrix.inputs import Inputs
from stackyard.matrix.plan import Plan
from stackyard.matrix.runner import Outcome, Runner
from stackyard.matrix.runs import RunFolder
from stackyard.matrix.site import Site
from stackyard.reports.quantities import quantity
from stackyard.scenarios import Known, Preparation, Scenario
from stackyard.scenarios.shape import WorkloadSpec
from stackyard.settings import Settings
from stackyard.stacks.definition import StackSpec
from stackyard.workloads import Catalogue, code_folders, snapshot, trials
from stackyard.workloads.folder import Folder
from stackyard_task.records import Code


class Matrix:
    """A scenario and what is around it, ready to be planned and run.

    Args:
        text: the scenario file's content.
        name: the file's name, for messages.
        beside: the folder that the file's relative paths are seen from.
        settings: where everything is kept.
        checked: whether functions of the user's own are looked for. What runs on resume is the snapshot, whatever
            became of the files meanwhile.
        is_file: whether there is a file of this name; it travels with no command.
        reader: what the text means where it is no scenario's.

    Raises:
        BadInputError: the scenario cannot be read.
    """

    def __init__(
        self,
        text: str,
        name: str,
        beside: Path,
        settings: Settings,
        *,
        checked: bool = True,
        is_file: bool = False,
        reader: Callable[[str, str, Known], Scenario] = scenarios.read,
    ) -> None:
        self._text, self._name, self._beside, self._settings = text, name, beside, settings
        self._file = beside / Path(name).name if is_file else None
        self._defined = stacks.load()
        self._catalogue = workloads.load(beside)
        self.scenario = reader(text, name, known(self._defined, self._catalogue, checked=checked))

    def run(
        self,
        out: Path,
        *,
        again: str,
        repeats: int | None = None,
        only: list[tuple[str, str]] | None = None,
        resume: bool = False,
        accept_changes: bool = False,
        fresh: bool = False,
        dry_run: bool = False,
        as_json: bool = False,
        gives_up: bool = False,
    ) -> None:
        """Run what is left of the matrix in ``out``, then report.

        Args:
            out: the run folder.
            again: the command that continues it, but for ``--out`` and ``--resume``.
            repeats: blocks, instead of the scenario's number.
            only: pairs of axis and value to narrow the cells to.
            resume: continue the matrix that is there.
            accept_changes: start new cells for workloads that changed since it began.
            fresh: replace it.
            dry_run: say what would run; start and write nothing.
            as_json: print one JSON object.
            gives_up: start nothing more once a run fails of whose cell none has completed.

        Raises:
            BadInputError: the plan cannot be made, or the folder is not one to write into.
            Interrupted: somebody stopped it.
            RunsFailedError: some runs failed.
            RunsStoppedError: none failed, and some were stopped at a criterion.
        """
        folder = RunFolder(out, again)
        earlier = folder.plan() if resume else None
        names = {} if earlier is None else earlier.renamed
        changes = {} if earlier is None else earlier.changes
        plans = self.planned(folder, earlier, names, repeats, only or [], write=not dry_run)
        if earlier is not None and accept_changes:
            changed = resuming.changed(earlier, plans.plan)
            if changed:
                names = resuming.next_names(names, changed)
                changes = resuming.changes(earlier, names, changed)
                plans = self.planned(folder, earlier, names, repeats, only or [], write=not dry_run)
        plan = plans.plan
        plan.changes = dict(changes)
        warn(plan.undivided)
        if dry_run:
            _dry(plan, folder, plans, as_json, resume=resume, fresh=fresh)
            return
        with progress.watcher(Console(stderr=True)) as watcher:
            watcher.message(_intention(plan, folder.path))
            runner = Runner(
                plans.scenario,
                plan,
                folder,
                plans.site,
                plans.code,
                self._beside,
                watcher,
                travelling=plans.travelling,
                archives=folders.archived(plans.travelling, self._settings.home),
                gives_up=gives_up,
            )
            outcome = runner.run(self._text, resume=resume, fresh=fresh)
        if outcome.interrupted:
            done = outcome.completed + outcome.failed + outcome.stopped
            raise Interrupted(
                f"stopped after {done} of {count(plan.runs_total, 'run')}; {folder.continuing()}"
            )
        if outcome.given_up:
            label, reason = outcome.failures[-1]
            raise RunsFailedError(
                f"{label} failed in its first run ({reason}): nothing more was started; "
                f"its output lies in {folder.path / 'runs'}{left_behind.hint(plan, folder, plans.travelling)}"
            )
        report([folder.path], folder.path, as_json, outcome)
        if outcome.failed:
            label, reason = outcome.failures[0]
            raise RunsFailedError(
                f"{outcome.failed} of {count(plan.runs_total, 'run')} failed (the first: {label}: {reason}); "
                f"their output lies in {folder.path / 'runs'}{left_behind.hint(plan, folder, plans.travelling)}"
            )
        if outcome.stopped:
            raise RunsStoppedError(
                f"{outcome.stopped} of {count(plan.runs_total, 'run')} stopped at a limit of [stop]; "
                "the report says at which"
            )

    def planned(
        self,
        folder: RunFolder,
        earlier: Plan | None,
        names: Mapping[str, str],
        repeats: int | None,
        only: list[tuple[str, str]],
        *,
        write: bool,
    ) -> Planned:
        """The plan with what its runs need; without ``write`` nothing is resolved, built or kept."""
        settings, beside = self._settings, self._beside
        scenario = resuming.named_anew(self.scenario, names)
        due: Mapping[str, str] = {}
        if write:
            with progress.watcher(Console(stderr=True)) as watcher:
                built = derived_stacks.built(
                    scenario, beside, settings, self._defined, sparsely(watcher.message)
                )
        else:
            built, due = derived_stacks.foreseen(scenario, beside, settings, self._defined)
        here = site.here(Premises.here(settings, built, due), self._catalogue.declared)
        # cells that go on have the code they began with; only functions that changed, and are accepted, need another
        own = None if earlier is None else _own_digest(self._catalogue, scenario)
        anew = earlier is not None and names != earlier.renamed and own != earlier.code.own_digest
        code_folder, code = _code(settings, None if anew else earlier, self._catalogue, scenario, write=write)
        if earlier is not None:
            repeats, only = _as_begun(earlier, scenario, repeats, only)
            code = code if anew else dataclasses.replace(code, own_digest=own)
        apart = [folder.path, settings.home, *([] if self._file is None else [self._file])]
        travelling = folders.of_commands(scenario, beside, leave_out=apart)
        plan = planning.planned(
            scenario,
            here,
            code,
            repeats=repeats,
            only=only,
            measure=measure(),
            folders=folders.planned(travelling, scenario, beside),
            read=input_marks.of_scenario(scenario, beside),
            renamed=names,
        )
        plan.added = derived_stacks.added(scenario, built)
        refuse_missing(beside / Path(self._name).name, scenario, self._catalogue, here.dataset, plan)
        if earlier is None:  # a matrix that goes on has the code it began with, which may read other settings
            refuse_sources(beside / Path(self._name).name, scenario, self._catalogue)
        plan.undivided = (
            earlier.undivided
            if earlier is not None
            else undivided(scenario, self._catalogue, [cell.axes for cell in plan.cells])
        )
        return Planned(scenario, plan, here, code_folder, travelling, due)


@dataclasses.dataclass(frozen=True)
class Planned:
    """A plan, and what its runs need."""

    scenario: Scenario
    plan: Plan
    site: Site
    #: The snapshot's folder.
    code: Path
    travelling: Mapping[str, Folder]
    #: Stack -> what has to be done before it can be run on; only of a plan that starts nothing.
    due: Mapping[str, str]


def _own_digest(catalogue: Catalogue, scenario: Scenario) -> str | None:
    """The digest of the user's own functions as they are now, so that a change shows as a difference."""
    try:
        return catalogue.code(_functions(scenario)).own_digest
    except StackyardError as error:
        return f"they cannot be used ({error})"


def _functions(scenario: Scenario) -> list[str]:
    """The workloads that a scenario names rather than declares."""
    specs: list[WorkloadSpec | Preparation] = [*scenario.workloads.values(), *scenario.preparations]
    return [spec.workload for spec in specs if spec.declared is None]


def read(
    text: str, name: str, defined: Mapping[str, StackSpec], catalogue: Catalogue, *, checked: bool
) -> Scenario:
    """The scenario that a text describes; functions of the user's own are looked for where ``checked``.

    Raises:
        BadInputError: it cannot be read.
    """
    return scenarios.read(text, name, known(defined, catalogue, checked=checked))


def known(defined: Mapping[str, StackSpec], catalogue: Catalogue, *, checked: bool) -> Known:
    """The names that a file may use; functions of the user's own are looked for where ``checked``."""
    default = stacks.DEFAULT if stacks.DEFAULT in defined else next(iter(defined), "")
    return Known(
        stacks=list(defined),
        default_stack=default,
        deployments=installed.names(),
        default_deployment=installed.DEFAULT,
        workloads=catalogue.declared,
        why_not=catalogue.why_not if checked else lambda reference: None,
        unread=catalogue.unread(),
    )


def refuse_missing(
    file: Path,
    scenario: Scenario,
    catalogue: Catalogue,
    dataset: Callable[[str], object],
    plan: Plan | None = None,
) -> None:
    """See that the files are there that the runs of a plan read, or without one all that the scenario file names.

    Raises:
        BadInputError: one is not.
    """
    cells, preparations = scenarios.cells(scenario), list(scenario.preparations)
    if plan is not None:
        planned = {cell.name for cell in plan.cells}
        cells = [cell for cell in cells if cell.slug in planned]
        preparations = [p for p in preparations if p.name in plan.preparations]
    found = Inputs(scenario, file, catalogue.declared, dataset, _is_elsewhere)
    found.refuse_missing(cells, preparations)
    specs: list[WorkloadSpec | Preparation] = [*scenario.workloads.values(), *preparations]
    for spec in specs:
        reason = None if spec.command is None else code_folders.why_not(spec.command, file.parent)
        if reason is not None:
            table = "prepare" if isinstance(spec, Preparation) else "workloads"
            raise BadInputError(f"{file}: {table}.{spec.name}: {reason}")
    for name, stack in scenario.stacks.items():
        if not (file.parent / stack.requirements).is_file():
            raise BadInputError(
                f"{file}: stacks.{name}.requirements is {stack.requirements!r}: there is no file "
                f"{(file.parent / stack.requirements).absolute()}"
            )


def sources(scenario: Scenario, catalogue: Catalogue) -> list[trials.Asked]:
    """The data that the cells and preparations of a scenario read, each with who checks and tries it."""
    found: list[trials.Asked] = []
    specs: list[tuple[str, WorkloadSpec | Preparation, Mapping[str, Any]]] = [
        (f"prepare.{p.name}", p, p.parameters) for p in scenario.preparations
    ]
    for cell in scenarios.cells(scenario):
        settings = scenarios.settings_of(scenario, cell)
        specs.append((f"workloads.{settings.workload.name}", settings.workload, settings.parameters))
    for where, spec, parameters in specs:
        declared = spec.declared or catalogue.declared.get(spec.workload)
        for one in trials.of_parameters(declared, parameters, scenario.data, f"{where}.parameters"):
            if one not in found:
                found.append(one)
    return found


def refuse_sources(file: Path, scenario: Scenario, catalogue: Catalogue) -> None:
    """See that the settings of all sources can be used, as the packages say that read them.

    Raises:
        BadInputError: some cannot; the message names the key.
    """
    trials.refuse(file, sources(scenario, catalogue))


def undivided(scenario: Scenario, catalogue: Catalogue, cells: Iterable[Mapping[str, str]]) -> list[str]:
    """The workloads of cells that several workers share, though their code nowhere says shard."""
    shared = sorted({axes["workload"] for axes in cells if axes.get("workers", "1") != "1"})
    functions = [name for name in shared if scenario.workloads[name].declared is None]
    return [name for name in functions if not catalogue.says_shard(scenario.workloads[name].workload)]


def warn(undivided: list[str]) -> None:
    """Say on stderr which workloads share no work."""
    for name in undivided:
        typer.echo(
            f"warning: the code of workload {name!r} nowhere says shard: with the axis workers each task would do "
            "the whole work",
            err=True,
        )


def _is_elsewhere(deployment: str) -> bool:
    """Whether runs of a deployment may happen where other files lie than here."""
    try:
        return installed.named(deployment).elsewhere
    except StackyardError:  # it cannot be loaded here; planning says why
        return True


def _as_begun(
    earlier: Plan, scenario: Scenario, repeats: int | None, only: list[tuple[str, str]]
) -> tuple[int | None, list[tuple[str, str]]]:
    """Repeats and cells of a resumed matrix: as it began, unless the file or the user says otherwise."""
    if repeats is None and scenario.repeats == earlier.scenario.get("repeats"):
        repeats = earlier.repeats
    return repeats, only or [(axis, value) for axis, values in earlier.only.items() for value in values]


def _code(
    settings: Settings, earlier: Plan | None, catalogue: Catalogue, scenario: Scenario, *, write: bool
) -> tuple[Path, Code]:
    """The snapshot of the measured code: on resume the one the matrix began with, where it still exists.

    Without ``write`` no snapshot is made: the folder is where it would lie.
    """
    if earlier is not None:
        code = earlier.code
        kept = snapshot.again(settings.home, code)
        if kept is not None:
            return kept, code
    used = _functions(scenario)
    if not write:
        code = catalogue.code(used)
        return snapshot.kept(settings.home, code.digest or ""), code
    return catalogue.taken(settings.home, used)


def report(folders: list[Path], out: Path, as_json: bool, outcome: Outcome | None = None) -> None:
    """Write the report of ``folders`` to ``out``; print a table and its path, or one JSON object."""
    further = None if outcome is None else {"outcome": dataclasses.asdict(outcome)}
    reporting.show(reports.analyse(reports.load(folders)), out, as_json, further)


def _intention(plan: Plan, folder: Path) -> str:
    prepare = f" after {count(len(plan.preparations), 'preparation')}" if plan.preparations else ""
    without = [
        f"{count(len(plan.not_runnable), 'cell')} not runnable here" if plan.not_runnable else "",
        f"{plan.excluded} excluded" if plan.excluded else "",
    ]
    left = f" ({', '.join(part for part in without if part)})" if any(without) else ""
    return f"{plan.name}: {count(len(plan.cells), 'cell')} x {count(plan.repeats, 'run')}{prepare}, in {folder}{left}"


def _dry(
    plan: Plan,
    folder: RunFolder,
    plans: Planned,
    as_json: bool,
    *,
    resume: bool,
    fresh: bool,
) -> None:
    """Say what would run, of a matrix that is continued only what is left, and whether that would be refused.

    Raises:
        BadInputError: it is to be continued, and cannot be.
    """
    try:
        folder.refuse(plan, resume=resume, fresh=fresh)
    except BadInputError as error:
        if resume:
            raise
        typer.echo(f"this run would be refused: {error}", err=True)
    kept = folder.kept(plan) if resume else set()
    due = sorted({plans.due[name] for name in plan.stacks if name in plans.due})
    if as_json:
        there = {name: left_behind.as_json(one) for name, one in plans.travelling.items()}
        said = {**dataclasses.asdict(plan), "kept": sorted(kept), "first": due, "travelling": there}
        typer.echo(json.dumps(said, indent=1))
    else:
        _print_plan(plan, kept, folder if resume else None)
        for work in due:
            typer.echo(f"first    {work}")
        for name, one in plans.travelling.items():
            out = ", ".join(
                f"{number} {reason}: {', '.join(one.foremost(reason))}"
                for reason, number in one.left_out.items()
            )
            typer.echo(
                f"with {name} travel {count(len(one.files), 'file')} of {one.path}, {quantity(one.size, 'B')}"
                + (f" (left out: {out})" if out else "")
            )
            for file in one.files:
                typer.echo(f"  {file}")


def _print_plan(plan: Plan, kept: Collection[str], earlier: RunFolder | None) -> None:
    stand = f"; {len(kept)} of them stand" if kept else ""
    typer.echo(f"{plan.title}: {count(plan.runs_total, 'run')} of {count(len(plan.cells), 'cell')}{stand}")
    for name in plan.preparations:
        record = earlier.record(earlier.preparation(name)) if earlier else None
        if record is None or record.status != "completed":
            typer.echo(f"prepare  {name}")
    for cell in plan.not_runnable:
        typer.echo(f"not runnable  {cell.name}: {cell.reason}")
    for block in plan.blocks:
        for name in block.order:
            if f"{block.name}-{name}" not in kept:
                typer.echo(f"{block.name}  {name}")
