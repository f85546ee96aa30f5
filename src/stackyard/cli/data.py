"""``stackyard data list | fetch | verify``: the public data sets, on the command line; ``trial`` has ``try``."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stackyard.cli import dataset, trial
from stackyard.cli.progress import size
from stackyard.counting import count
from stackyard.errors import BadInputError
from stackyard.machine import data, fetching
from stackyard.machine.data import DataSet
from stackyard.machine.download import Downloader
from stackyard.settings import Settings

app = typer.Typer(no_args_is_help=True)

_DATA = typer.Option(
    None, "--data", metavar="DIR", help="Folder of data sets instead of $STACKYARD_DATA or the cache."
)
_JSON = typer.Option(False, "--json", help="Print JSON on stdout.")


def _here_sentence(data_set: DataSet, top: Path) -> str:
    here, of = data.here(data_set, top), len(data_set.files)
    return "yes" if here == of else "no" if here == 0 else f"{here} of {of}"


def _as_json(data_set: DataSet, top: Path) -> dict[str, object]:
    files = []
    for file in data_set.files:
        found = data.find(data_set.name, file.path, top)
        files.append(
            {
                "path": file.path,
                "bytes": file.bytes,
                "sha256": file.sha256,
                "address": file.address,
                "member": file.member,
                "made_from": file.how,
                "here": str(found) if found else None,
            }
        )
    return {
        "name": data_set.name,
        "about": data_set.about,
        "licence": data_set.licence,
        "source": data_set.source,
        "bytes": data_set.bytes,
        "sha256": data_set.sha256,
        "files": files,
    }


@app.command("list")
def list_(
    name: str = typer.Argument(None, help="Name of a data set, to show its files, sizes and checksums."),
    folder: Path = _DATA,
    as_json: bool = _JSON,
) -> None:
    """Show the public data sets: name, licence, source, size, and whether they are here."""
    top = Settings.from_environment(folder).data
    chosen = (data.named(name),) if name else data.known()
    if as_json:
        value = {"folder": str(top), "data_sets": [_as_json(s, top) for s in chosen]}
        typer.echo(json.dumps(value, indent=1))
        return
    console = Console()
    if name:
        _show_one(console, chosen[0], top)
        return
    table = Table("name", "here", "size", "sha256", "what", "licence", "source", box=None, pad_edge=False)
    for column in table.columns[:4]:
        column.no_wrap = True
    for s in chosen:
        here = _here_sentence(s, top)
        table.add_row(s.name, here, size(s.bytes), s.sha256[:8], s.about, s.licence, s.source)
    console.print(table)
    console.print(f"folder: {top}", highlight=False, soft_wrap=True)
    console.print("files and checksums of one: stackyard data list NAME", highlight=False)


def _show_one(console: Console, data_set: DataSet, top: Path) -> None:
    for key, value in (
        ("name", data_set.name),
        ("what", data_set.about),
        ("licence", data_set.licence),
        ("source", data_set.source),
    ):
        console.print(f"{key:8s} {value}", highlight=False, soft_wrap=True)
    for file in data_set.files:
        found = data.find(data_set.name, file.path, top)
        console.print(
            f"\n{file.path}  {size(file.bytes)}  {'here: ' + str(found) if found else 'not here'}\n"
            f"  sha256 {file.sha256}",
            highlight=False,
            soft_wrap=True,
        )
        if file.address:
            member = f" (member {file.member})" if file.member else ""
            console.print(f"  from {file.address}{member}", highlight=False, soft_wrap=True)
        else:
            console.print(f"  derived, not fetchable; made from: {file.how}", highlight=False, soft_wrap=True)


@app.command()
def fetch(
    name: str = typer.Argument(..., help="Name of a data set; see: stackyard data list."),
    folder: Path = _DATA,
    copy: str = typer.Option(
        None,
        "--from",
        metavar="FOLDER_OR_URL",
        help="Take the files from a copy laid out NAME/FILE, instead of their public addresses.",
    ),
) -> None:
    """Bring a data set here; an interrupted fetch continues where it stopped."""
    top = Settings.from_environment(folder).data
    data_set = data.named(name)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=None)
        downloader = Downloader(
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            on_retry=lambda sentence: console.print(sentence, highlight=False, markup=False, soft_wrap=True),
        )
        result = fetching.fetch(
            data_set,
            top,
            downloader,
            copy,
            lambda file: progress.reset(task, description=file.path, total=file.bytes),
        )
    for file in result.got:
        typer.echo(f"fetched  {name}/{file}")
    for file in result.kept:
        typer.echo(f"here     {name}/{file}")
    for file, how in result.without_address.items():
        typer.echo(f"derived  {name}/{file}: no public address serves it; made from: {how}")
    typer.echo(f"folder: {top / name}")


@app.command()
def verify(
    name: str = typer.Argument(None, help="Name of a data set; without it all that are here are compared."),
    folder: Path = _DATA,
    as_json: bool = _JSON,
) -> None:
    """Compare the content of the files that are here with their checksums."""
    top = Settings.from_environment(folder).data
    chosen = [data.named(name)] if name else [s for s in data.known() if data.here(s, top)]
    if not chosen:
        raise BadInputError(f"{top}: holds no data set; get one with: stackyard data fetch NAME")
    states = [state for data_set in chosen for state in data.verify(data_set, top)]
    wrong = [state for state in states if state.state == "wrong"]
    if as_json:
        keys = ("data_set", "file", "state", "reason")
        typer.echo(json.dumps([{key: getattr(state, key) for key in keys} for state in states], indent=1))
    else:
        for state in states:
            typer.echo(f"{state.state:7s} {state.data_set}/{state.file}")
    if wrong:
        raise BadInputError(
            f"{len(wrong)} of {count(len(states), 'file')} "
            f"{'is not what it' if len(wrong) == 1 else 'are not what they'} should be (first: {wrong[0].reason}); "
            f"get them again with: stackyard data fetch {wrong[0].data_set}"
        )
    if name and all(state.state == "absent" for state in states):
        raise BadInputError(f"{name} is not in {top}; get it with: stackyard data fetch {name}")


app.command("try")(trial.try_command)
app.command("presets")(trial.presets_command)
app.command("publish")(dataset.publish)
app.command("published")(dataset.published)
