"""``stackyard compare tasks``: tasks that lie on ClearML servers, in groups, compared."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from stackyard import comparing, reports
from stackyard.clearml import connection
from stackyard.clearml.client import Client
from stackyard.cli import reporting
from stackyard.cli.options import Config, Json
from stackyard.comparing import fields, selection
from stackyard.comparing.fields import FieldError
from stackyard.comparing.selection import Selection
from stackyard.errors import BadInputError
from stackyard.settings import Settings

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command("tasks")
def tasks_command(
    project: Annotated[
        str | None,
        typer.Option(
            "--project", metavar="NAME", help="A project's whole name; those below it belong to it."
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="Only tasks with this tag; may be repeated."),
    ] = None,
    filter: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="NAME=VALUE",
            help="Only tasks with this status, type, name, stack, environment, queue, worker, machine, project, user "
            "or parameter, such as Args/lr=0.1; the same NAME again means either value; repeatable.",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            metavar="ID",
            help="Only these tasks; the beginning of an id is enough, as lists show it; may be repeated.",
        ),
    ] = None,
    group_by: Annotated[
        list[str] | None,
        typer.Option(
            "--group-by",
            metavar="KEYS",
            help="What makes a group: stack, environment, queue, worker, machine, project, tag, user, name, or a "
            "parameter such as Args/lr, with commas between them. With all-but:Args/seed, every parameter that "
            "differs but that one. Required.",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="What is compared: a figure of the record (wall_seconds), a scalar (loss/val), a single value "
            "(accuracy). Behind it :min or :max takes another than the last value, and :less or :more says which way "
            "is better. Default: all figures of the records and the scalars that most tasks have. May be repeated.",
        ),
    ] = None,
    pair_by: Annotated[
        str | None,
        typer.Option(
            "--pair-by",
            metavar="KEY",
            help="Tasks of two groups with the same value of this, such as Args/seed, are a pair: ratios within pairs "
            "are less uncertain.",
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            "--baseline",
            metavar="KEY=VALUE",
            help="The group that the others are compared with; default: the first that has the "
            "foremost metric. May be repeated.",
        ),
    ] = None,
    server: Annotated[
        list[str] | None,
        typer.Option(
            "--server",
            metavar="ADDRESS|FILE",
            help="Whose tasks: a clearml.conf, or the address of an API that one of your configurations is for. May be "
            "repeated: tasks of several servers are compared together.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Write report.html, .json, .csv and .md there; default: none is."
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Compare tasks of a ClearML server in groups: means, medians, intervals, ratios, verdicts, warnings."""
    if server and config is not None:
        raise BadInputError("--config and --server say the same; give one of them")
    with _of_options():
        chosen = Selection(
            project, tuple(tag or ()), selection.filters(filter or []), tuple(dict.fromkeys(task or ()))
        )
        options = reports.ReportOptions(baseline=fields.baseline(baseline or []))
    if chosen.project is None and not chosen.ids:
        raise BadInputError(
            "which tasks? name their project with --project, or themselves with --task; --tag and --filter narrow those"
        )
    if not group_by:
        raise BadInputError("--group-by is missing: say what makes a group, such as --group-by stack,Args/lr")
    asked = comparing.Asked(chosen, group_by, metric or (), pair_by)
    settings = Settings.from_environment()
    if server:
        connections = [connection.at(settings, each) for each in server]
    else:
        connections = [connection.find(settings, config)]
    connections = list({each.api: each for each in connections}.values())
    with contextlib.ExitStack() as stack, _of_options():
        clients = [stack.enter_context(Client(each)) for each in connections]
        report = comparing.compared(clients, asked, options, rows=as_json or out is not None)
    reporting.show(report, out, as_json)


@contextlib.contextmanager
def _of_options() -> Iterator[None]:
    """A field that cannot be used is told as the option that it was given with."""
    try:
        yield
    except FieldError as error:
        raise BadInputError(f"--{error.field} {error.said}") from error
