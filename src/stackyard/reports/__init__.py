"""What is said about many runs: statistics, comparison, factors, warnings, and one file per output.

Made from records alone: ``load`` reads run folders, ``analyse`` is pure, ``write`` leaves report.json, .csv,
.md and .html, ``print_table`` prints to a terminal. Imports neither the runner nor a launcher.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackyard.reports.analysis import analyse
    from stackyard.reports.loading import Study, load
    from stackyard.reports.report import Report, ReportOptions
    from stackyard.reports.table import print_table
    from stackyard.reports.writing import ReportPaths, write

__all__ = ["Report", "ReportOptions", "ReportPaths", "Study", "analyse", "load", "print_table", "write"]

_HOMES = {
    "analyse": "analysis",
    "Study": "loading",
    "load": "loading",
    "Report": "report",
    "ReportOptions": "report",
    "print_table": "table",
    "ReportPaths": "writing",
    "write": "writing",
}


def __getattr__(name: str) -> Any:
    # The statistics libraries take a second to import: only who reports should pay, not every command.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
