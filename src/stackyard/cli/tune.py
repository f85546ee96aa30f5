"""``stackyard tune``: run, resume and look at studies, which search for the best parameters of a workload."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from stackyard import extras, toml_tables
from stackyard.cli import study_shown, study_watcher
from stackyard.cli.options import Data, Json
from stackyard.cli.study_run import StudyRun
from stackyard.cli.study_told import TellingWatcher
from stackyard.counting import count
from stackyard.errors import BadInputError, Interrupted, RunsFailedError, StackyardError
from stackyard.settings import Settings
from stackyard.tuning import report, status
from stackyard.tuning.controller import Outcome
from stackyard.tuning.folder import StudyFolder, name_of, numbered

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

File = Annotated[Path, typer.Argument(help="The study file (TOML).", metavar="FILE")]
Folder = Annotated[Path, typer.Argument(help="The study's folder.", metavar="DIR")]
AcceptChanges = Annotated[
    bool,
    typer.Option(
        "--accept-changes", help="Continue though code, packages or inputs changed; the study says so."
    ),
]


@app.command("run")
def run_command(
    file: File,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The study's folder; default: runs/<its name>."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the study in the folder.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace the earlier study in the folder.")] = False,
    accept_changes: AcceptChanges = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be searched; start and write nothing.")
    ] = False,
    as_json: Json = False,
    data: Data = None,
    task: Annotated[str | None, typer.Option("--task", hidden=True)] = None,
    told: Annotated[Path | None, typer.Option("--told", hidden=True)] = None,
) -> None:
    """Search for the best parameters: trials until the budget is used up, stopped where a limit breaks."""
    # --task and --told are for the task of a study on a server: its id, and where what happens is written down for it
    if resume and fresh:
        raise BadInputError("--resume and --fresh exclude each other; give one")
    if accept_changes and not resume:
        raise BadInputError("--accept-changes says how to continue; give --resume with it")
    text = toml_tables.text_of(file, "give the path of a study file")
    run = StudyRun(text, str(file), file.parent, Settings.from_environment(data), checked=not resume)
    out = out or Path("runs") / run.study.name
    if dry_run:
        said = study_shown.intention(run.study)
        typer.echo(json.dumps(said, indent=1) if as_json else study_shown.laid_out(run.study, out))
        return
    _run(
        run,
        out,
        file,
        as_json,
        resume=resume,
        fresh=fresh,
        accept_changes=accept_changes,
        task=task,
        told=told,
    )


@app.command("resume")
def resume_command(
    folder: Folder,
    accept_changes: AcceptChanges = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Begin the trials again that failed.")
    ] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Continue a study where it ended, as the file that it was begun from says now."""
    file = Path(StudyFolder(folder).needed().file)
    text = toml_tables.text_of(file, f"give its place with: stackyard tune run FILE --out {folder} --resume")
    run = StudyRun(text, str(file), file.parent, Settings.from_environment(data), checked=False)
    _run(run, folder, file, as_json, resume=True, accept_changes=accept_changes, retry_failed=retry_failed)


@app.command("status")
def status_command(folder: Folder, as_json: Json = False) -> None:
    """Say how far a study is: trials by state, the best so far, what is used and what is left."""
    place = StudyFolder(folder)
    study = place.needed()
    if study.state == "running" and not place.runs.is_held():
        study.state = "interrupted"
        study.message = f"no tuner is at work; go on with: stackyard tune resume {shlex.quote(str(folder))}"
    said = status.of(study, place.trials(), place)
    typer.echo(json.dumps(said, indent=1) if as_json else study_shown.stated(said))


@app.command("best")
def best_command(folder: Folder, as_json: Json = False) -> None:
    """Show the best trial, or with several objectives the front of those that no other beats in all of them."""
    place = StudyFolder(folder)
    found = status.best(place.needed(), place.trials())
    if as_json:
        typer.echo(json.dumps([status.as_json(trial) for trial in found], indent=1))
        return
    if not found:
        raise StackyardError(f"{folder}: no trial has completed yet")
    for trial in found:
        typer.echo(study_shown.line(trial))


@app.command("show")
def show_command(
    folder: Folder,
    trial: Annotated[
        str | None, typer.Argument(help="A trial, such as t0007; without one, all.", metavar="TRIAL")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show one trial with all that is known of it, or a line for each."""
    place = StudyFolder(folder)
    place.needed()
    trials = place.trials()
    chosen = trials if trial is None else [numbered(trial, trials)]
    if as_json:
        shown: Any = [status.as_json(one) for one in chosen]
        typer.echo(json.dumps(shown if trial is None else shown[0], indent=1))
        return
    for one in chosen:
        typer.echo(study_shown.line(one) if trial is None else study_shown.whole(one, place))


@app.command("report")
def report_command(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to write; default: the study's folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Report on a study, also one under way: write report.html, .json, .csv and .md."""
    paths = report.write(folder, out)
    if as_json:
        typer.echo(json.dumps(_named(paths), indent=1))
        return
    _told(paths)


def _named(paths: Mapping[str, Path]) -> dict[str, str | None]:
    """The files of a report by their endings; no page where the extra that makes it is missing."""
    return {
        ending: str(paths[ending]) if ending in paths else None for ending in ("html", "json", "csv", "md")
    }


def _told(paths: Mapping[str, Path]) -> None:
    """Say where a report lies."""
    if "html" not in paths:
        typer.echo(f"no report.html: {extras.why_not('reports')}", err=True)
    typer.echo(str(paths.get("html", paths["md"])))


def _run(
    run: StudyRun,
    out: Path,
    file: Path,
    as_json: bool,
    *,
    resume: bool,
    fresh: bool = False,
    accept_changes: bool = False,
    retry_failed: bool = False,
    task: str | None = None,
    told: Path | None = None,
) -> None:
    again = f"stackyard tune run {shlex.quote(str(file))}"
    with study_watcher.watcher(Console(stderr=True), run.study) as shown:
        watcher = shown if told is None else TellingWatcher(shown, run.study, StudyFolder(out), told)
        watcher.message(study_shown.intended(run.study, out))
        outcome = run.search(
            out,
            file=str(file.absolute()),
            again=again,
            watcher=watcher,
            resume=resume,
            fresh=fresh,
            task=task,
            accept_changes=accept_changes,
            retry_failed=retry_failed,
        )
    folder = StudyFolder(out, again)
    said = status.of(folder.needed(), outcome.trials, folder)
    paths = report.write(out)
    if as_json:
        typer.echo(json.dumps({**said, "paths": _named(paths)}, indent=1))
    else:
        typer.echo(study_shown.stated(said))
        _told(paths)
    _end(outcome, folder)


def _end(outcome: Outcome, folder: StudyFolder) -> None:
    """Nothing, or the error that says how the study ended.

    Raises:
        Interrupted: somebody stopped it.
        StackyardError: nothing more was begun, for the first trials failed.
        RunsFailedError: some trials failed.
    """
    if outcome.interrupted:
        done = sum(trial.over for trial in outcome.trials)
        raise Interrupted(f"stopped after {count(done, 'trial')}; {folder.runs.continuing()}")
    if outcome.over is not None and outcome.over.kind == "failed":
        raise RunsFailedError(f"{outcome.over.message}; the output lies in {folder.path / 'runs'}")
    failed = [trial for trial in outcome.trials if trial.state == "failed"]
    if failed:
        first = failed[0]
        reason = first.reason.message if first.reason else "no reason given"
        raise RunsFailedError(
            f"{len(failed)} of {count(len(outcome.trials), 'trial')} failed (the first: {name_of(first.number)}: "
            f"{reason}); their output lies in {folder.path / 'runs'}"
        )
