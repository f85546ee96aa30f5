"""A report as a command shows it: a table on the terminal or one JSON object, and the files that are written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from stackyard import extras, reports
from stackyard.reports import json_report
from stackyard.reports.report import Report

#: A file or pipe has no width of its own; the table needs this much.
LOG_COLUMNS = 110


def show(report: Report, out: Path | None, as_json: bool, further: Mapping[str, Any] | None = None) -> None:
    """Print a report, once its files are written.

    Args:
        report: what to say.
        out: the folder of its files; ``None``: none are written.
        as_json: one JSON object instead of a table.
        further: what else stands in that object.

    Raises:
        BadInputError: the folder cannot be written.
    """
    paths = None if out is None else reports.write(report, out)
    if as_json:
        said: dict[str, Any] = {"report": json.loads(json_report.render(report))}
        if paths is not None:
            said["paths"] = {
                name: None if path is None else str(path) for name, path in dataclasses.asdict(paths).items()
            }
        typer.echo(json.dumps({**said, **(further or {})}, indent=1))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, LOG_COLUMNS))
    reports.print_table(report, console)
    if paths is None:
        return
    if paths.html is None:
        typer.echo(f"no report.html: {extras.why_not('reports')}", err=True)
    typer.echo(str(paths.html or paths.markdown))
