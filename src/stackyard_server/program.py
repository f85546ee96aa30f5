"""The program that people give commands to: ours as a whole, or the server's own."""

from __future__ import annotations

import importlib.metadata
import shlex
from importlib.util import find_spec
from pathlib import Path

_whole = find_spec("stackyard")
#: What a person types before the name of a command. A folder called stackyard that is no package has no origin.
COMMAND = "stackyard server" if _whole is not None and _whole.origin else "stackyard-server"


def hint(words: str, folder: Path) -> str:
    """A command as a person types it for a data folder, whichever one is theirs without ``--folder``."""
    return f"{COMMAND} {words} --folder {shlex.quote(str(folder))}"


def version() -> str:
    """The version of what is installed: the server alone, or the whole that it is a part of."""
    try:
        return importlib.metadata.version("stackyard-server")
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.version("stackyard")
