"""Files that a restore writes outside its target, over hostile backups."""

from __future__ import annotations

from typing import Any

from bench.result import Result

FIGURES = ("written_outside_by_restore",)


def figures(result: Result, quick: bool, options: Any) -> str:
    """Why it is not measured; "" where it is."""
    return "no hostile backups are made yet"
