"""The report as one self-contained HTML file."""

from __future__ import annotations

from html import escape

from stackyard.reports.report import Report


def render(report: Report) -> str:
    """The file's text."""
    return f"<!doctype html><meta charset=utf-8><title>{escape(report.title)}</title>"
