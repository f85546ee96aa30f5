"""``stackyard stack prune`` and ``stackyard stack image prune``: what tasks had made and nobody uses any more."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from stackyard.counting import count
from stackyard.machine import docker_engine
from stackyard.ordinary import pruning
from stackyard.ordinary.pruning import Made
from stackyard.settings import Settings

#: Days that something may lie unused, where nobody says otherwise.
DAYS = 30.0

OlderThan = Annotated[
    float,
    typer.Option(
        "--older-than", min=0, max=36_500, metavar="DAYS", help="Only what was not used for so many days."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def environments(
    older_than: OlderThan = DAYS, dry_run: DryRun = False, yes: Yes = False, as_json: Json = False
) -> None:
    """Remove environments that were made for tasks and not used for long; asks first. They come back when needed."""
    settings = Settings.from_environment()
    found = pruning.environments(settings)
    _prune(
        found,
        lambda one: pruning.remove_environment(one, settings),
        "environment",
        older_than,
        dry_run,
        yes,
        as_json,
    )
    if not dry_run:
        pruning.forget_old_choices(settings, older_than * 86_400)


def images(
    older_than: OlderThan = DAYS, dry_run: DryRun = False, yes: Yes = False, as_json: Json = False
) -> None:
    """Remove images that were made for tasks and not used for long, and replaced ones, but none in use; asks first."""
    settings = Settings.from_environment()
    engine = docker_engine.connect()
    found = pruning.images_made(settings, engine)
    _prune(
        found,
        lambda one: pruning.remove_image(one, settings, engine),
        "image",
        older_than,
        dry_run,
        yes,
        as_json,
    )


def shown(one: Made) -> str:
    """One of them as a line of a list."""
    used = "never used" if not one.used_at else f"last used {_moment(one.used_at).date()}"
    state = "replaced by a later build" if one.replaced else "made for tasks"
    where = one.where[:19] if one.where.startswith("sha256:") else one.where
    return f"{one.name}  {where}  {one.bytes / 1e9:.2f} GB  {used}, {state}"


def facts(one: Made) -> dict[str, Any]:
    """One of them as JSON shows it."""
    return {
        "stack": one.name,
        "where": one.where,
        "bytes": one.bytes,
        "used_at": _moment(one.used_at).isoformat(timespec="seconds") if one.used_at else None,
        "replaced": one.replaced,
        "kept": one.kept,
    }


def _moment(epoch_seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(epoch_seconds, datetime.UTC)


def _prune(
    found: list[Made],
    remove: Callable[[Made], int],
    what: str,
    older_than: float,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    seconds, now = older_than * 86_400, time.time()
    would = list(pruning.pruned(found, seconds, lambda one: 0, now))
    going = [one for one, why in would if why is None]
    if not dry_run and going and not yes:
        for one in going:
            typer.echo(shown(one), err=True)
        if not typer.confirm(f"Remove {count(len(going), what)}?", err=True):
            raise typer.Exit(1)
    done = would if dry_run else list(pruning.pruned(found, seconds, remove, now))
    if as_json:
        rows = [{**facts(one), "kept": why} for one, why in done]
        typer.echo(json.dumps({"dry_run": dry_run, "pruned": rows}, indent=1))
        return
    for one, why in done:
        verb = "would remove" if dry_run else "removed"
        typer.echo(f"{verb} {shown(one)}" if why is None else f"left {shown(one)}: {why}")
    if not done:
        rest = f"; {count(len(found), what)} made for tasks stay" if found else ""
        typer.echo(f"nothing to remove{rest}")
