"""``stackyard web``: the web app of our side, in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from stackyard.cli.options import Config
from stackyard.errors import BadInputError
from stackyard.settings import WEB_APP_PORT, Settings

#: Where ``stackyard scenario run`` leaves its run folders.
RUNS = Path("runs")


def add_to(app: typer.Typer) -> None:
    """Mount the command."""
    app.command()(web)


def web(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")
    ] = WEB_APP_PORT,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The address that browsers use, where it is another (a proxy, a name)."
        ),
    ] = None,
    reports: Annotated[
        list[Path] | None,
        typer.Option(
            "--reports",
            metavar="DIR",
            help="Show the reports below this folder; default: runs. May be repeated.",
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Compare tasks and read reports in a browser, as whoever signs in there. Ends on Ctrl-C.

    It reads the server whose clearml.conf is found, and never with the key that stands there.
    """
    from stackyard import extras

    extras.check("web", "the web app cannot be started")
    from stackyard.clearml import connection
    from stackyard.web import server

    for folder in reports or ():
        if folder.exists() and not folder.is_dir():
            raise BadInputError(f"--reports {folder}: no folder")
    wishes = server.Wishes(
        connection.addresses(Settings.from_environment(), config),
        host,
        port,
        checked_url(url),
        tuple(folder.absolute() for folder in reports or [RUNS]),
    )
    server.serve(wishes, lambda address: typer.echo(f"web app {address}"))


def checked_url(url: str | None) -> str | None:
    """An address of the web app as somebody gave it.

    Raises:
        BadInputError: it is none, or has a path: the pages stand at the top of their host.
    """
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme in ("http", "https")
            and parts.hostname
            and (parts.port or 1)
            and parts.path in ("", "/")
        )
    except ValueError:
        good = None
    if not good or parts.query or parts.fragment or parts.username is not None:
        raise BadInputError(
            f"--url {url}: expected http:// or https:// and a host, such as https://lab.example:8090"
        )
    return url.rstrip("/")
