"""The runs as CSV: one row per run, every field of its record flat. Safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import Any

from stackyard.reports.report import Report

#: A cell that starts with one of these is a formula to a spreadsheet.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def render(report: Report) -> str:
    """The file's text: header, then a row per run in the order read; not measured is an empty field."""
    columns = list(dict.fromkeys(column for row in report.rows for column in row)) or ["folder"]
    columns.sort(key=_place)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([safe(column) for column in columns])
    for row in report.rows:
        writer.writerow([safe(row.get(column)) for column in columns])
    return stream.getvalue()


def safe(value: Any) -> Any:
    """``value`` as a CSV field; text that a spreadsheet would run as a formula gets a leading apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return value
    text = str(value).replace("\x00", "")
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) or text.startswith(" =") else text


def _place(column: str) -> int:
    """What a reader looks for first comes first."""
    order = ("folder", "source", "run_id", "workload", "status", "block", "warm_up", "cell.", "measurement.")
    return next((i for i, start in enumerate(order) if column.startswith(start)), len(order))
