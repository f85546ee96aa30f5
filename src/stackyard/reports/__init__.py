"""What is said about many runs: statistics, comparison, factors, warnings, and one file per output.

Made from records alone: ``load`` reads run folders, ``analyse`` is pure, ``write`` leaves report.json, .csv,
.md and .html, ``print_table`` prints to a terminal. Imports neither the runner nor a launcher.
"""

from stackyard.reports.analysis import analyse
from stackyard.reports.loading import Study, load
from stackyard.reports.report import Report, ReportOptions
from stackyard.reports.table import print_table
from stackyard.reports.writing import ReportPaths, write

__all__ = ["Report", "ReportOptions", "ReportPaths", "Study", "analyse", "load", "print_table", "write"]
