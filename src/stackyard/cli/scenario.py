"""``stackyard scenario``: run a matrix, report on run folders, check and list scenario files."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from stackyard import extras, reports, scenarios, stacks, toml_tables, workloads
from stackyard.cli import progress
from stackyard.errors import BadInputError, Interrupted, RunsFailedError, StackyardError
from stackyard.launch import installed
from stackyard.launch.deployment import Premises
from stackyard.machine import data as data_sets
from stackyard.matrix import derived_stacks, folders, planning, site
from stackyard.matrix.inputs import Inputs
from stackyard.matrix.runner import Outcome, Runner
from stackyard.matrix.runs import Plan, RunFolder
from stackyard.reports.quantities import count
from stackyard.scenarios import Known, Preparation, Scenario
from stackyard.scenarios.shape import WorkloadSpec
from stackyard.settings import Settings
from stackyard.stacks.definition import StackSpec
from stackyard.workloads import Catalogue, snapshot
from stackyard_task.records import Code

#: A file or pipe has no width of its own; the table needs this much.
LOG_COLUMNS = 110

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

File = Annotated[Path, typer.Argument(help="The scenario file (TOML).", metavar="FILE")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout; progress goes to stderr.")
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of the data sets, instead of $STACKYARD_DATA."),
]


@app.command("run")
def run_command(
    file: File,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Run folder; default: runs/<name of the scenario>."),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option("--repeats", min=1, max=999, help="Make so many blocks, instead of the file's number."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="AXIS=VALUE", help="Run only cells with this value; may be repeated."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the matrix in the run folder.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Replace the earlier matrix in the run folder.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run; start and write nothing.")
    ] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Run every cell of a scenario file in randomised blocks, then report."""
    if resume and fresh:
        raise BadInputError("--resume and --fresh exclude each other; give one")
    text = toml_tables.text_of(file, "give the path of a scenario file")
    matrix = Matrix(text, str(file), file.parent, Settings.from_environment(data), checked=not resume)
    matrix.run(
        out or Path("runs") / matrix.scenario.name,
        again=f"stackyard scenario run {shlex.quote(str(file))}",
        repeats=repeats,
        only=_pairs(only or []),
        resume=resume,
        fresh=fresh,
        dry_run=dry_run,
        as_json=as_json,
    )


class Matrix:
    """A scenario and what is around it, ready to be planned and run.

    Args:
        text: the scenario file's content.
        name: the file's name, for messages.
        beside: the folder that the file's relative paths are seen from.
        settings: where everything is kept.
        checked: whether functions of the user's own are looked for. What runs on resume is the snapshot, whatever
            became of the files meanwhile.

    Raises:
        BadInputError: the scenario cannot be read.
    """

    def __init__(
        self, text: str, name: str, beside: Path, settings: Settings, *, checked: bool = True
    ) -> None:
        self._text, self._name, self._beside, self._settings = text, name, beside, settings
        self._defined = stacks.load()
        self._catalogue = workloads.load(beside)
        self.scenario = _scenario(text, name, self._defined, self._catalogue, checked=checked)

    def run(
        self,
        out: Path,
        *,
        again: str,
        repeats: int | None = None,
        only: list[tuple[str, str]] | None = None,
        resume: bool = False,
        fresh: bool = False,
        dry_run: bool = False,
        as_json: bool = False,
    ) -> None:
        """Run what is left of the matrix in ``out``, then report.

        Args:
            out: the run folder.
            again: the command that continues it, but for ``--out`` and ``--resume``.
            repeats: blocks, instead of the scenario's number.
            only: pairs of axis and value to narrow the cells to.
            resume: continue the matrix that is there.
            fresh: replace it.
            dry_run: say what would run; start and write nothing.
            as_json: print one JSON object.

        Raises:
            BadInputError: the plan cannot be made, or the folder is not one to write into.
            Interrupted: somebody stopped it.
            RunsFailedError: some runs failed.
        """
        scenario, settings, pairs = self.scenario, self._settings, only or []
        folder = RunFolder(out)
        if dry_run:
            known = derived_stacks.foreseen(scenario, self._beside, settings, self._defined)
        else:
            with progress.watcher(Console(stderr=True)) as watcher:
                known = derived_stacks.built(scenario, self._beside, settings, self._defined, watcher.message)
        here = site.here(Premises.here(settings, known), self._catalogue.declared)
        earlier = folder.plan() if resume else None
        code_folder, code = _code(settings, earlier, self._catalogue, scenario, write=not dry_run)
        if earlier is not None:
            repeats, pairs = _as_begun(earlier, scenario, repeats, pairs)
        measure = os.environ.get("STACKYARD_MEASURE") or None
        travelling = folders.of_commands(scenario, self._beside, leave_out=[out])
        plan = planning.planned(
            scenario,
            here,
            code,
            repeats=repeats,
            only=pairs,
            measure=measure,
            folders=folders.planned(travelling),
        )
        _refuse_missing(self._beside / Path(self._name).name, scenario, self._catalogue, here.dataset, plan)
        plan.undivided = (
            earlier.undivided
            if earlier is not None
            else _undivided(scenario, self._catalogue, [cell.axes for cell in plan.cells])
        )
        _warn(plan.undivided)
        if dry_run:
            _dry(plan, folder, as_json, resume=resume, fresh=fresh)
            return
        with progress.watcher(Console(stderr=True)) as watcher:
            watcher.message(_intention(plan, folder.path))
            archives = folders.archived(travelling, settings.home)
            runner = Runner(
                scenario, plan, folder, here, code_folder, self._beside, watcher, archives=archives
            )
            outcome = runner.run(self._text, resume=resume, fresh=fresh)
        if outcome.interrupted:
            done = outcome.completed + outcome.failed
            raise Interrupted(
                f"stopped after {done} of {count(plan.runs_total, 'run')}; continue with: "
                f"{again} --out {shlex.quote(str(folder.path))} --resume"
            )
        _report([folder.path], folder.path, as_json, outcome)
        if outcome.failed:
            label, reason = outcome.failures[0]
            raise RunsFailedError(
                f"{outcome.failed} of {count(plan.runs_total, 'run')} failed (the first: {label}: {reason}); "
                f"their output lies in {folder.path / 'runs'}"
            )


@app.command("report")
def report_command(
    folders: Annotated[
        list[Path], typer.Argument(help="Run folders, of one or several machines.", metavar="DIR...")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to write; default: the first DIR.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Report on run folders: merge their records, compare, write report.html, .json, .csv and .md."""
    _report(folders, out or folders[0], as_json)


@app.command("validate")
def validate_command(file: File, as_json: Json = False, data: Data = None) -> None:
    """Check a scenario file, and that the files it names are there; say how many cells and runs it means."""
    catalogue, folder = workloads.load(file.parent), Settings.from_environment(data).data
    scenario, _ = _read(file, stacks.load(), catalogue)
    _refuse_missing(file, scenario, catalogue, lambda reference: data_sets.check_name(reference, folder))
    cells = scenarios.cells(scenario)
    undivided = _undivided(scenario, catalogue, [cell.axes for cell in cells])
    runs = len(cells) * (scenario.repeats + scenario.warm_up_runs)
    said = {
        "name": scenario.name,
        "title": scenario.title,
        "axes": {axis: list(values) for axis, values in scenario.axes.items()},
        "cells": len(cells),
        "runs": runs,
        "preparations": [p.name for p in scenario.preparations],
        "undivided": undivided,
    }
    _warn(undivided)
    if as_json:
        typer.echo(json.dumps(said, indent=1))
        return
    typer.echo(f"{file}: good; {count(len(cells), 'cell')}, {count(runs, 'run')}")


@app.command("list")
def list_command(
    folder: Annotated[Path, typer.Argument(help="Folder of scenario files.", metavar="DIR")] = Path(
        "scenarios"
    ),
) -> None:
    """Show the scenario files of a folder, with their titles."""
    if not folder.is_dir():
        raise BadInputError(
            f"{folder}: no such folder; run from a checkout or name the folder of scenario files"
        )
    defined, catalogue, data = stacks.load(), workloads.load(folder), Settings.from_environment().data
    for file in sorted(folder.glob("*.toml")):
        try:
            scenario, _ = _read(file, defined, catalogue)
            _refuse_missing(
                file, scenario, catalogue, lambda reference: data_sets.check_name(reference, data)
            )
            typer.echo(f"{file}  {count(len(scenarios.cells(scenario)), 'cell')}  {scenario.title}")
        except BadInputError as error:
            typer.echo(f"{file}  cannot be used: {error}")


def _read(
    file: Path, defined: Mapping[str, StackSpec], catalogue: Catalogue, *, checked: bool = True
) -> tuple[Scenario, str]:
    """The scenario of a file, and its text; functions of the user's own are looked for where ``checked``."""
    text = toml_tables.text_of(file, "give the path of a scenario file")
    return _scenario(text, str(file), defined, catalogue, checked=checked), text


def _scenario(
    text: str, name: str, defined: Mapping[str, StackSpec], catalogue: Catalogue, *, checked: bool
) -> Scenario:
    default = stacks.DEFAULT if stacks.DEFAULT in defined else next(iter(defined), "")
    known = Known(
        stacks=list(defined),
        default_stack=default,
        deployments=installed.names(),
        default_deployment=installed.DEFAULT,
        workloads=catalogue.declared,
        why_not=catalogue.why_not if checked else lambda reference: None,
        unread=catalogue.unread(),
    )
    return scenarios.read(text, name, known)


def _refuse_missing(
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


def _undivided(scenario: Scenario, catalogue: Catalogue, cells: Iterable[Mapping[str, str]]) -> list[str]:
    """The workloads of cells that several workers share, though their code nowhere says shard."""
    shared = sorted({axes["workload"] for axes in cells if axes.get("workers", "1") != "1"})
    functions = [name for name in shared if scenario.workloads[name].declared is None]
    return [name for name in functions if not catalogue.says_shard(scenario.workloads[name].workload)]


def _warn(undivided: list[str]) -> None:
    for name in undivided:
        typer.echo(
            f"warning: the code of workload {name!r} nowhere says shard: with the axis workers each task would do "
            "the whole work",
            err=True,
        )


def _is_elsewhere(deployment: str) -> bool:
    """Whether runs of a deployment may happen where other files lie than here."""
    try:
        return installed.named(deployment).needs_server
    except StackyardError:  # it cannot be loaded here; planning says why
        return True


def _pairs(given: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for item in given:
        axis, equals, value = item.partition("=")
        if not (axis and equals and value):
            raise BadInputError(f"--only {item}: expected AXIS=VALUE, such as stack=torch-2.13.0-cpu")
        pairs.append((axis, value))
    return pairs


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
    specs: list[WorkloadSpec | Preparation] = [*scenario.workloads.values(), *scenario.preparations]
    used = [spec.workload for spec in specs if spec.declared is None]
    if not write:
        code = catalogue.code(used)
        return snapshot.kept(settings.home, code.digest or ""), code
    return catalogue.taken(settings.home, used)


def _report(folders: list[Path], out: Path, as_json: bool, outcome: Outcome | None = None) -> None:
    """Write the report of ``folders`` to ``out``; print a table and its path, or one JSON object."""
    report = reports.analyse(reports.load(folders))
    paths = reports.write(report, out)
    if as_json:
        said: dict[str, Any] = {"report": json.loads(paths.json.read_text(encoding="utf-8"))}
        said["paths"] = {
            name: None if path is None else str(path) for name, path in dataclasses.asdict(paths).items()
        }
        if outcome is not None:
            said["outcome"] = dataclasses.asdict(outcome)
        typer.echo(json.dumps(said, indent=1))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, LOG_COLUMNS))
    reports.print_table(report, console)
    if paths.html is None:
        typer.echo(f"no report.html: {extras.why_not('reports')}", err=True)
    typer.echo(str(paths.html or paths.markdown))


def _intention(plan: Plan, folder: Path) -> str:
    prepare = f" after {count(len(plan.preparations), 'preparation')}" if plan.preparations else ""
    without = [
        f"{count(len(plan.not_runnable), 'cell')} not runnable here" if plan.not_runnable else "",
        f"{plan.excluded} excluded" if plan.excluded else "",
    ]
    left = f" ({', '.join(part for part in without if part)})" if any(without) else ""
    return f"{plan.name}: {count(len(plan.cells), 'cell')} x {count(plan.repeats, 'run')}{prepare}, in {folder}{left}"


def _dry(plan: Plan, folder: RunFolder, as_json: bool, *, resume: bool, fresh: bool) -> None:
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
    _print_plan(plan, folder.kept(plan) if resume else set(), folder if resume else None, as_json)


def _print_plan(plan: Plan, kept: Collection[str], earlier: RunFolder | None, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**dataclasses.asdict(plan), "kept": sorted(kept)}, indent=1))
        return
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
