"""``stackyard bundle create | verify | serve``: all that a lab's hosts install, for labs without internet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from stackyard import stacks
from stackyard.bundle import creating, debian, serving, verifying
from stackyard.bundle import manifest as manifests
from stackyard.cli.options import Json
from stackyard.counting import count
from stackyard.errors import BadInputError, StackyardError
from stackyard.stacks import environment

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The bundle's folder.")]


@app.command()
def create(
    folder: Folder,
    stack: Annotated[
        list[str] | None,
        typer.Option(
            "--stack", metavar="NAME", help="A stack that hosts build; repeatable; default: the usual one."
        ),
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            "--debian", metavar="SUITE", help="A Debian that hosts have; repeatable; default: bookworm."
        ),
    ] = None,
    package: Annotated[
        list[str] | None,
        typer.Option(
            "--package", metavar="NAME", help="A Debian package beyond what the roles install; repeatable."
        ),
    ] = None,
    python: Annotated[
        list[str] | None,
        typer.Option("--python", metavar="MINOR", help="A Python that hosts lack, such as 3.9; repeatable."),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", metavar="NAME", help="An image of this machine's Docker Engine; repeatable."),
    ] = None,
    wheels: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A folder of wheels that is tried first; default: $STACKYARD_WHEELS."
        ),
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Make every component anew.")] = False,
    as_json: Json = False,
) -> None:
    """Make a bundle, or go on with one: wheels, packages, Pythons and images, with checksums and licences."""
    known = stacks.load()
    for name in stack or ():
        if name not in known:
            raise BadInputError(f"no stack is called {name!r}; there are: {', '.join(known)}")
    for name in suite or ():
        if name not in debian.SUITES:
            raise BadInputError(f"--debian {name}: expected one of {', '.join(debian.SUITES)}")
    wanted = creating.Wanted(
        stacks=tuple(known[name] for name in dict.fromkeys(stack or [stacks.DEFAULT])),
        suites=tuple(dict.fromkeys(suite or ["bookworm"])),
        packages=tuple(dict.fromkeys(package or ())),
        pythons=tuple(dict.fromkeys(python or ())),
        images=tuple(dict.fromkeys(image or ())),
        wheels=environment.wheel_folder(wheels),
        refresh=refresh,
    )
    done = creating.create(folder, wanted, _say)
    total = sum(component.bytes for component in done.manifest.components)
    if as_json:
        rows = [
            {"name": one.name, "bytes": one.bytes, "files": len(one.items), "kept": one.name in done.kept}
            for one in done.manifest.components
        ]
        typer.echo(
            json.dumps(
                {"folder": str(folder), "digest": done.digest, "bytes": total, "components": rows}, indent=1
            )
        )
        return
    for one in done.manifest.components:
        there = "  was there" if one.name in done.kept else ""
        typer.echo(f"{one.name:32s} {one.bytes / 1e6:8,.1f} MB  {count(len(one.items), 'file')}{there}")
    typer.echo(f"{folder}: {total / 1e6:,.1f} MB")
    typer.echo("into the inventory, beside lab_bundle_url:")
    typer.echo(f"  lab_bundle_digest: {done.digest}")


@app.command()
def verify(
    folder: Folder,
    digest: Annotated[
        str | None, typer.Option(metavar="SHA256", help="What `create` printed: refuse any other bundle.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare a bundle with its manifest, file by file."""
    faults = verifying.verify(folder, digest, _say)
    told = manifests.read(folder)
    if as_json:
        typer.echo(json.dumps({"digest": manifests.digest(folder), "faults": faults}, indent=1))
    else:
        for fault in faults:
            typer.echo(fault)
    if faults:
        raise StackyardError(f"{folder}: {count(len(faults), 'fault')}; make it anew or copy it again")
    if not as_json:
        files = sum(len(one.items) for one in told.components)
        typer.echo(f"sound: {count(len(told.components), 'component')}, {count(files, 'file')}")


@app.command()
def serve(
    folder: Folder,
    host: Annotated[str, typer.Option(help="The address to listen on: one that hosts reach.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; with 0 a free one.")] = 8700,
) -> None:
    """Serve a bundle to hosts, until Ctrl-C. Each host checks what it gets against the digest in the inventory."""
    with serving.server(folder, host, port) as server:
        shown = f"[{host}]" if ":" in host else host
        typer.echo("into the inventory:")
        typer.echo(f"  lab_bundle_url: http://{shown}:{server.server_address[1]}")
        typer.echo(f"  lab_bundle_digest: {manifests.digest(folder)}")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            typer.echo("ended")


def _say(text: str) -> None:
    typer.echo(text, err=True)
