"""``stackyard stack image``: images of the stacks, for tasks that run in containers: list, build, verify, remove."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from stackyard import stacks
from stackyard.cli import pruning
from stackyard.cli.building import Watch, terminated_like_ctrl_c
from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from stackyard.machine import docker_engine
from stackyard.machine.docker_engine import Engine
from stackyard.ordinary import pruning as made_for_tasks
from stackyard.settings import Settings
from stackyard.stacks import derived, images
from stackyard.stacks.definition import StackSpec

app = typer.Typer(
    help="Images of the stacks, for tasks in containers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Names = Annotated[list[str] | None, typer.Argument(help="Stacks, by name.", metavar="[NAME]...")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout; progress goes to stderr.")
]


@app.command("list")
def list_command(as_json: Json = False) -> None:
    """Show which stacks have an image here, and the images that were made for tasks."""
    settings = Settings.from_environment()
    engine = docker_engine.connect()
    rows = [_row(stack, settings, engine) for stack in stacks.load().values()]
    made = made_for_tasks.images_made(settings, engine)
    if as_json:
        more = [pruning.facts(one) for one in made]
        typer.echo(json.dumps({"images": rows, "made_for_tasks": more}, indent=1))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("stack", "Python", "size", "built", "image"):
        table.add_column(heading, justify="right" if heading == "size" else "left", no_wrap=True)
    for row in rows:
        if row["image_id"]:
            size = f"{row['size_bytes'] / 1e9:.1f} GB"
            table.add_row(row["stack"], row["python"], size, row["built_at"][:10], row["image_id"][:19])
    console = Console(highlight=False, soft_wrap=True)
    if table.row_count:
        console.print(table)
    for row in rows:
        if row["why_not"]:
            console.print(row["why_not"], markup=False)
    for one in made:
        console.print(pruning.shown(one), markup=False)
    if made:
        console.print("those that nobody uses go by: stackyard stack image prune", markup=False)


app.command("prune")(pruning.images)


@app.command("build")
def build_command(
    names: Names = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="IMAGE", help="Base image with the stack's Python; default: the Dockerfile's."
        ),
    ] = None,
    wheels: Annotated[
        Path | None,
        typer.Option(
            "--wheels",
            metavar="DIR",
            help="A folder of wheels that is tried first; default: $STACKYARD_WHEELS.",
        ),
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Let pip work inside the build, instead of here before it.")
    ] = False,
    index: Annotated[
        str | None,
        typer.Option(
            "--index", metavar="ADDRESS", help="With --online: the index of torch; '' for pip's own."
        ),
    ] = None,
    pip_config: Annotated[
        Path | None,
        typer.Option(
            "--pip-config", metavar="FILE", help="With --online: a pip.conf; it does not stay in the image."
        ),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            metavar="FILE",
            help="With --online: certificates; they do not stay in the image. Default: $PIP_CERT.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build images and check them; the default stack's if none is named."""
    settings = Settings.from_environment()
    if not online and (index is not None or pip_config or ca):
        raise BadInputError(
            "--index, --pip-config and --ca belong to --online; without it this machine's pip is used"
        )
    for path in (pip_config, ca):
        if path is not None and not path.is_file():
            raise BadInputError(f"{path}: no such file")
    options = images.BuildOptions(base, wheels, online, index, pip_config, ca)
    rows: list[dict[str, Any]] = []
    with terminated_like_ctrl_c():
        for stack in _chosen(names, [stacks.DEFAULT]):
            started = time.monotonic()
            with Watch(stack.name) as watch:
                image = images.build(stack, settings, options, watch.say)
            seconds = time.monotonic() - started
            rows.append({**_facts(image), "seconds": round(seconds, 1)})
            if not as_json:
                typer.echo(f"{stack.name}: built and verified in {seconds:.0f} s: {image.image_id}")
    if as_json:
        typer.echo(json.dumps({"images": rows}, indent=1))


@app.command("verify")
def verify_command(names: Names = None, as_json: Json = False) -> None:
    """Load the stack in each image and compare it with what is pinned; all images if none is named."""
    settings = Settings.from_environment()
    engine = docker_engine.connect()
    held = images.recorded(settings)
    if not names and not held:
        raise NotRunnableError("no image has been built here; build one: stackyard stack image build")
    rows = []
    for stack in _chosen(names, list(held)):
        reason = images.why_not(stack, settings, engine)
        if reason is not None:
            raise NotRunnableError(reason)
        found = images.verify(stack, held[stack.name].image_id, engine)
        rows.append(
            {
                "stack": stack.name,
                "ok": found.ok,
                "mismatches": [
                    {"what": m.what, "expected": m.expected, "seen": m.seen} for m in found.mismatches
                ],
            }
        )
        if as_json:
            continue
        if found.ok:
            torch = f", torch {found.seen['torch']}" if "torch" in found.seen else ""
            typer.echo(f"{stack.name}: as pinned (Python {found.seen['python']}{torch})")
        for mismatch in found.mismatches:
            typer.echo(f"{stack.name}: {mismatch}", err=True)
    if as_json:
        typer.echo(json.dumps({"images": rows}, indent=1))
    wrong = [row["stack"] for row in rows if not row["ok"]]
    if wrong:
        raise StackyardError(
            f"not as pinned: {', '.join(map(str, wrong))}; build again: stackyard stack image build"
        )


@app.command("adopt")
def adopt_command(names: Names = None, as_json: Json = False) -> None:
    """Take up images that another machine built and `docker load` brought; the default stack's if none is named."""
    settings = Settings.from_environment()
    taken = []
    for stack in _chosen(names, [stacks.DEFAULT]):
        image = images.adopt(stack, settings, lambda text: typer.echo(text, err=True))
        taken.append(_facts(image))
        if not as_json:
            typer.echo(f"{stack.name}: {image.image_id}")
    if as_json:
        typer.echo(json.dumps({"images": taken}, indent=1))


@app.command("remove")
def remove_command(
    names: Names = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove images of stacks, older ones of the same stack too; asks first."""
    settings = Settings.from_environment()
    engine = docker_engine.connect()
    if not names:
        raise BadInputError("say which images to remove: names of stacks")
    removed: list[str] = []
    for stack in _chosen(names, []):
        if not yes and not typer.confirm(f"Remove the images of {stack.name}?", err=True):
            raise typer.Exit(1)
        for identifier in images.remove(stack.name, settings, engine):
            removed.append(identifier)
            if not as_json:
                typer.echo(f"{stack.name}: removed {identifier}")
    if as_json:
        typer.echo(json.dumps({"removed": removed}, indent=1))
    elif not removed:
        typer.echo("nothing to remove")


def _chosen(names: list[str] | None, otherwise: list[str]) -> list[StackSpec]:
    defined, settings = stacks.load(), Settings.from_environment()
    found = []
    for name in dict.fromkeys(names or otherwise):
        stack = defined.get(name) or derived.without_name(name, settings)
        if stack is None:
            raise BadInputError(f"no stack is called {name!r}; defined: {', '.join(defined) or 'none'}")
        found.append(stack)
    return found


def _row(stack: StackSpec, settings: Settings, engine: Engine) -> dict[str, Any]:
    image = images.recorded(settings).get(stack.name)
    facts = _facts(image) if image else {"stack": stack.name, "image_id": None}
    return {**facts, "why_not": images.why_not(stack, settings, engine)}


def _facts(image: images.StackImage) -> dict[str, Any]:
    return {
        "stack": image.stack,
        "image_id": image.image_id,
        "reference": image.reference,
        "tag": image.tag,
        "stack_digest": image.stack_digest,
        "python": image.python,
        "base": image.base,
        "agent": dict(image.agent),
        "built_at": image.built_at,
        "size_bytes": image.size_bytes,
    }
