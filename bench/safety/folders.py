"""Files that a start loses over damaged data folders."""

from __future__ import annotations

from typing import Any

from bench.result import Result

FIGURES = ("files_lost_by_start",)


def figures(result: Result, quick: bool, options: Any) -> str:
    """Why it is not measured; "" where it is."""
    return "no damaged folders are made yet"
