"""``stackyard data publish | published``: data as ClearML data sets, beside the public data sets of ``data``.

``data`` mounts them; the server's client is imported when one runs.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from stackyard.cli.options import Config
from stackyard.cli.progress import size
from stackyard.counting import count
from stackyard.errors import BadInputError
from stackyard.machine import data
from stackyard.settings import Settings

#: Project of data sets whose name says none.
PROJECT = "Stackyard"


def publish(
    source: Annotated[
        str, typer.Argument(metavar="FOLDER", help="A folder, or the name of a public data set.")
    ],
    name: Annotated[
        str | None,
        typer.Option("--as", metavar="PROJECT/NAME", help="Its name on the server; default: the folder's."),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(
            "--version", metavar="1.2.3", help="The version it becomes; default: one more than the newest."
        ),
    ] = None,
    parent: Annotated[
        str | None,
        typer.Option("--parent", metavar="VERSION", help="The version it builds on; default: the newest."),
    ] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", help="A tag that is shown with it; repeatable.")
    ] = None,
    description: Annotated[str, typer.Option("--description", help="One or a few sentences.")] = "",
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Make a folder a version of a ClearML data set; only files that its parent lacks are uploaded."""
    from stackyard.clearml import connection, datasets
    from stackyard.clearml.client import Client

    settings = Settings.from_environment()
    folder = _folder(source, settings)
    project, _, base = (name or folder.name).rpartition("/")
    with Client(connection.find(settings, config)) as client:
        done = datasets.publish(
            client,
            folder,
            project or PROJECT,
            base,
            version=version,
            parent=parent,
            tags=tags or (),
            description=description,
        )
    if as_json:
        typer.echo(json.dumps({**dataclasses.asdict(done), "reference": done.version.reference}, indent=1))
        return
    found = done.version
    label = f"{found.project}/{found.name} {found.version}"
    if not done.new:
        same = count(len(done.changes.same), "file")
        typer.echo(f"nothing changed: {label} holds {'this' if same == '1 file' else 'these'} {same} already")
    else:
        changes = done.changes
        counts = [
            f"{len(paths)} {word}"
            for word, paths in (
                ("new", changes.added),
                ("changed", changes.changed),
                ("removed", changes.removed),
            )
            if paths
        ]
        kept = f"; {len(changes.same)} unchanged, not uploaded again" if changes.same else ""
        typer.echo(f"published {label}: {', '.join(counts) or 'no difference'}{kept}")
    typer.echo(f"id {found.id}; in parameters: {found.reference}//FILE")


def published(
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Show the data sets on the server: every version, its parents, its size."""
    from stackyard.clearml import connection, datasets
    from stackyard.clearml.client import Client

    with Client(connection.find(Settings.from_environment(), config)) as client:
        found = datasets.versions(client)
    if as_json:
        rows = [{**dataclasses.asdict(version), "reference": version.reference} for version in found]
        typer.echo(json.dumps({"versions": rows}, indent=1))
        return
    if not found:
        typer.echo(
            "no data set is on the server; publish one: stackyard data publish FOLDER --as PROJECT/NAME"
        )
    numbers = {version.id: version.version for version in found}
    for version in found:
        parents = ", ".join(numbers.get(parent, parent) for parent in version.parents)
        typer.echo(
            f"{version.project}/{version.name} {version.version}  {version.id}  "
            f"{'? files' if version.files is None else count(version.files, 'file')}, "
            f"{'?' if version.bytes is None else size(version.bytes)}{f', on {parents}' if parents else ''}"
        )


def _folder(source: str, settings: Settings) -> Path:
    """The folder that is meant: of that path, or of the public data set of that name."""
    path = Path(source)
    if path.is_dir():
        return path.resolve()
    if source in {each.name for each in data.known()}:
        folder = settings.data / source
        if folder.is_dir():
            return folder
        raise BadInputError(f"{source} is not in {settings.data}; get it with: stackyard data fetch {source}")
    raise BadInputError(f"{source}: neither a folder nor a public data set (see: stackyard data list)")
