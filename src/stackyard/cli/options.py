"""Options that several commands have, with the same words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from stackyard.errors import BadInputError

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="A clearml.conf; default: that of `stackyard up`, else yours."
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout; progress goes to stderr.")
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of the data sets, instead of $STACKYARD_DATA."),
]


def measure() -> str | None:
    """How runs are measured: $STACKYARD_MEASURE, or ``None`` where it says nothing.

    Raises:
        BadInputError: there is no such way.
    """
    from stackyard_task.records import METHODS

    method = os.environ.get("STACKYARD_MEASURE") or None
    if method is not None and method not in METHODS:
        raise BadInputError(f"STACKYARD_MEASURE is {method!r}, expected one of {', '.join(METHODS)}")
    return method
