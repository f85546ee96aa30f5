"""``stackyard up | down | status | logs``: the server and the agents of this machine.

They stand at the top of the command line, so this file is always loaded: what it needs is imported when a command runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from stackyard.counting import count
from stackyard.errors import BadInputError, StackyardError
from stackyard.settings import WEB_APP_PORT, Settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
#: How much of a log is shown first, bytes.
SHOWN_BYTES = 16_000
FOLLOW_SECONDS = 0.3
#: The longest that ``down`` waits for tasks: a year.
MOST_LIMIT_SECONDS = 365 * 24 * 3600


def add_to(app: typer.Typer) -> None:
    """Mount the four commands."""
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command()(logs)


def _folder(text: str) -> Path:
    from stackyard_server.command import named_folder

    return named_folder(text)


def up(
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="clearml.conf of a server that runs elsewhere; no embedded one is started."
        ),
    ] = None,
    queues_file: Annotated[
        Path | None,
        typer.Option(
            "--queues", metavar="FILE", help="The file of queues to take instead of agents/queues.toml."
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            parser=_folder,
            metavar="DIR",
            help="The embedded server's data folder; default: that of the one that is up, else HOME/server.",
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address the embedded server listens on.")] = None,
    web_port: Annotated[
        int | None, typer.Option(help="Port of the pages; default 8080, or a free one where that is taken.")
    ] = None,
    api_port: Annotated[
        int | None, typer.Option(help="Port of the API; default 8008, or a free one where that is taken.")
    ] = None,
    files_port: Annotated[
        int | None,
        typer.Option(help="Port of the file server; default 8081, or a free one where that is taken."),
    ] = None,
    metrics_port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Port of the agents' metrics on the loopback address; 0: a free one."
        ),
    ] = 0,
    web_app_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help=f"Port of the web app; default {WEB_APP_PORT}, or a free one where that is taken.",
        ),
    ] = None,
    reports: Annotated[
        list[Path] | None,
        typer.Option(
            "--reports",
            metavar="DIR",
            help="Folder whose reports the web app shows; default: runs, here. May be repeated.",
        ),
    ] = None,
    no_web_app: Annotated[
        bool, typer.Option("--no-web-app", help="Do not start the web app (`stackyard web`).")
    ] = False,
    no_templates: Annotated[
        bool, typer.Option("--no-templates", help="Do not publish the task templates and their examples.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Start the server and this machine's agents in the background; what runs already stays."""
    from stackyard import extras
    from stackyard.cli.server import folder_of
    from stackyard.services import control

    named = folder or os.environ.get("STACKYARD_SERVER_FOLDER")
    options = {"host": host, "web_port": web_port, "api_port": api_port, "files_port": files_port}
    settings = Settings.from_environment()
    embedded = {"--folder": folder, **{f"--{name.replace('_', '-')}": told for name, told in options.items()}}
    if config is not None and (given := [name for name, told in embedded.items() if told is not None]):
        raise BadInputError(
            f"--config names a server that runs elsewhere, and {given[0]} is for the embedded one; give one of them"
        )
    wishes = control.Wishes(
        config=_absolute(config),
        queues_file=_absolute(queues_file),
        folder=folder_of(folder) if named and config is None else None,
        options={name: value for name, value in options.items() if value is not None},
        metrics_port=metrics_port,
        web_app=_web_app(web_app_port, reports, no_web_app),
    )
    made: list[dict[str, str]] = []
    try:
        found = control.up(settings, wishes, _say(as_json), made.append)
        found["notes"] += [] if wishes.web_app or no_web_app else [f"no web app: {extras.why_not('web')}"]
        found["notes"] += _without_stacks(settings) if found["slots"] else []
        found["templates"] = [] if no_templates else _publish_templates(found)
        if as_json:
            typer.echo(json.dumps(found, indent=1))
        else:
            _show_up(found)
    except BaseException:
        if made:
            _say_unseen(made[0]["login"], made[0]["folder"])
        raise
    if found["problems"]:
        raise typer.Exit(1)


def _web_app(port: int | None, reports: list[Path] | None, unwanted: bool) -> Any:
    """What is wanted of the web app; ``None``: nothing, or it cannot be had."""
    from stackyard import extras
    from stackyard.cli.web import RUNS
    from stackyard.services import control

    if unwanted:
        if port is not None or reports:
            raise BadInputError(
                "--no-web-app leaves nothing for --web-app-port and --reports to say; give one of them"
            )
        return None
    for folder in reports or ():
        if not folder.is_dir():
            raise BadInputError(f"--reports {folder}: no such folder")
    if extras.why_not("web") is not None and port is None and not reports:
        return None
    extras.check("web", "the web app cannot be started")
    return control.WebAppWishes(port, tuple(folder.absolute() for folder in reports or [RUNS]))


def _say_unseen(login: str, folder: str) -> None:
    """What to do about the password of a new server that was cut off before it was shown, or while it was."""
    command = f"stackyard server user password {login} --folder {shlex.quote(folder)}"
    with contextlib.suppress(OSError):
        typer.echo(
            f"Cut off: the first password of {login} is kept nowhere; if you have not seen it, make another with "
            f"`{command}`.",
            err=True,
        )


def _publish_templates(found: dict[str, Any]) -> list[str]:
    """Names of the task templates on the server; what hinders one of them is a problem, not the end."""
    from stackyard import stacks
    from stackyard.clearml import connection
    from stackyard.clearml.client import Client
    from stackyard.cli import publishing

    settings = Settings.from_environment()
    try:
        with Client(connection.find(settings)) as client:
            done, missing = publishing.publish(
                client, settings, stacks.load()[stacks.DEFAULT], say=lambda text: typer.echo(text, err=True)
            )
    except StackyardError as error:
        found["problems"].append(f"the task templates could not be published: {error}")
        return []
    found["notes"] += missing
    return [each.name for each in done]


def _without_stacks(settings: Settings) -> list[str]:
    """What tasks will fail of, where no stack is built yet."""
    from stackyard import stacks

    if any(stacks.python_of(stack, settings) is not None for stack in stacks.load().values()):
        return []
    return [
        "no stack is built here, and ClearML tasks run on one; build the usual one: "
        f"stackyard stack build {stacks.DEFAULT}"
    ]


def _show_up(found: dict[str, Any]) -> None:
    server = found["server"]
    typer.echo(f"web    {server['web']}")
    typer.echo(f"api    {server['api']}")
    typer.echo(f"files  {server['files']}")
    if found["web_app"]:
        typer.echo(f"compare and reports  {found['web_app']}")
    typer.echo(f"agents {', '.join(found['slots']) or 'none'}")
    for queue, reason in found["absent"].items():
        typer.echo(f"  no agent for {queue}: {reason}")
    if found["templates"]:
        typer.echo(f"templates {', '.join(found['templates'])}")
    if found["admin"]:
        typer.echo("\nA new server. Its administrator's login, shown once and kept nowhere:")
        typer.echo(f"  login     {found['admin']['login']}")
        typer.echo(f"  password  {found['admin']['password']}\n")
    for note in found["notes"]:
        typer.echo(f"  {note}")
    for problem in found["problems"]:
        typer.echo(f"! {problem}")
    typer.echo("Next: stackyard status, stackyard logs, stackyard down")


def down(
    finish: Annotated[
        bool, typer.Option("--finish", help="Wait for running tasks first. This is the default.")
    ] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Abort running tasks.")] = False,
    limit: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait; tasks still running then are aborted.")
    ] = 600.0,
    as_json: Json = False,
) -> None:
    """End this machine's agents, then the embedded server. Tasks that wait stay in their queues."""
    if finish and abort:
        raise BadInputError("--finish and --abort are opposites; give one of them")
    if not 0 <= limit <= MOST_LIMIT_SECONDS:
        raise BadInputError(f"--limit is {limit:g}, expected seconds from 0 to {MOST_LIMIT_SECONDS}")
    from stackyard.services import control, files

    mode = files.ABORT if abort else files.FINISH
    found = control.down(Settings.from_environment(), mode, limit, _say(as_json))
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    for task in found["aborted"]:
        typer.echo(f"aborted: task {task}")
    typer.echo("down" if found["was_up"] or found["ended"] else "nothing was up")


def status(as_json: Json = False) -> None:
    """Show server, queues, workers and what is wrong. Exit status 0: all is up; 1: something is not."""

    from stackyard.services import status as look

    found = look.status(Settings.from_environment())
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        _show_status(found)
    if found["problems"]:
        raise typer.Exit(1)


def _show_status(found: dict[str, Any]) -> None:
    server, services = found["server"], found["services"]
    state = "answers" if server["answers"] else "does not answer"
    typer.echo(f"server    {server['kind']}, {state}: {server['web']} (API {server['api']})")
    running = f"process {services['pid']}, metrics {services['metrics']}"
    typer.echo(f"services  {running if services['running'] else 'not running'}")
    if found["web_app"]:
        typer.echo(f"web app   {found['web_app']['phase']}: {found['web_app']['address']}")
    typer.echo("queues")
    for row in found["queues"]:
        where = ", ".join(row["workers"]) or "no agent"
        reason = f" (none here: {row['why_not_here']})" if row["why_not_here"] else ""
        typer.echo(f"  {row['name']:16s} {row['waiting']:4d} waiting   {where}{reason}")
    typer.echo("workers")
    for row in found["workers"]:
        task = row["task"]
        runs = (
            "idle" if task is None else f"runs {task['name']} ({task['id']}), {row['running_seconds']:.0f} s"
        )
        reported = row["last_report_seconds"]
        said = "has not reported" if reported is None else f"reported {reported:.0f} s ago"
        typer.echo(f"  {row['id']:28s} {runs}; {said}")
    if not found["workers"]:
        typer.echo("  none")
    for slot in found["slots"]:
        cores = f"cores {','.join(map(str, slot['cores']))}" if slot["cores"] else "all cores"
        gpu = "" if slot["gpu"] is None else f", GPU {slot['gpu']}"
        again = f", started again {count(slot['restarts'], 'time')}" if slot["restarts"] else ""
        typer.echo(f"slot {slot['slot']:16s} {slot['phase']} ({cores}{gpu}{again})")
    for problem in found["problems"]:
        typer.echo(f"! {problem}")


def logs(
    name: Annotated[
        str, typer.Argument(help="services, server, web, or a slot as `stackyard status` shows it.")
    ] = "services",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
    as_json: Json = False,
) -> None:
    """Show the end of a log: of the services process, the server, or an agent."""
    files = _logs()
    if name not in files:
        raise BadInputError(f"no log is called {name!r}; there are: {', '.join(files)}")
    found = files[name]()
    if as_json:
        lines = _tail(found).splitlines() if found else []
        typer.echo(
            json.dumps({"name": name, "file": str(found) if found else None, "lines": lines}, indent=1)
        )
        return
    if found is None:
        raise StackyardError(f"{name} has written no log yet")
    typer.echo(_tail(found), nl=False)
    if follow:
        for text in _following(found):
            typer.echo(text, nl=False)


def _logs() -> dict[str, Any]:
    """Log name -> a function that finds its file."""
    from stackyard.agents.agent import log_of
    from stackyard.services.files import ServicesFiles

    files = ServicesFiles(Settings.from_environment().home)
    plan = files.plan()
    logs: dict[str, Any] = {"services": lambda: _there(files.log_file)}
    if plan is not None and plan.server.folder:
        folder = plan.server.folder
        logs["server"] = lambda: _there(Path(folder) / "server.log")
    if plan is not None and plan.web_app is not None:
        logs["web"] = lambda: _there(files.web_log)
    for agent in plan.agents if plan else ():
        logs[agent.slot] = lambda agent=agent: log_of(Path(agent.folder))
    return logs


def _there(path: Path) -> Path | None:
    return path if path.is_file() else None


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - SHOWN_BYTES))
        text = file.read().decode("utf-8", "replace")
    return text if size <= SHOWN_BYTES else text.partition("\n")[2]


def _following(path: Path) -> Iterator[str]:
    """What is written to a file from now on, until interrupted or the file is gone."""
    with contextlib.suppress(KeyboardInterrupt, FileNotFoundError):
        at = path.stat().st_size
        while True:
            size = path.stat().st_size
            if size < at:  # turned over
                at = 0
            if size > at:
                with path.open("rb") as file:
                    file.seek(at)
                    text = file.read(size - at)
                at = size
                yield text.decode("utf-8", "replace")
            time.sleep(FOLLOW_SECONDS)


def _say(quiet: bool) -> Any:
    """What says a line: what is under way goes on where nobody reads any more."""

    def say(text: str) -> None:
        if not quiet:
            with contextlib.suppress(BrokenPipeError):
                typer.echo(text)

    return say


def _absolute(path: Path | None) -> Path | None:
    return path.expanduser().absolute() if path else None
