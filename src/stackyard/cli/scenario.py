"""``stackyard scenario``: run a matrix, report on run folders, check and list scenario files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from stackyard import scenarios, stacks, toml_tables, workloads
from stackyard.cli import matrix as matrices
from stackyard.cli.options import Data, Json
from stackyard.counting import count
from stackyard.errors import BadInputError
from stackyard.machine import data as data_sets
from stackyard.scenarios import Scenario
from stackyard.settings import Settings
from stackyard.stacks.definition import StackSpec
from stackyard.workloads import Catalogue

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

File = Annotated[Path, typer.Argument(help="The scenario file (TOML).", metavar="FILE")]


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
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes",
            help="With --resume: start new cells for workloads whose code, packages, stack or inputs changed.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and what travels; start and write nothing.")
    ] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Run every cell of a scenario file in randomised blocks, then report."""
    if resume and fresh:
        raise BadInputError("--resume and --fresh exclude each other; give one")
    if accept_changes and not resume:
        raise BadInputError("--accept-changes says how to continue; give --resume with it")
    text = toml_tables.text_of(file, "give the path of a scenario file")
    matrix = matrices.Matrix(
        text, str(file), file.parent, Settings.from_environment(data), checked=not resume, is_file=True
    )
    matrix.run(
        out or Path("runs") / matrix.scenario.name,
        again=_again(file, repeats, only or [], data),
        repeats=repeats,
        only=_pairs(only or []),
        resume=resume,
        accept_changes=accept_changes,
        fresh=fresh,
        dry_run=dry_run,
        as_json=as_json,
    )


def _again(file: Path, repeats: int | None, only: list[str], data: Path | None) -> str:
    """The command that continues a matrix, with all that makes it the same one."""
    words = ["stackyard", "scenario", "run", str(file)]
    words += [] if repeats is None else ["--repeats", str(repeats)]
    words += [word for pair in only for word in ("--only", pair)]
    words += [] if data is None else ["--data", str(data)]
    return shlex.join(words)


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
    matrices.report(folders, out or folders[0], as_json)


@app.command("validate")
def validate_command(file: File, as_json: Json = False, data: Data = None) -> None:
    """Check a scenario file, and that the files it names are there; say how many cells and runs it means."""
    catalogue, folder = workloads.load(file.parent), Settings.from_environment(data).data
    scenario, _ = _read(file, stacks.load(), catalogue)
    matrices.refuse_missing(
        file, scenario, catalogue, lambda reference: data_sets.check_name(reference, folder)
    )
    matrices.refuse_sources(file, scenario, catalogue)
    cells = scenarios.cells(scenario)
    undivided = matrices.undivided(scenario, catalogue, [cell.axes for cell in cells])
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
    matrices.warn(undivided)
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
            matrices.refuse_missing(
                file, scenario, catalogue, lambda reference: data_sets.check_name(reference, data)
            )
            matrices.refuse_sources(file, scenario, catalogue)
            typer.echo(f"{file}  {count(len(scenarios.cells(scenario)), 'cell')}  {scenario.title}")
        except BadInputError as error:
            typer.echo(f"{file}  cannot be used: {error}")


def _read(
    file: Path, defined: Mapping[str, StackSpec], catalogue: Catalogue, *, checked: bool = True
) -> tuple[Scenario, str]:
    """The scenario of a file, and its text; functions of the user's own are looked for where ``checked``."""
    text = toml_tables.text_of(file, "give the path of a scenario file")
    return matrices.read(text, str(file), defined, catalogue, checked=checked), text


def _pairs(given: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for item in given:
        axis, equals, value = item.partition("=")
        if not (axis and equals and value):
            raise BadInputError(f"--only {item}: expected AXIS=VALUE, such as stack=torch-2.13.0-cpu")
        pairs.append((axis, value))
    return pairs
