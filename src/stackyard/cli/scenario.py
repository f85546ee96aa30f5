"""``stackyard scenario``: run a matrix, report on run folders, check and list scenario files."""

from __future__ import annotations

import dataclasses
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from stackyard import planning, reports, scenarios, site, stacks
from stackyard.cli import progress
from stackyard.errors import BadInputError, RunsFailedError
from stackyard.launch import snapshot
from stackyard.runner import Outcome, Runner
from stackyard.runs import Plan, RunFolder, unwritable
from stackyard.scenarios import Known, Scenario
from stackyard.settings import Settings
from stackyard.specs import StackSpec

INTERRUPTED = 130

app = typer.Typer(
    help="Run scenario matrices and report on them.", no_args_is_help=True, pretty_exceptions_enable=False
)

File = Annotated[Path, typer.Argument(help="The scenario file (TOML).", metavar="FILE")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; progress goes to stderr.")]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Folder of the data sets, instead of $STACKYARD_DATA.")
]


@app.command("run")
def run_command(
    file: File,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Run folder; default: runs/<name of the scenario>.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option("--repeats", min=1, max=999, help="Blocks, instead of the file's number.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="AXIS=VALUE", help="Only cells with this value; may be repeated."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the matrix in the run folder.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace the earlier matrix in the run folder.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run; start and write nothing.")] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Run every cell of a scenario file in randomised blocks, then report."""
    if resume and fresh:
        raise BadInputError("--resume and --fresh exclude each other; give one")
    settings = _settings(data)
    defined = stacks.load()
    scenario, text = _read(file, defined)
    here = site.here(settings, defined)
    folder = RunFolder(out or Path("runs") / scenario.name)
    earlier = folder.plan() if resume else None
    try:
        code_folder, code = snapshot.taken(settings.home, earlier and Path(earlier.code["digest"] or ""))
    except OSError as error:
        raise unwritable(settings.home, error) from error
    plan = planning.planned(scenario, here, code, repeats=repeats, only=_pairs(only or []))
    if dry_run:
        _print_plan(plan, as_json)
        return
    errors = Console(stderr=True)
    with progress.watcher(errors) as watcher:
        watcher.message(_intention(plan, folder))
        outcome = Runner(scenario, plan, folder, here, code_folder, file.parent, watcher).run(
            text, resume=resume, fresh=fresh
        )
    _finish(file, plan, folder, outcome, as_json)


def _finish(file: Path, plan: Plan, folder: RunFolder, outcome: Outcome, as_json: bool) -> None:
    """Report on what is there, and end with the exit status that says how it went."""
    if outcome.interrupted:
        done = outcome.completed + outcome.failed
        typer.echo(
            f"stopped after {done} of {plan.runs_total} runs; continue with: "
            f"stackyard scenario run {file} --out {folder.path} --resume",
            err=True,
        )
        raise typer.Exit(INTERRUPTED)
