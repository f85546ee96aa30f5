"""What all files of the server's command line share: what the program decides that mounts it, options, the door.

``command`` has the commands of a server, ``people`` those of users and keys.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from . import admin as admin_module


class RefusedError(Exception):
    """What was asked cannot be done; the message is the whole sentence. ``usage``: the input is at fault."""

    def __init__(self, message: str, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage


@dataclass
class Mount:
    """What the program decides that has these commands."""

    #: Where the data folder ``server`` lies if neither option nor variable names one.
    home: Callable[[], Path] = lambda: Path(os.environ.get("STACKYARD_HOME") or ".stackyard")
    #: (message, whether the input is at fault) -> the error that ends the program with that sentence.
    refusal: Callable[[str, bool], Exception] = RefusedError
    #: Called before the server's code is loaded: raises where its libraries are missing.
    check: Callable[[], None] = lambda: None


mount = Mount()


def named_folder(text: str) -> Path:
    """A folder as an option names it: an empty text is none, not the current folder."""
    if not text:
        raise typer.BadParameter("it is empty; expected a folder")
    return Path(text)


Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        parser=named_folder,
        metavar="DIR",
        help="Data folder; default: $STACKYARD_SERVER_FOLDER, else HOME/server.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
]
Prompt = Annotated[bool, typer.Option("--prompt", help="Ask for the password on the terminal.")]


def folder_of(given: Path | None) -> Path:
    """The data folder: --folder, else $STACKYARD_SERVER_FOLDER, else ``server`` in Stackyard's home."""
    named = given or os.environ.get("STACKYARD_SERVER_FOLDER") or mount.home() / "server"
    return Path(named).expanduser().absolute()


@contextmanager
def door() -> Iterator[admin_module]:  # type: ignore[valid-type]
    """The server's door; its errors become the program's."""
    mount.check()
    from . import admin

    try:
        yield admin
    except admin.AdminError as error:
        raise mount.refusal(str(error), error.usage) from error


def password(admin: Any, prompt: bool, from_stdin: bool) -> tuple[str, bool]:
    """(password, whether it was made here)."""
    if prompt and from_stdin:
        raise mount.refusal("--prompt and --password-stdin exclude each other; give one", True)
    if from_stdin:
        told = sys.stdin.readline().rstrip("\r\n")
        if not told:
            raise mount.refusal("stdin holds no password on its first line", True)
        return told, False
    if prompt:
        return typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True), False
    return admin.generate_password(), True
