"""What a start of the server says: its addresses and, once, who administers a new folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

from .program import COMMAND, hint


def say(word: dict[str, Any], where: Path, as_json: bool, usual: Path) -> None:
    """Say where a server listens and who administers a new one; what to do, where nobody reads it.

    Args:
        word: ``pid``, ``urls`` and ``admin`` (see ``admin.start_background``).
        where: The data folder.
        as_json: As one JSON object.
        usual: The folder that commands take without ``--folder``.
    """
    try:
        _show(word, where, as_json, usual)
        sys.stdout.flush()
    except OSError:
        if word.get("admin"):
            another = hint(f"user password {word['admin']['login']}", where)
            said = "Not shown: the new administrator's password and key are kept nowhere; make another password with"
            typer.echo(f"{said} `{another}`.", err=True)
        raise


def _show(word: dict[str, Any], where: Path, as_json: bool, usual: Path) -> None:
    if as_json:
        typer.echo(json.dumps({**word, "folder": str(where)}))
        return
    for name in ("web", "api", "files"):
        typer.echo(f"{name:6s}{word['urls'][name]}")
    typer.echo(f"folder {where}")
    first = word.get("admin")
    if first:
        typer.echo("\nA new data folder. Its administrator, shown once and kept nowhere:")
        for label, name in (
            ("login", "login"),
            ("password", "password"),
            ("key", "access_key"),
            ("secret", "secret_key"),
        ):
            typer.echo(f"  {label:9s}{first[name]}")
        config = f"{COMMAND} config" if where == usual else hint("config", where)
        typer.echo(f"Next: {config}   (writes a clearml.conf for the SDK and agents)")
