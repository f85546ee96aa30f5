"""``stackyard task publish | templates | submit | smoke | list | show | abort | follow``: tasks on a ClearML server."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperCommand

from stackyard import stacks, workloads
from stackyard.agents import measuring_file
from stackyard.clearml import connection
from stackyard.clearml.client import Client
from stackyard.clearml.sending import SHORTEST_NAME, Sender
from stackyard.clearml.tasks import following, outcomes, submissions, templates
from stackyard.clearml.tasks.outcomes import Outcome
from stackyard.clearml.tasks.submissions import InstalledStacks, Submitted, Wanted
from stackyard.cli import own_templates, publishing, smoke, typed
from stackyard.cli.options import Config, Json
from stackyard.counting import count
from stackyard.errors import BadInputError, Interrupted, RunsFailedError, RunsStoppedError
from stackyard.settings import Settings
from stackyard.stacks import images
from stackyard.stacks.definition import StackSpec
from stackyard.workloads import code_folders
from stackyard.workloads import folder as code_folder
from stackyard_task import records
from stackyard_task.commands import Command

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Stack = Annotated[str | None, typer.Option("--stack", metavar="NAME", help="The stack to run on.")]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait", help="Follow the task to its end; exit status 4 says that it failed or was aborted."
    ),
]
WholeLog = Annotated[bool, typer.Option("--whole-log", help="Also show what the agent prints about itself.")]
AbortOnInterrupt = Annotated[
    bool, typer.Option("--abort-on-interrupt", help="Ctrl-C aborts the task instead of leaving it.")
]
TaskName = Annotated[str, typer.Argument(metavar="TASK", help="Id, the beginning of an id, or a name.")]


@app.command("publish")
def publish_command(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="A scenario file or workloads.toml of your own: its workloads; default: what is installed.",
        ),
    ] = None,
    stack: Stack = None,
    no_examples: Annotated[
        bool,
        typer.Option(
            "--no-examples",
            help="Do not publish the small simulated data set and model that templates run on.",
        ),
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Put the templates of tasks and of the pipeline on the server, or bring them up to date in place."""
    settings = Settings.from_environment()
    if file is not None and no_examples:
        raise BadInputError("--no-examples goes without FILE: no examples come with a file's workloads")
    chosen = _stack(stack)
    with _client(settings, config) as client:
        if file is not None:
            done, missing = own_templates.publish(Sender(client), settings, file, stack, _say)
        else:
            done, missing = publishing.publish(
                client, settings, chosen, with_examples=not no_examples, say=_say
            )
        if as_json:
            rows = [dataclasses.asdict(each) for each in done]
            typer.echo(json.dumps({"templates": rows, "missing": missing}, indent=1))
            return
        for each in done:
            typer.echo(f"{each.outcome:9s} {each.name}  {each.id}  queue {each.queue}")
        for sentence in missing:
            typer.echo(sentence, err=True)
        typer.echo(f"in project {templates.PROJECT} at {client.connection.web}: clone, edit, enqueue")
        example = "detector-train" if file is None else done[0].name
        typer.echo(f"or: stackyard task submit {example} --wait")


@app.command("templates")
def templates_command(config: Config = None, as_json: Json = False) -> None:
    """Show the templates on the server and what can be set in each."""
    with _client(Settings.from_environment(), config) as client:
        found = templates.published(client)
    rows = [
        {
            "name": task["name"],
            "id": task["id"],
            "queue": templates.queue_of(task),
            "parameters": {
                f"{section}/{name}": {key: entry.get(key) or "" for key in ("value", "type", "description")}
                for section, entries in sorted((task.get("hyperparams") or {}).items())
                for name, entry in entries.items()
            },
        }
        for task in found
    ]
    if as_json:
        typer.echo(json.dumps({"templates": rows}, indent=1))
        return
    if not rows:
        typer.echo("no template is on the server; put them there: stackyard task publish")
    for row in rows:
        typer.echo(f"{row['name']}  (queue {row['queue']})")
        for name, entry in row["parameters"].items():
            typer.echo(f"  {name}={entry['value']}  {entry['description']}")


class _WordsBehindDashes(TyperCommand):
    """A command line whose words behind ``--`` are a command of the user's own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep those words apart."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[_WORDS], args = args[at + 1 :], args[:at]
        return super().parse_args(ctx, args)


#: Key of the words behind ``--`` among what a command line came to.
_WORDS = "stackyard.words"


@app.command("submit", cls=_WordsBehindDashes)
def submit_command(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TEMPLATE|-- COMMAND...",
            help="A template's name, FILE.py:FUNCTION of your own, or a command behind --, such as: "
            "-- python train.py --lr 0.1",
        ),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SECTION/NAME=VALUE", help="Another value for a parameter; repeatable."
        ),
    ] = None,
    queue: Annotated[
        str | None, typer.Option("--queue", metavar="NAME", help="Another queue than the template's.")
    ] = None,
    stack: Stack = None,
    name: Annotated[str | None, typer.Option("--name", help="The task's name.")] = None,
    wait: Wait = False,
    whole_log: WholeLog = False,
    abort_on_interrupt: AbortOnInterrupt = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Run a template or a function of your own with other values, or a command in a copy of the current folder."""
    settings = Settings.from_environment()
    wanted = Wanted(submissions.assignments(values or []), queue, stack, name)
    words = context.meta.get(_WORDS)
    if (target is None) == (words is None):
        raise BadInputError("expected a template, FILE.py:FUNCTION, or a command behind --; one of them")
    with _client(settings, config) as client:
        offer = _offer(settings, client)
        if target is None:
            if wanted.values:
                raise BadInputError("--set is for a template or a function; a command has its words")
            if stack is not None and stack not in offer.stacks:
                _stack(stack)
            declared = typed.declared(words or [], code=".", least=SHORTEST_NAME)
            folder = code_folders.looked_at(
                declared.command or Command(()), Path.cwd(), {}, "the command", [settings.home]
            )
            assert folder is not None
            archive = code_folder.archived(folder, settings.home)
            origin = publishing.origin(client, settings, _stack(stack), workloads.load())
            submitted = submissions.submit_command(
                Sender(client), declared, folder, archive, wanted, origin, offer
            )
        elif ":" in target:
            if stack is not None and stack not in offer.stacks:
                _stack(stack)
            catalogue = workloads.load(Path.cwd())
            reason = catalogue.why_not(target)
            if reason is not None:
                raise BadInputError(f"{target}: {reason}")
            origin = publishing.origin(client, settings, _stack(stack), catalogue, target)
            submitted = submissions.submit_function(Sender(client), target, wanted, origin, offer)
        else:
            submitted = submissions.submit(client, target, wanted, offer)
        _say_submitted(submitted, err=as_json)
        if wait:
            _follow_to_the_end(client, submitted.id, whole_log, abort_on_interrupt, as_json)
        elif as_json:
            typer.echo(json.dumps(dataclasses.asdict(submitted), indent=1))
        else:
            typer.echo(f"follow it: stackyard task follow {submitted.id}")


app.command("smoke")(smoke.smoke_command)


@app.command("measuring-file")
def measuring_file_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")],
) -> None:
    """Write the one file that has the tasks of any clearml-agent measured, without the rest of Stackyard."""
    size = measuring_file.write(file)
    typer.echo(f"{file}: {size / 1e3:.0f} kB; on the agent's machine it is Python: docs/measure-any-agent.md")


@app.command("follow")
def follow_command(
    task: TaskName,
    whole_log: WholeLog = False,
    abort_on_interrupt: AbortOnInterrupt = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show a task's status, progress and console as they come, to its end."""
    with _client(Settings.from_environment(), config) as client:
        id = submissions.found(client, task)["id"]
        _follow_to_the_end(client, id, whole_log, abort_on_interrupt, as_json)


@app.command("list")
def list_command(
    statuses: Annotated[
        list[str] | None,
        typer.Option("--status", metavar="STATUS", help="Only these, such as queued, in_progress, failed."),
    ] = None,
    project: Annotated[
        str, typer.Option("--project", help="That project and those below it; '': all.")
    ] = "Stackyard",
    name: Annotated[str | None, typer.Option("--name", help="Only tasks whose name holds this.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="Show at most so many.")] = 20,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show tasks, the newest first."""
    with _client(Settings.from_environment(), config) as client:
        tasks = submissions.listed(client, statuses=statuses or (), project=project, name=name, limit=limit)
    rows = [_row(task) for task in tasks]
    if as_json:
        typer.echo(json.dumps({"tasks": rows}, indent=1))
        return
    if not rows:
        typer.echo("no task fits")
        return
    table = Table("id", "name", "status", "queue", "worker", "created (UTC)", "why", box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
    for row in rows:
        status = f"{row['status']} {row['progress']} %" if row["progress"] else row["status"]
        why = row["reason"] if row["status"] in ("failed", "stopped") else ""
        created = row["created"][:19].replace("T", " ")
        table.add_row(
            row["id"][:12], row["name"], status, row["queue"] or "", row["worker"] or "", created, why[:60]
        )
    # whole lines, whatever the terminal: a cut status or name helps nobody
    Console(highlight=False, width=240).print(table, markup=False)


@app.command("abort")
def abort_command(task: TaskName, config: Config = None, as_json: Json = False) -> None:
    """End a task: take it out of its queue, or let its worker stop it."""
    with _client(Settings.from_environment(), config) as client:
        found = submissions.found(client, task)
        said = submissions.abort(client, found)
    if as_json:
        typer.echo(json.dumps({"id": found["id"], "name": found["name"], "said": said}, indent=1))
    else:
        typer.echo(f"{found['name']} ({found['id']}): {said}")


@app.command("show")
def show_command(task: TaskName, config: Config = None, as_json: Json = False) -> None:
    """Show what a task came to: figures, the way it took, artifacts, models, where its inputs come from."""
    with _client(Settings.from_environment(), config) as client:
        outcome = outcomes.of(client, submissions.found(client, task)["id"])
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(outcome), indent=1, default=str))
        return
    _print_outcome(outcome)


# -- what they share -------------------------------------------------------------------------------


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _client(settings: Settings, config: Path | None) -> Client:
    return Client(connection.find(settings, config))


def _stack(name: str | None) -> StackSpec:
    defined = stacks.load()
    chosen = name or stacks.DEFAULT
    if chosen not in defined:
        raise submissions.no_stack(chosen, defined)
    return defined[chosen]


def _offer(settings: Settings, client: Client) -> InstalledStacks:
    elsewhere = not client.connection.is_local
    return InstalledStacks(
        {name: images.reference(spec, settings, elsewhere) for name, spec in stacks.load().items()}
    )


def _say_submitted(submitted: Submitted, *, err: bool) -> None:
    typer.echo(f"submitted {submitted.name} as {submitted.id} to queue {submitted.queue}", err=err)
    for warning in submitted.warnings:
        typer.echo(warning, err=True)


def _follow_to_the_end(
    client: Client, id: str, whole_log: bool, abort_on_interrupt: bool, as_json: bool
) -> None:
    """Print what happens; then the outcome, and a failure as the exit status."""
    try:
        for event in following.follow(client, id, everything=whole_log):
            typer.echo(event.text if event.kind == "line" else f"-- {event.text}", err=as_json)
    except KeyboardInterrupt:
        if abort_on_interrupt:
            with contextlib.suppress(BadInputError):
                submissions.abort(client, submissions.found(client, id))
            raise Interrupted(f"task {id} was asked to stop") from None
        raise Interrupted(
            f"task {id} goes on; come back with: stackyard task follow {id}, end it with: stackyard task abort {id}"
        ) from None
    outcome = outcomes.of(client, id)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(outcome), indent=1, default=str))
    else:
        _print_outcome(outcome)
    if outcome.record is not None and outcome.record.stopped is not None:
        raise RunsStoppedError(f"task {id} {outcome.record.stopped.message}")
    if outcome.status not in ("completed", "published"):
        raise RunsFailedError(f"task {id} {outcome.status}: {outcome.reason}")


def _row(task: dict[str, Any]) -> dict[str, Any]:
    queue = (task.get("execution") or {}).get("queue")
    return {
        "id": task["id"],
        "name": task["name"],
        "project": (task.get("project") or {}).get("name"),
        "status": task["status"],
        "reason": task.get("status_reason") or "",
        "progress": (task.get("runtime") or {}).get("progress") if task["status"] == "in_progress" else None,
        "queue": queue.get("name") if isinstance(queue, dict) else queue,
        "worker": task.get("last_worker"),
        "created": task.get("created") or "",
        "started": task.get("started"),
        "completed": task.get("completed"),
    }


def _print_outcome(outcome: Outcome) -> None:
    lines = [
        f"{outcome.name}  {outcome.id}",
        f"  status   {outcome.status}{f': {outcome.reason}' if outcome.reason else ''}",
        f"  queue    {outcome.queue or '-'}, worker {outcome.worker or '-'}",
        f"  page     {outcome.web_address}",
    ]
    if outcome.record is not None:
        lines += _record_lines(outcome)
    for name, id in outcome.datasets.items():
        lines.append(f"  data set {name}  {id}")
    for model in outcome.models:
        lines.append(f"  model    {model.way}: {model.name}  {model.id}")
    for artifact in outcome.artifacts:
        size = "" if artifact.bytes is None else f"  {count(artifact.bytes, 'byte')}"
        lines.append(f"  artifact {artifact.name}{size}")
    for line in lines:
        typer.echo(line)


def _record_lines(outcome: Outcome) -> list[str]:
    record = outcome.record
    assert record is not None
    found, environment = record.measurement, record.environment
    shown = [
        ("wall", found.wall_seconds, 1, "s"),
        ("start-up", found.startup_seconds, 1, "s"),
        ("steady", found.steady_seconds, 1, "s"),
        ("CPU", found.cpu_seconds, 1, "s"),
        ("peak RAM", found.peak_rss_bytes, 1e-6, "MB"),
    ]
    figures = ", ".join(
        f"{name} {value * by:.4g} {unit}" for name, value, by, unit in shown if value is not None
    )
    lines = [f"  figures  {figures or 'none'}"]
    gpus = [
        f"GPU {gpu.index} {gpu.peak_memory_bytes / 1e6:.0f} MB"
        for gpu in found.gpus
        if gpu.peak_memory_bytes is not None
    ]
    if gpus:
        lines.append(f"  GPUs     {', '.join(gpus)}")
    results = [f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in record.results.items()]
    if results:
        lines.append(f"  results  {', '.join(results)}")
    lines.append(
        f"  ran on   {environment.stack or '-'} (torch {environment.torch or '-'}, "
        f"Python {environment.python or '-'}), host {environment.host or '-'}"
    )
    way = records.to_json(record.dispatch) if record.dispatch else {}
    for key in ("enqueued_at", "pulled_at", "container_started_at", "user_code_at", "workload_started_at"):
        if way.get(key):
            lines.append(f"  {key.removesuffix('_at').replace('_', ' ')}: {way[key]}")
    return lines
