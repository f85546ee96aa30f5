"""The server's command line: start, stop, users, keys, backups.

``stackyard-server`` where this package is alone; ``stackyard server`` mounts the same commands. Everything is done by
``admin``, imported when a command runs, so that a help text needs no more than typer. What differs between the two
programs is what ``mount`` is told.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.main import get_command

from . import mounted, once, people, started
from .mounted import Folder, FromStdin, Json, Mount, Prompt, RefusedError, door, folder_of
from .mounted import named_folder as named_folder
from .program import COMMAND, hint, version

if TYPE_CHECKING:
    from . import admin as admin_module

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(people.users, name="user")
app.add_typer(people.credentials, name="credentials")


def mount(told: Mount) -> None:
    """Have the commands behave as the program that mounts them decides."""
    mounted.mount = told


@app.command()
def start(
    folder: Folder = None,
    background: Annotated[bool, typer.Option("--background", help="Return once the server answers.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on; default 127.0.0.1.")] = None,
    web_port: Annotated[
        int | None, typer.Option(help="Port of the pages; default 8080; 0 takes a free one.")
    ] = None,
    api_port: Annotated[int | None, typer.Option(help="Port of the API; default 8008.")] = None,
    files_port: Annotated[int | None, typer.Option(help="Port of the file server; default 8081.")] = None,
    compare_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A page that compares tasks in groups; the pages lead to it."),
    ] = None,
    webapp: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A build of the official web app instead of our pages.")
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM certificate chain.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="PEM private key.")] = None,
    as_json: Json = False,
) -> None:
    """Start the server; further settings are in server.toml in the data folder and STACKYARD_SERVER_*."""
    where = folder_of(folder)
    options: dict[str, Any] = {
        "host": host,
        "web_port": web_port,
        "api_port": api_port,
        "files_port": files_port,
        "compare_url": compare_url,
        "webapp": _absolute(webapp),
        "tls_certificate": _absolute(tls_certificate),
        "tls_key": _absolute(tls_key),
    }
    options = {name: value for name, value in options.items() if value is not None}
    with door() as admin:
        if background:
            word = admin.start_background(where, options)
            started.say(word, where, as_json, folder_of(None))
            return
        settings = admin.read_settings(where, options)
        admin.keep_log(None)

        def ready(urls: dict[str, str], first: admin_module.First | None) -> None:
            made = vars(first) if first else None
            word = {"pid": os.getpid(), "urls": urls, "admin": made}
            started.say(word, where, as_json, folder_of(None))

        admin.serve(settings, ready)


def _absolute(path: Path | None) -> str | None:
    return str(path.expanduser().absolute()) if path else None


@app.command()
def init(prompt: Prompt = False, password_stdin: FromStdin = False, folder: Folder = None) -> None:
    """Make a data folder and its administrator, and start nothing. One that has an administrator stays as it is."""
    where = folder_of(folder)
    with door() as admin:
        password, made = mounted.password(admin, prompt, password_stdin)
        login = admin.found(where, password)
    if login is None:
        typer.echo(f"{where} has an administrator already: nothing was changed")
        return
    typer.echo(
        f"made {where} with the administrator {login}"
        + (f", password, shown once: {password}" if made else "")
    )


@app.command()
def status(folder: Folder = None, as_json: Json = False) -> None:
    """Show what runs, what it holds, and what is wrong. Exit status 1 when no server runs."""
    where = folder_of(folder)
    with door() as admin:
        found = admin.status(where)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        _show_status(found)
    if not found["running"]:
        raise typer.Exit(1)


def _show_status(found: dict[str, Any]) -> None:
    typer.echo(f"running (process {found['pid']})" if found["running"] else "not running")
    for name, url in found["urls"].items():
        typer.echo(f"  {name:8s}{url}  {'answers' if found['answers'][name] else 'does not answer'}")
    typer.echo(f"  folder  {found['folder']}")
    tasks = ", ".join(f"{count} {status}" for status, count in sorted(found["tasks"].items())) or "none"
    queues = ", ".join(f"{queue['name']} ({queue['waiting']} waiting)" for queue in found["queues"]) or "none"
    typer.echo(f"  tasks   {tasks}")
    typer.echo(f"  queues  {queues}")
    typer.echo(f"  workers {found['workers']}")
    disk, files = found["disk"], found["files"]
    budget = f" of {_size(disk['budget_bytes'])}" if disk["budget_bytes"] is not None else ""
    typer.echo(
        f"  disk    {_size(disk['used_bytes'])}{budget} used ({_size(disk['database_bytes'])} database, "
        f"{_count(files['count'], 'file')} of {_size(files['bytes'])}), {_size(disk['free_bytes'])} free"
    )
    for problem in found["problems"]:
        typer.echo(f"! {problem}")


@app.command()
def stop(folder: Folder = None) -> None:
    """Ask the server to end, and wait until it has."""
    where = folder_of(folder)
    with door() as admin:
        pid = admin.stop(where)
    typer.echo("no server runs on this folder" if pid is None else f"stopped (process {pid})")


@app.command()
def config(
    folder: Folder = None,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where to write it.")] = Path(
        "~/clearml.conf"
    ),
    user: Annotated[str, typer.Option(help="Whose key it holds; a fresh one is made.")] = "admin",
    host: Annotated[str | None, typer.Option(help="The name clients know this machine by.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is there, without asking.")
    ] = False,
) -> None:
    """Write a clearml.conf for the SDK and agents, readable by you only."""
    where, path = folder_of(folder), to.expanduser().absolute()
    replace = force
    if path.exists() and not path.is_dir() and not force and sys.stdin.isatty():
        replace = typer.confirm(f"{path} is there already. Replace it?", err=True)
        if not replace:
            raise typer.Exit(1)
    with door() as admin:
        key = admin.write_client_config(where, path, user, replace, host)
    typer.echo(f"wrote {path} with the new key {key.access_key} of {user}")


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A new folder.", metavar="DEST")],
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Copy rows and files to a new folder; the server may run."""
    with door() as admin:
        manifest = admin.backup(folder_of(folder), target)
    if as_json:
        typer.echo(json.dumps(manifest, indent=1))
        return
    left = f", {manifest['left_out']} deleted meanwhile" if manifest["left_out"] else ""
    typer.echo(
        f"{target}: {_count(sum(manifest['rows'].values()), 'row')}, {_count(manifest['files'], 'file')} of "
        f"{_size(manifest['bytes'])} ({manifest['linked']} linked{left})"
    )
    typer.echo(f"digest {manifest['digest']}")
    typer.echo("Keep the digest elsewhere: restore --digest knows by it that nobody changed the backup.")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="What backup made.", metavar="SRC")],
    folder: Folder = None,
    verify_copy: Annotated[
        bool, typer.Option("--verify", help="Prove rows, files and hashes of the copy.")
    ] = False,
    digest: Annotated[
        str | None,
        typer.Option(help="What backup printed: refuse any other backup.", metavar="DIGEST"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a backup into an empty data folder, once all of it was checked."""
    where = folder_of(folder)
    with door() as admin:
        found = admin.restore(source, where, verify_copy, digest)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    elif found["ok"]:
        typer.echo(
            f"{where}: {_count(found['files'], 'file')} of {_size(found['bytes'])}, as of {found['made_at']}"
        )
        if verify_copy:
            typer.echo("verified: rows, files and hashes are as in the backup")
        if not found["checked"]:
            typer.echo(
                "Taken on trust: users, keys, settings and all else are as whoever could write to the backup left "
                f"them. Its digest is {found['digest']}; compare it with the one that backup printed."
            )
    _fail_on_problems(found)


@app.command()
def verify(folder: Folder = None, as_json: Json = False) -> None:
    """Check rows, references, files and hashes; the server may run."""
    where = folder_of(folder)
    with door() as admin:
        found = admin.verify(where)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    elif found["ok"]:
        typer.echo(
            f"sound: {_count(sum(found['rows'].values()), 'row')}, {_count(found['files'], 'file')} of "
            f"{_size(found['bytes'])}"
        )
    left = found["unclaimed"]["count"]
    if not as_json and left and found["apart"]:
        typer.echo(
            f"{left} contents are there that the database has no file for: all are kept, gc takes none"
        )
    elif not as_json and left:
        typer.echo(
            f"{left} contents belong to no file, as uploads leave that were cut off: {hint('gc', where)} takes them"
        )
    _fail_on_problems(found)


@app.command()
def reconcile(
    folder: Folder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """Take a database and contents that are apart as they are; removes nothing from the disk."""
    where = folder_of(folder)
    with door() as admin:
        found = admin.reconcile(where, dry_run)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo("would be done:" if dry_run else f"{where}: database and contents belong together now")
    if found["new_database"]:
        typer.echo("  a new database: users, tasks and queues are lost")
    typer.echo(f"  below recovered/: {_count(found['recovered']['count'], 'content')} without a file")
    typer.echo(f"  forgotten: {_count(found['forgotten']['count'], 'file')} without a content")
    for path in found["forgotten"]["paths"]:
        typer.echo(f"    {path}")


def _fail_on_problems(found: dict[str, Any]) -> None:
    problems = found.get("problems") or []
    if problems:
        for problem in problems[1:]:
            typer.echo(problem, err=True)
        raise mounted.mount.refusal(f"{problems[0]} ({len(problems)} found)", False)


@app.command()
def gc(
    folder: Folder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    outside: Annotated[
        bool,
        typer.Option("--outside", help="Also remove files outside of tasks' folders that no document names."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove what nothing needs any more; the server may run."""
    with door() as admin:
        found = admin.collect_garbage(folder_of(folder), dry_run, outside)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo("would go:" if dry_run else "removed:")
    for kind, about in found.items():
        if isinstance(about, dict) and about["count"]:
            size = f", {_size(about['bytes'])}" if about["bytes"] is not None else ""
            kept = "  (kept; --outside removes them)" if about.get("kept") else ""
            typer.echo(f"  {about['count']} {kind.replace('_', ' ')}{size}{kept}")
    if not any(isinstance(about, dict) and about["count"] for about in found.values()):
        typer.echo("  nothing")


def _count(number: int, noun: str) -> str:
    """A number with its noun, in singular or plural."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _size(count: int) -> str:
    """A number of bytes for people, in decimal units."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"{COMMAND} {version()}")
        raise typer.Exit


def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """A ClearML-compatible server: start, stop, users, keys, backups."""


def main() -> None:
    """``stackyard-server``: run the command line and exit. Status: 0 done, 1 failed, 2 input, 130 interrupted."""
    app.callback()(_options)  # ``stackyard`` has these options of its own
    # Accepted anywhere on the line: who meets an error repeats the command with --debug behind it.
    debug = "--debug" in sys.argv[1:]
    try:
        whole = get_command(app)
        once.hold(whole, lambda said: RefusedError(said, usage=True))
        whole([word for word in sys.argv[1:] if word != "--debug"], prog_name=COMMAND)
    except RefusedError as error:
        if debug:
            raise
        print(f"{COMMAND}: {error}", file=sys.stderr)
        sys.exit(2 if error.usage else 1)
    except BrokenPipeError:  # the reader of our output left: nothing to say, and nobody to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"{COMMAND}: {where}{error.strerror or error}; see the traceback with --debug", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
