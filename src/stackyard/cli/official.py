"""``stackyard official``: the official ClearML server: secrets, users, keys, backup, moving to and from it.

The server itself is started by ``docker compose``; see docs/official-server.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from stackyard import extras
from stackyard.clearml import connection
from stackyard.clearml.client import Client
from stackyard.counting import count
from stackyard.errors import BadInputError, StackyardError
from stackyard.official import backup as backups
from stackyard.official import exporting, importing, installation, keys
from stackyard.settings import Settings, base

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Folder = Annotated[
    Path | None,
    typer.Option("--folder", metavar="DIR", help="Where docker-compose.yml is; default: the checkout."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The server's clearml.conf; default: the one in use."),
]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
]


def folder_of(given: Path | None) -> Path:
    """The installation's folder: --folder, else the checkout."""
    return given.expanduser().absolute() if given else base()


@app.command()
def init(
    folder: Folder = None,
    host: Annotated[str, typer.Option(help="The name clients know this machine by.")] = "localhost",
    bind: Annotated[str, typer.Option(help="Where the TLS front listens.")] = "127.0.0.1",
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of databases, files and logs.")] = Path(
        "/opt/clearml"
    ),
    memory_mb: Annotated[
        int, typer.Option(min=0, help="Memory in MiB that the server may use; with 0 all of the machine's.")
    ] = 0,
    admin: Annotated[str, typer.Option(help="The first login of the web.")] = "admin",
    web_port: Annotated[int, typer.Option(help="Port of the web app.")] = installation.PORTS["WEB_PORT"],
    api_port: Annotated[int, typer.Option(help="Port of the API.")] = installation.PORTS["API_PORT"],
    files_port: Annotated[int, typer.Option(help="Port of the file server.")] = installation.PORTS[
        "FILES_PORT"
    ],
    prometheus_port: Annotated[int, typer.Option(help="Port of Prometheus.")] = installation.PORTS[
        "PROMETHEUS_PORT"
    ],
    as_json: Json = False,
) -> None:
    """Make .env, secret files, certificate and data folders; what is there is never overwritten."""
    ports = {
        "WEB_PORT": web_port,
        "API_PORT": api_port,
        "FILES_PORT": files_port,
        "PROMETHEUS_PORT": prometheus_port,
    }
    where = folder_of(folder)
    wanted = installation.Wanted(host, bind, data.expanduser().absolute(), memory_mb, ports, admin)
    done = installation.install(where, wanted)
    if as_json:
        typer.echo(json.dumps(vars(done)))
        return
    for name in done.made:
        typer.echo(f"made  {name}")
    if not done.made:
        typer.echo("everything was there already; nothing was changed")
    elif done.kept:
        typer.echo(
            f"kept  {count(len(done.kept), 'file')} that {'was' if len(done.kept) == 1 else 'were'} there"
        )
    if done.password:
        typer.echo("\nThe web login, shown once and kept nowhere:")
        typer.echo(f"  login    {done.login}\n  password {done.password}")
    for warning in done.warnings:
        typer.echo(f"! {warning}")
    values = installation.read_env(where)
    typer.echo("\nNext: docker compose up -d --wait")
    typer.echo(f"Then: https://{values['SERVER_NAME']}:{values['WEB_PORT']}  (trust server/secrets/ca.crt)")


@app.command()
def user(
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="The login of the person.")],
    name: Annotated[str | None, typer.Option(help="As others see them; default: the login.")] = None,
    password_stdin: FromStdin = False,
    folder: Folder = None,
) -> None:
    """Add a person to the web login, or give one another password."""
    password = _first_line() if password_stdin else installation.draw(20)
    new = installation.set_user(folder_of(folder), login, password, name)
    typer.echo(f"{login} was added" if new else f"{login} has another password")
    if not password_stdin:
        typer.echo(f"password, shown once: {password}")
    typer.echo("Next: docker compose restart apiserver")


@app.command()
def credentials(
    login: Annotated[str, typer.Argument(help="Whose key.")] = "admin",
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where the clearml.conf goes.")] = Path(
        "~/clearml.conf"
    ),
    agent: Annotated[
        bool, typer.Option("--agent", help="For the agent of the profile `agents` instead of --to.")
    ] = False,
    password_stdin: FromStdin = False,
    folder: Folder = None,
) -> None:
    """Ask the running server for an access key and write a clearml.conf with it (0600)."""
    where = folder_of(folder)
    password = _first_line() if password_stdin else typer.prompt("Password", hide_input=True, err=True)
    path = where / "server" / "secrets" / "agent.conf" if agent else to.expanduser().absolute()
    key = keys.write(where, login, password, path, inside=agent)
    typer.echo(f"wrote {path} with the new key {key} of {login}")
    if not agent:
        typer.echo(
            f"The SDK and agents trust the server with REQUESTS_CA_BUNDLE={where}/server/secrets/ca.crt"
        )


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A new folder.", metavar="DEST")],
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Back up databases, files and secrets; the server is stopped meanwhile, except its stores."""
    manifest = backups.backup(folder_of(folder), target.absolute(), _say)
    if as_json:
        typer.echo(json.dumps(manifest, indent=1))
    else:
        parts = ", ".join(
            f"{name} {count(about['bytes'], 'byte')}" for name, about in manifest["parts"].items()
        )
        typer.echo(f"{target}: {parts}. It holds every secret: keep it as you keep them.")
        typer.echo(f"digest {manifest['digest']}")
        typer.echo("Keep the digest elsewhere: restore --digest knows by it that nobody changed the backup.")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="What backup made.", metavar="SRC")],
    settings: Annotated[
        bool, typer.Option("--settings", help="Put .env and server/secrets back first.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only verify the backup.")] = False,
    digest: Annotated[
        str | None,
        typer.Option(help="What backup printed: refuse any other backup.", metavar="DIGEST"),
    ] = None,
    folder: Folder = None,
) -> None:
    """Put a backup into an installation whose data folders are empty, and start it."""
    where = folder_of(folder)
    manifest = backups.verify(source, digest)
    if check:
        typer.echo(
            f"sound: {count(len(manifest['parts']), 'part')}, made {manifest['made_at']}, {manifest['digest']}"
        )
        return
    if digest is None:
        _say(
            "taken on trust: databases, files and secrets are as whoever could write to the backup left them; "
            f"its digest is {manifest['digest']}, compare it with the one that backup printed"
        )
    if settings:
        backups.restore_settings(source, where)
        installation.install(where, installation.Wanted())  # the data folders
    manifest = backups.restore(source.absolute(), where, _say, digest=digest)
    typer.echo(f"restored, as of {manifest['made_at']}")


@app.command("export")
def export_bundle(
    bundle: Annotated[Path, typer.Argument(help="A new folder.", metavar="BUNDLE")],
    config: Config = None,
    project: Annotated[
        list[str] | None, typer.Option("--project", help="With those below it; repeatable. Default: all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write projects, queues, tasks, models, events and files of any ClearML server into a folder."""
    with Client(connection.find(Settings.from_environment(), config)) as client:
        manifest = exporting.export(client, bundle.absolute(), _say, project)
    if as_json:
        typer.echo(json.dumps(manifest, indent=1))
    else:
        counts = ", ".join(
            count(number, kind.removesuffix("s")) for kind, number in manifest["counts"].items()
        )
        files = f"{count(manifest['files'], 'file')} of {count(manifest['files_bytes'], 'byte')}"
        typer.echo(f"{bundle}: {counts}, {files}")


@app.command("import")
def import_bundle(
    bundle: Annotated[Path, typer.Argument(help="What export made.", metavar="BUNDLE")],
    config: Config = None,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            metavar="DIR",
            help="The data folder of a stopped embedded server; ids stay as they are.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a bundle into a running ClearML server (new ids), or into a stopped embedded one (same ids)."""
    if into:
        counts = _into_embedded(bundle, into.expanduser().absolute())
    else:
        with Client(connection.find(Settings.from_environment(), config)) as client:
            counts = importing.take_in(client, bundle.absolute(), _say)
    typer.echo(
        json.dumps(counts)
        if as_json
        else ", ".join(count(number, kind.removesuffix("s")) for kind, number in counts.items())
    )


def _into_embedded(bundle: Path, folder: Path) -> dict[str, int]:
    extras.check("server", "there is no embedded server here")
    from stackyard_server import admin

    try:
        documents, files = importing.documents_for(bundle, admin.public_urls(folder)["files"])
        return admin.take_in(folder, documents, files)
    except admin.AdminError as error:
        raise (BadInputError if error.usage else StackyardError)(str(error)) from error


def _say(what: str) -> None:
    typer.echo(what, err=True)


def _first_line() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise BadInputError("stdin holds no password on its first line")
    return password
