"""The files that a report is given as: the ending of each, its kind, its text."""

from __future__ import annotations

from stackyard.reports.report import Report

#: Ending -> kind, as HTTP names it.
KINDS = {
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
}


def file_name(ending: str) -> str:
    """What such a file is called."""
    return f"report.{ending}"


def render(ending: str, report: Report) -> str:
    """The text of a file; "html" needs the extra [reports].

    Args:
        ending: of KINDS.
        report: what it tells of.
    """
    from stackyard.reports import csv_report, json_report, markdown

    if ending == "html":
        from stackyard.reports import html

        return html.render(report)
    return {"json": json_report, "csv": csv_report, "md": markdown}[ending].render(report)
