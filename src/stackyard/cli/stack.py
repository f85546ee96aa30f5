"""``stackyard stack``: the pinned stacks: list, build, verify, remove."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from stackyard import stacks
from stackyard.cli import image, pruning
from stackyard.cli.building import Watch, terminated_like_ctrl_c
from stackyard.counting import count
from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from stackyard.machine import hardware
from stackyard.settings import Settings
from stackyard.stacks import derived, environment, indexes
from stackyard.stacks.definition import LOCK_FILE, StackSpec, canonical

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

app.add_typer(image.app, name="image")
app.command("prune")(pruning.environments)

Names = Annotated[list[str] | None, typer.Argument(help="Stacks, by name.", metavar="[NAME]...")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout; progress goes to stderr.")
]


@app.command("list")
def list_command(as_json: Json = False) -> None:
    """Show every defined stack and whether it is built here."""
    settings = Settings.from_environment()
    machine = hardware.this_machine(nvidia_smi=None)
    rows = [_row(stack, settings, machine) for stack in stacks.load().values()]
    unusable = derived.faults(settings)
    if as_json:
        typer.echo(json.dumps({"stacks": rows, "unusable": unusable}, indent=1))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("stack", "Python", "torch", "build", "size", "state"):
        table.add_column(heading, justify="right" if heading == "size" else "left", no_wrap=True)
    for row in rows:
        size = row["bytes"] if row["built"] else row["installed_bytes"]
        state = "built" if row["built"] else "not built" if row["can_build"] else "not runnable"
        about = f"{row['name']} (default)" if row["default"] else row["name"]
        build = indexes.build_name(row["cuda"])
        size = f"{size / 1e9:.1f} GB" if size else "?"
        table.add_row(about, row["python"], row["torch"] or "-", build, size, state)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for row in rows:
        if row["base"]:
            own = (row["bytes"] or 0) - (row["shared_bytes"] or 0)
            what = f", {own / 1e9:.2f} GB of its own" if row["shared_bytes"] else ""
            console.print(f"{row['name']}: on {row['base']}{what}", markup=False)
        if row["replaced"]:
            console.print(f"{row['name']}: replaces {_said(row['replaced'])}", markup=False)
        if row["why_not"]:
            console.print(f"{row['name']}: {row['why_not']}", markup=False)
    for name, reason in unusable.items():
        console.print(f"{name}: {reason}", markup=False)


@app.command("derive")
def derive_command(
    name: Annotated[str, typer.Argument(help="What the new stack is called.")],
    base: Annotated[str, typer.Option("--base", metavar="STACK", help="The stack that gets more packages.")],
    requirements: Annotated[
        Path,
        typer.Option("--requirements", metavar="FILE", help="requirements.txt, pylock.toml or uv.lock."),
    ],
    wheels: Annotated[
        Path | None,
        typer.Option(
            "--wheels",
            metavar="DIR",
            help="A folder of wheels that is tried first; default: $STACKYARD_WHEELS.",
        ),
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Choose versions anew, where this file was resolved before.")
    ] = False,
    replacing: Annotated[
        bool,
        typer.Option(
            "--replacing",
            help="Where the base's pins rule the file out, replace packages of the base too, but not torch and its "
            "CUDA libraries.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Define a stack that adds packages to another; what the base pins stays as it is, unless --replacing."""
    settings = Settings.from_environment()
    (below,) = _chosen([base], stacks.load(), False, [])
    derived.refuse_name(name, below)
    with terminated_like_ctrl_c(), Watch(name) as watch:
        spec = derived.defined(
            below, requirements, settings, wheels=wheels, progress=watch.say, anew=anew, replacing=replacing
        )
        spec = derived.define(spec, name, settings)
    own = stacks.read_lock(spec.folder / LOCK_FILE, may_be_empty=True)
    added = [package for package in own if canonical(package.name) not in spec.replaced]
    if as_json:
        packages = [{"name": p.name, "version": p.version, "hashes": p.hashes} for p in added]
        row = {"name": name, "base": base, "digest": spec.digest, "folder": str(spec.folder)}
        typer.echo(json.dumps({**row, "adds": packages, "replaced": _replaced(spec)}, indent=1))
        return
    what = ", ".join(f"{p.name} {p.version}" for p in added) or "nothing"
    typer.echo(f"{name}: adds {what}{'' if own else ': the base has it all'}")
    if spec.replaced:
        typer.echo(f"{name}: replaces {_said(_replaced(spec))}")
    typer.echo(f"{name}: defined in {spec.folder}; build it: stackyard stack build {name}")


@app.command("build")
def build_command(
    names: Names = None,
    every: Annotated[
        bool, typer.Option("--all", help="Build every defined stack that can be had here.")
    ] = False,
    wheels: Annotated[
        Path | None,
        typer.Option(
            "--wheels",
            metavar="DIR",
            help="A folder of wheels that is tried first; default: $STACKYARD_WHEELS.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build stacks that are not built yet, or changed since; the default stack if none is named."""
    settings = Settings.from_environment()
    chosen = _chosen(names, stacks.load(), every, [stacks.DEFAULT])
    rows: list[dict[str, Any]] = []
    failure: StackyardError | None = None
    with terminated_like_ctrl_c():
        for stack in chosen:
            started = time.monotonic()
            try:
                there = stacks.python_of(stack, settings)
                if environment.changed(stack, settings) is not None:
                    there = None
                with Watch(stack.name) as watch:
                    python = stacks.build(stack, settings, wheels, watch.say, mend=True)
            except StackyardError as error:
                rows.append({"name": stack.name, "built": False, "why_not": str(error)})
                if not (every and isinstance(error, NotRunnableError)):
                    failure = failure or error
                if len(chosen) > 1:
                    typer.echo(f"{stack.name}: {error}", err=True)
                continue
            seconds = time.monotonic() - started
            rows.append(
                {
                    "name": stack.name,
                    "built": True,
                    "new": there is None,
                    "python": str(python),
                    "seconds": round(seconds, 1),
                }
            )
            if not as_json:
                done = f"built and verified in {seconds:.0f} s" if there is None else "already built"
                typer.echo(f"{stack.name}: {done}: {python}")
    if as_json:
        typer.echo(json.dumps({"stacks": rows}, indent=1))
    if failure is not None:
        if len(chosen) > 1:  # each has had its sentence
            raise typer.Exit(failure.exit_code)
        raise failure


@app.command("verify")
def verify_command(names: Names = None, as_json: Json = False) -> None:
    """Load built stacks and compare them with what they pin; all built ones if none is named."""
    settings = Settings.from_environment()
    defined = stacks.load()
    built = [name for name, stack in defined.items() if stacks.python_of(stack, settings) is not None]
    if not names and not built:
        raise NotRunnableError("no stack is built here; build the default one: stackyard stack build")
    rows = []
    for stack in _chosen(names, defined, False, built):
        python = stacks.python_of(stack, settings)
        if python is None:
            raise NotRunnableError(f"{stack.name} is not built; build it: stackyard stack build {stack.name}")
        found = stacks.verify(stack, python)
        rows.append(_verified(found))
        if as_json:
            continue
        if found.ok:
            seen = found.seen
            torch = f"torch {seen['torch']}, {indexes.build_name(seen['cuda'])}, " if "torch" in seen else ""
            typer.echo(
                f"{stack.name}: as pinned (Python {seen['python']}, {torch}{count(len(seen['installed']), 'package')})"
            )
        for mismatch in found.mismatches:
            typer.echo(f"{stack.name}: {mismatch}", err=True)
    if as_json:
        typer.echo(json.dumps({"stacks": rows}, indent=1))
    wrong = [row["name"] for row in rows if not row["ok"]]
    if wrong:
        raise StackyardError(
            f"not as pinned: {', '.join(wrong)}; remove and build again: stackyard stack remove {wrong[0]}"
        )


@app.command("remove")
def remove_command(
    names: Names = None,
    every: Annotated[
        bool, typer.Option("--all", help="Remove everything below the folder of stacks.")
    ] = False,
    unused: Annotated[
        bool,
        typer.Option("--unused", help="Remove what no defined stack points to, and leftovers of builds."),
    ] = False,
    definition: Annotated[
        bool, typer.Option("--definition", help="Also forget the definitions of the named derived stacks.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove built stacks; asks first. What was derived from one keeps its files."""
    settings = Settings.from_environment()
    if bool(names) + every + unused != 1:
        raise BadInputError("say what to remove: names of stacks, --unused or --all")
    if definition and not names:
        raise BadInputError("--definition goes with names of derived stacks")
    defined = stacks.load()
    if every:
        folders = environment.environments(settings)
    elif unused:
        folders = stacks.unused(defined, settings)
    else:
        unusable = derived.faults(settings) if definition else {}  # it can be forgotten all the same
        chosen = _chosen([name for name in names or [] if name not in unusable], defined, False, [])
        own = [stack.name for stack in chosen if stack.base is None]
        if definition and own:
            raise BadInputError(f"{own[0]} is no derived stack; its definition is in {chosen[0].folder}")
        folders = [stacks.location(stack, settings) for stack in chosen]
        absent = [folder.name for folder in folders if not folder.is_dir()]
        if definition:
            folders = [folder for folder in folders if folder.is_dir()]
        elif absent:
            raise BadInputError(f"not built here: {', '.join(absent)}; see `stackyard stack list`")
    rows: list[dict[str, Any]] = []
    if folders and not yes:
        for folder in folders:
            typer.echo(f"{folder}  {environment.size_bytes(folder, only_here=True) / 1e9:.2f} GB", err=True)
        if not typer.confirm(f"Remove {len(folders)}?", err=True):
            raise typer.Exit(1)
    for folder in folders:
        rows.append({"folder": str(folder), "bytes": stacks.remove(folder, settings)})
        if not as_json:
            typer.echo(f"removed {folder.name}, {rows[-1]['bytes'] / 1e9:.2f} GB")
    forgotten = list(dict.fromkeys(names or [])) if definition else []
    for name in forgotten:
        derived.forget(name, settings)
        if not as_json:
            typer.echo(f"forgot {name}")
    if as_json:
        typer.echo(json.dumps({"removed": rows, "forgotten": forgotten}, indent=1))
    elif not folders and not forgotten:
        typer.echo("nothing to remove")


def _chosen(
    names: list[str] | None, defined: Mapping[str, StackSpec], every: bool, otherwise: list[str]
) -> list[StackSpec]:
    if names and every:
        raise BadInputError("names of stacks and --all exclude each other; give one")
    wanted = list(defined) if every else list(dict.fromkeys(names or otherwise))
    for name in wanted:
        if name not in defined:
            reason = derived.faults().get(name)
            if reason is not None:
                raise BadInputError(reason)
            known = ", ".join(defined) or "none"
            raise BadInputError(f"no stack is called {name!r}; defined: {known}")
    return [defined[name] for name in wanted]


def _row(stack: StackSpec, settings: Settings, machine: hardware.Machine) -> dict[str, Any]:
    python = stacks.python_of(stack, settings)
    reason = stacks.why_not(stack, settings, machine)
    built = environment.marker(stacks.location(stack, settings)) if python else {}
    return {
        "name": stack.name,
        "default": stack.name == stacks.DEFAULT,
        "about": stack.about,
        "base": stack.base.name if stack.base else None,
        "replaced": _replaced(stack),
        "python": stack.python,
        "torch": stack.torch,
        "cuda": stack.cuda,
        "digest": stack.digest,
        "built": python is not None,
        "can_build": python is not None or stacks.can_be_built(stack, settings),
        "why_not": reason,
        "interpreter": str(python) if python else None,
        "built_at": built.get("built_at"),
        "bytes": built.get("bytes"),
        "shared_bytes": built.get("shared_bytes"),
        "installed_bytes": stack.installed_bytes,
        "tunables": dict(stack.tunables),
    }


def _replaced(stack: StackSpec) -> list[dict[str, str]]:
    return [
        {"name": name, "of_base": of_base, "version": version}
        for name, (of_base, version) in stack.replaced.items()
    ]


def _said(replaced: list[dict[str, str]]) -> str:
    return ", ".join(f"{one['name']} {one['of_base']} by {one['version']}" for one in replaced)


def _verified(found: stacks.Verification) -> dict[str, Any]:
    return {
        "name": found.stack,
        "ok": found.ok,
        "mismatches": [{"what": m.what, "expected": m.expected, "seen": m.seen} for m in found.mismatches],
        "python": found.seen.get("python"),
        "torch": found.seen.get("torch"),
        "cuda": found.seen.get("cuda"),
    }
