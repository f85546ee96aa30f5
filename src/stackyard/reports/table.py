"""The report on a terminal, readable at 100 columns: verdicts, a table per workload, warnings."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from stackyard.reports.report import CellReport, Report, WorkloadReport
from stackyard.reports.statistics import DIFFERENT, PARITY, TOO_FEW, UNDECIDED
from stackyard.reports.wording import interval, quantity, times, verdict_words

#: Columns in order of importance; as many as have values, at most six.
COLUMNS = (
    ("wall_seconds", "wall"),
    ("steady_seconds", "steady"),
    ("cpu_percent_of_core", "CPU avg"),
    ("cpu_percent_of_core_max", "CPU max"),
    ("peak_rss_bytes", "peak RAM"),
    ("gpu_peak_memory_bytes", "peak GPU"),
)
STYLES = {DIFFERENT: "bold", PARITY: "green", UNDECIDED: "yellow", TOO_FEW: "yellow", "fact": ""}
MOST_LINES = 8


def print_table(report: Report, console: Console) -> None:
    """Print the report's figures and verdicts to ``console``."""
    counts = report.counts
    console.print(Text(clean(report.title), style="bold"))
    constant = ", ".join(f"{axis} {value}" for axis, value in report.constant.items() if axis != "workload")
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    console.print(
        Text(clean(f"{counts['completed']} runs completed{failed}" + (f"; {constant}" if constant else "")))
    )
    for workload in report.workloads:
        _print_workload(report, workload, console)
    for missing in report.not_runnable:
        name = " · ".join(missing.axes.values())
        console.print(Text(clean(f"not runnable: {name}: {missing.reason}"), style="dim"))
    for failure in report.failed[:MOST_LINES]:
        words = f"failed: {failure.workload}: {failure.cell}, block {failure.block}: {failure.kind}: {failure.message}"
        console.print(Text(clean(words), style="red"))
    if len(report.failed) > MOST_LINES:
        console.print(f"... and {len(report.failed) - MOST_LINES} more failed runs")
    for warning in report.warnings:
        mark = "!" if warning.severity == "warning" else "i"
        text = Text(f"{mark} {clean(warning.message)} ", style="yellow" if mark == "!" else "")
        text.append(clean(warning.advice), style="dim")
        console.print(text)
    console.print(Text(report.footnote, style="dim"))


def _print_workload(report: Report, workload: WorkloadReport, console: Console) -> None:
    console.print()
    table = Table(box=SIMPLE_HEAD, title=clean(escape(workload.name)), title_justify="left", pad_edge=False)
    columns = [(key, name) for key, name in COLUMNS if any(key in cell.metrics for cell in workload.cells)]
    table.add_column("cell", overflow="fold", min_width=12)
    table.add_column("n", justify="right")
    for _, name in columns:
        table.add_column(name, justify="right", overflow="fold")
    table.add_column(
        "wall vs first row" if _first_is_baseline(workload) else "wall vs baseline", overflow="fold"
    )
    for cell in workload.cells:
        count = f"{cell.completed}" + (f"+{cell.failed}✗" if cell.failed else "")
        values = [
            quantity(cell.metrics[key].median, report.metric(key).unit) if key in cell.metrics else "–"
            for key, _ in columns
        ]
        table.add_row(clean(escape(cell.label)), count, *values, _against(workload, cell))
    console.print(table)
    for line in _headlines(workload):
        console.print(line)


def _first_is_baseline(workload: WorkloadReport) -> bool:
    return bool(workload.cells) and workload.cells[0].slug == workload.baseline


def _against(workload: WorkloadReport, cell: CellReport) -> Text:
    if cell.slug == workload.baseline:
        return Text("1 (baseline)", style="dim")
    for found in workload.comparisons:
        if found.metric != "wall_seconds" or found.ratio is None:
            continue
        ends = (found.reference, found.other)
        if ends == (workload.baseline, cell.slug):
            ratio, low, high = found.ratio, found.low, found.high
        elif ends == (cell.slug, workload.baseline):
            ratio = 1 / found.ratio
            low, high = (1 / found.high, 1 / found.low) if found.low and found.high else (None, None)
        else:
            continue
        words = f"{times(ratio)}× {interval(low, high)}".strip()
        return Text(
            f"{words} {verdict_words(found.verdict, found.n, found.more_runs)}", style=STYLES[found.verdict]
        )
    return Text("–")


def _headlines(workload: WorkloadReport) -> list[Text]:
    lines = [Text(f"  {clean(best.sentence)}") for best in (workload.fastest, workload.leanest) if best]
    spoken = [
        h
        for h in workload.headlines
        if h.metric in ("wall_seconds", "peak_rss_bytes", "gpu_peak_memory_bytes")
    ]
    lines += [Text(f"  {clean(h.text)}", style=STYLES[h.verdict]) for h in spoken[:MOST_LINES]]
    if len(spoken) > MOST_LINES:
        lines.append(Text(f"  ... {len(spoken) - MOST_LINES} more in the report", style="dim"))
    return lines


def clean(text: str) -> str:
    """``text`` without control characters: names come from files and must not drive the terminal."""
    return "".join(char if char.isprintable() or char == "\u00a0" else " " for char in text)
