"""Ordinary tasks in containers: how true their figures are, and how far the two witnesses differ."""

from __future__ import annotations

from typing import Any

from bench.result import Result
from bench.tasks.yard import NotHere, Yard

FIGURES = (
    "cpu_error_percent_worst_container",
    "peak_rss_error_percent_worst_container",
    "witnesses_differ_percent_worst",
)


def figures(_result: Result, _quick: bool, _yard: Yard, _options: Any) -> None:
    """None of them yet.

    Raises:
        NotHere: always.
    """
    raise NotHere("ordinary tasks in containers are not measured by this installation yet")
