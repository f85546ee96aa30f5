"""The report on a terminal, readable at 100 columns: per workload the answers, then a table; warnings at the end."""

from __future__ import annotations

import dataclasses

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stackyard.counting import count
from stackyard.reports.cells import DEPLOYMENT, ONLY_CELL
from stackyard.reports.quantities import mean_of, plain_numbers, quantity, spread
from stackyard.reports.report import (
    CellReport,
    CellSummary,
    Comparison,
    FailedRun,
    MetricNote,
    Report,
    StoppedRun,
    WorkloadReport,
)
from stackyard.reports.statistics import DIFFERENT, PARITY, TOO_FEW, UNDECIDED
from stackyard.reports.wording import MIXED, amount

#: Columns: the heading and the metrics it shows, where measured.
COLUMNS = (
    ("wall", ("wall_seconds",)),
    ("steady", ("steady_seconds",)),
    ("CPU avg/max", ("cpu_percent_of_core", "cpu_percent_of_core_max")),
    ("peak RAM", ("peak_rss_bytes",)),
    ("peak GPU", ("gpu_peak_memory_bytes",)),
)
#: Rows where a workload has one cell: the name and the metric, where measured.
ROWS = (
    ("wall", "wall_seconds"),
    ("steady", "steady_seconds"),
    ("CPU time", "cpu_seconds"),
    ("CPU", "cpu_percent_of_core"),
    ("peak RAM", "peak_rss_bytes"),
    ("peak GPU", "gpu_peak_memory_bytes"),
)
STYLES = {DIFFERENT: "bold", PARITY: "green", UNDECIDED: "yellow", TOO_FEW: "yellow", MIXED: "", "fact": ""}
MOST_LINES = 8
#: Results of one's own that have columns; of up to MOST_WHOLE the interval and the mean too, of more the median alone.
MOST_OWN, MOST_WHOLE = 5, 2
#: Results, and cells, up to which a terminal shows what was found.
MOST_RESULTS = 4
#: Metrics whose headlines a terminal shows; the report has them all.
SPOKEN = ("wall_seconds", "peak_rss_bytes", "gpu_peak_memory_bytes")
#: What answers a question, and so stands above the table.
ANSWERS = (DIFFERENT, PARITY, UNDECIDED, MIXED)


def print_table(report: Report, console: Console) -> None:
    """Print the report's figures and verdicts to ``console``."""
    counts = report.counts
    console.print(Text(clean(report.title), style="bold"))
    constant = ", ".join(f"{axis} {value}" for axis, value in report.constant.items() if axis != "workload")
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    stopped = f", {counts['stopped']} stopped at a limit" if counts["stopped"] else ""
    console.print(
        Text(
            clean(
                f"{count(counts['completed'] or 0, 'run')} completed{stopped}{failed}"
                + (f"; {constant}" if constant else "")
            )
        )
    )
    for workload in report.workloads:
        _print_workload(report, workload, console)
    for missing in report.not_runnable:
        name = " · ".join(missing.axes.values())
        console.print(Text(clean(f"not runnable: {name}: {missing.reason}"), style="dim"))
    for run in report.stopped[:MOST_LINES]:
        console.print(Text(clean(f"stopped: {_place(run)}: {run.message}"), style="yellow"))
    if len(report.stopped) > MOST_LINES:
        console.print(f"... and {count(len(report.stopped) - MOST_LINES, 'more stopped run')}")
    for failure in report.failed[:MOST_LINES]:
        words = f"failed: {_place(failure)}: {failure.kind}: {failure.message}"
        console.print(Text(clean(words), style="red"))
    if len(report.failed) > MOST_LINES:
        console.print(f"... and {count(len(report.failed) - MOST_LINES, 'more failed run')}")
    for warning in report.warnings:
        mark = "!" if warning.severity == "warning" else "i"
        text = Text(f"{mark} {clean(warning.message)} ", style="yellow" if mark == "!" else "")
        text.append(clean(warning.advice), style="dim")
        console.print(text)
    # brackets and verdicts are explained where there are any on the screen
    if report.footnote and any(w.comparisons or len(w.cells) == 1 for w in report.workloads):
        console.print(Text(report.footnote, style="dim"))


def _place(run: FailedRun | StoppedRun) -> str:
    """Which run it is."""
    return f"{run.workload}: {run.cell}, " + (f"block {run.block}" if run.block is not None else run.folder)


def _print_workload(report: Report, workload: WorkloadReport, console: Console) -> None:
    console.print()
    console.print(Text(clean(workload.name), style="bold"))
    if workload.since:
        console.print(Text(f"  {clean(workload.since)}"))
    answers, further = _headlines(report, workload)
    for line in answers:
        console.print(line)
    console.print(
        _statistics(report, workload.cells[0]) if len(workload.cells) == 1 else _cells(report, workload)
    )
    for line in _found(workload):
        console.print(line)
    for line in further:
        console.print(line)
    unseen = sum(note.group == "own" for note in report.metrics) - len(_own(report))
    if unseen > 0:
        console.print(
            Text(f"  {count(unseen, 'result')} compared too: named with --metric, or in the report", "dim")
        )


def _statistics(report: Report, cell: CellReport) -> Table:
    """One cell alone: each figure with its spread."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
    table.add_column("" if cell.label == ONLY_CELL else clean(cell.label), overflow="fold", min_width=12)
    rows = [(note.label, note.key) for note in _own(report)] + list(ROWS)
    found = [(clean(name), key, cell.metrics[key]) for name, key in rows if key in cell.metrics]
    spreads = any(summary.n > 1 for _, _, summary in found)
    for name in ("n", "median", "interval", "least", "greatest", "mean") if spreads else ("n", "value"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, key, summary in found:
        unit = report.metric(key).unit
        span = "–"
        if summary.low is not None and summary.high is not None:
            span = f"[{spread(summary.median, summary.low, summary.high, unit)[1]}]"
        ends = (quantity(summary.minimum, unit), quantity(summary.maximum, unit))
        more = (Text(span), *ends, quantity(summary.mean, unit)) if spreads else ()
        table.add_row(name, f"{summary.n}", quantity(summary.median, unit), *more)
    return table


def _cells(report: Report, workload: WorkloadReport) -> Table:
    """Several cells: a row for each, and what it is to the baseline."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
    columns = [
        (name, keys) for name, keys in COLUMNS if any(keys[0] in cell.metrics for cell in workload.cells)
    ]
    own = [note for note in _own(report) if any(note.key in cell.metrics for cell in workload.cells)]
    whole = 0 < len(own) <= MOST_WHOLE
    foremost = next(iter(report.headline), "wall_seconds")
    table.add_column("cell", overflow="fold", min_width=12)
    table.add_column("n", justify="right", no_wrap=True)
    for note in own[:MOST_OWN]:
        table.add_column(Text(clean(note.label)), justify="right", overflow="fold")
        if whole:
            table.add_column("mean", justify="right", no_wrap=len(own) > 1, overflow="fold")
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    compared = next((note for note in report.metrics if note.key == foremost), None)
    unit = compared.unit if compared else ""
    first = "wall" if compared is None or foremost == "wall_seconds" else clean(compared.label)
    table.add_column(Text(f"{first} / baseline"), no_wrap=not own, overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for cell in workload.cells:
        runs = f"{cell.completed}" + (f"+{cell.stopped} stopped" if cell.stopped else "")
        runs += f"+{cell.failed}✗" if cell.failed else ""
        values = [
            text for note in own[:MOST_OWN] for text in _of_own(cell.metrics.get(note.key), note, len(own))
        ]
        values += [Text(_value(report, cell, keys)) for _, keys in columns]
        table.add_row(Text(clean(cell.label)), runs, *values, *_against(workload, cell, foremost, unit))
    return table


def _own(report: Report) -> list[MetricNote]:
    """The metrics with columns of their own: what was asked for beside the usual ones; else results, without those."""
    usual = {key for _, keys in COLUMNS for key in keys}
    if report.options.only is not None:
        asked = [report.metric(key) for key in report.headline]
        return [note for note in asked if note.key not in usual]
    if any(note.key in usual for note in report.metrics):
        return []
    return [note for note in report.metrics if note.group == "own"]


def _of_own(summary: CellSummary | None, note: MetricNote, results: int) -> list[Text]:
    """The median of a result, and where there is room its interval and the mean, of a single result with its own."""
    if summary is None:
        return [Text("–")] * (2 if results <= MOST_WHOLE else 1)
    if results > MOST_WHOLE:
        return [Text(quantity(summary.median, note.unit))]
    words = quantity(summary.median, note.unit)
    if summary.low is not None and summary.high is not None:
        value, span = spread(summary.median, summary.low, summary.high, note.unit)
        words = f"{value} [{span}]"
    return [
        Text(words),
        Text(mean_of(summary, note.unit) if results == 1 else quantity(summary.mean, note.unit)),
    ]


def _found(workload: WorkloadReport) -> list[Text]:
    """What the workload found, where that is little; else the report has it."""
    names = list(dict.fromkeys(name for cell in workload.cells for name in cell.results))
    if len(names) > MOST_RESULTS or len(workload.cells) > MOST_RESULTS:
        return []
    return [Text(clean(f"  {name}: {', '.join(_results(workload, name))}")) for name in names]


def _results(workload: WorkloadReport, name: str) -> list[str]:
    found = []
    for cell in workload.cells:
        result = cell.results.get(name)
        if result is None:
            continue
        value = " | ".join(result.texts)
        if result.median is not None and result.minimum is not None and result.maximum is not None:
            value, low, high = plain_numbers([result.median, result.minimum, result.maximum], digits=4)
            if low != high:
                value += f" ({low} to {high})"
        found.append(value if len(workload.cells) == 1 else f"{cell.label} {value}")
    return found


def _value(report: Report, cell: CellReport, keys: tuple[str, ...]) -> str:
    found = [quantity(cell.metrics[k].median, report.metric(k).unit) for k in keys if k in cell.metrics]
    if len(found) == 2:
        return f"{found[0].split()[0]}/{found[1]}"
    return found[0] if found else "–"


def _against(workload: WorkloadReport, cell: CellReport, metric: str, unit: str) -> tuple[Text, Text]:
    """Ratio of the foremost metric to the baseline's, and its verdict."""
    if cell.slug == workload.baseline:
        return Text("1 (baseline)", style="dim"), Text("")
    for found in workload.comparisons:
        ends = (found.reference, found.other)
        if found.metric != metric or ends not in (
            (workload.baseline, cell.slug),
            (cell.slug, workload.baseline),
        ):
            continue
        shown = found if ends[1] == cell.slug else _turned(found)
        words = " ".join(amount(shown, unit)).strip()
        short = "too few" if found.verdict == TOO_FEW else found.verdict
        return Text(words), Text(short, style=STYLES[found.verdict])
    return Text("–"), Text("")


def _turned(found: Comparison) -> Comparison:
    """The same comparison from the other cell's side."""

    def over(value: float | None) -> float | None:
        return 1 / value if value else None

    def minus(value: float | None) -> float | None:
        return None if value is None else -value

    return dataclasses.replace(
        found,
        ratio=over(found.ratio),
        low=over(found.high),
        high=over(found.low),
        difference=minus(found.difference),
        difference_low=minus(found.difference_high),
        difference_high=minus(found.difference_low),
    )


def _headlines(report: Report, workload: WorkloadReport) -> tuple[list[Text], list[Text]]:
    """What to read before the table, and what below it: answers; best cells, findings, questions still open.

    Wall time, memory and the deployments' steady phase, at most MOST_LINES of them together.
    """
    named = (*workload.best, workload.fastest, workload.leanest)
    best = [Text(f"  {clean(found.sentence)}") for found in named if found]
    deployed = [h for h in workload.headlines if h.axis == DEPLOYMENT and h.metric == "steady_seconds"]
    shown = report.headline
    if report.options.only is None:
        shown = [key for key in shown if key in SPOKEN] or shown
    spoken = deployed + [h for h in workload.headlines if h.metric in shown]
    answers: list[Text] = []
    further: list[Text] = []
    decided_first = sorted(spoken[:MOST_LINES], key=lambda headline: headline.verdict == UNDECIDED)
    for headline in decided_first:
        setting = f"{headline.setting}: " if headline.setting else ""
        line = Text(f"  {clean(setting + headline.text)}", style=STYLES[headline.verdict])
        (answers if headline.verdict in ANSWERS else further).append(line)
    if len(spoken) > MOST_LINES:
        further.append(Text(f"  ... {len(spoken) - MOST_LINES} more in the report", style="dim"))
    return answers, best + further


def clean(text: str) -> str:
    """``text`` without control characters: names come from files and must not drive the terminal."""
    return "".join(char if char.isprintable() or char == "\u00a0" else " " for char in text)
