"""The report as Markdown: for a pull request, an issue or a wiki page. Text from records is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from stackyard.counting import count
from stackyard.reports import quantities
from stackyard.reports.quantities import plain_numbers
from stackyard.reports.report import (
    CellSummary,
    EnvironmentRow,
    MetricNote,
    Report,
    SettingRatio,
    WorkloadReport,
)
from stackyard.reports.wording import amount, interval, open_words, times

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def render(report: Report) -> str:
    """The file's text."""
    parts = [f"# {escape(report.title)}", _summary(report)]
    for workload in report.workloads:
        parts += _workload(report, workload)
    if report.warnings:
        parts += ["## Warnings", _warnings(report)]
    if report.not_runnable:
        rows = [[" · ".join(cell.axes.values()), cell.reason] for cell in report.not_runnable]
        parts += ["## Not runnable here", table(["cell", "reason"], rows)]
    if report.stopped:
        rows = [[s.folder, f"{s.workload}: {s.cell}", s.criterion, s.message] for s in report.stopped]
        parts += ["## Stopped runs", table(["run", "cell", "criterion", "reason"], rows)]
    if report.failed or report.unreadable:
        rows = [[f.folder, f"{f.workload}: {f.cell}", f.kind, f.message] for f in report.failed]
        kinds = [
            f"{f.runs} {f.kind}" + (" (no fault of the workload)" if f.infrastructure else "")
            for f in report.failures
        ]
        rows += [[u["folder"], "", "no record", u["reason"]] for u in report.unreadable]
        parts += ["## Failed runs", escape(", ".join(kinds)), table(["run", "cell", "kind", "reason"], rows)]
    parts += ["## How it was measured", _facts(report.methods), "## Where it ran", _facts(report.environment)]
    parts += ["---", escape(f"{report.footnote} 1 MB is 1,000,000 bytes.".strip())]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: object) -> str:
    """``text`` on one line with every character that means something to Markdown or HTML made plain."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split(" ")).replace("\n", " ").replace("\r", " "))


def table(header: Sequence[str], rows: Iterable[Sequence[object]], numeric: int = 0) -> str:
    """A table whose last ``numeric`` columns are right-aligned; every cell is escaped."""
    columns = len(header)
    rule = ["---:" if i >= columns - numeric else "---" for i in range(columns)]
    lines = [header, rule, *([escape(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(str(value) for value in line) + " |" for line in lines)


def spread(summary: CellSummary | None, unit: str) -> str:
    """ "12.3 s [12.1, 12.6]", or the range where there are too few runs for an interval."""
    if summary is None:
        return "–"
    if summary.low is not None and summary.high is not None:
        median, span = quantities.spread(summary.median, summary.low, summary.high, unit)
        return f"{median} [{span}]"
    if summary.n == 1:
        return quantities.quantity(summary.median, unit)
    median, span = quantities.spread(summary.median, summary.minimum, summary.maximum, unit)
    return f"{median} ({span})"


def _columns(summary: CellSummary | None, note: MetricNote) -> list[str]:
    """The median; of a result the mean too."""
    middle = [spread(summary, note.unit)]
    if note.group != "own":
        return middle
    return [*middle, "–" if summary is None else quantities.mean_of(summary, note.unit)]


def _summary(report: Report) -> str:
    counts = report.counts
    words = [f"{count(counts['completed'] or 0, 'run')} completed"]
    if counts["stopped"]:
        words.append(f"{counts['stopped']} stopped at a limit")
    if counts["failed"]:
        words.append(f"{counts['failed']} failed")
    if counts["not_runnable"]:
        words.append(f"{count(counts['not_runnable'], 'cell')} not runnable here")
    constant = ", ".join(f"{axis} {value}" for axis, value in report.constant.items())
    when = f" Runs from {report.started_at} to {report.finished_at}." if report.started_at else ""
    return escape(", ".join(words) + "." + (f" The same everywhere: {constant}." if constant else "") + when)


def _workload(report: Report, workload: WorkloadReport) -> list[str]:
    parts = [f"## {escape(workload.name)}"]
    lines = [workload.since] if workload.since else []
    lines += [best.sentence for best in (*workload.best, workload.fastest, workload.leanest) if best]
    lines += [(f"{h.setting}: " if h.setting else "") + h.text for h in workload.headlines]
    parts.append("\n".join(f"- {escape(line)}" for line in lines))
    for group in (
        ("own",),
        ("time",),
        ("dispatch",),
        ("cpu", "memory"),
        ("gpu", "throughput", "energy", "disk"),
    ):
        notes = [
            m for m in report.metrics if m.group in group and any(m.key in c.metrics for c in workload.cells)
        ]
        if notes:
            rows = [
                [
                    c.label,
                    c.completed,
                    *(text for note in notes for text in _columns(c.metrics.get(note.key), note)),
                ]
                for c in workload.cells
            ]
            names = [name for n in notes for name in ([n.label, "mean"] if n.group == "own" else [n.label])]
            parts.append(table(["cell", "n", *names], rows, len(names) + 1))
    if workload.parities:
        rows = [
            [
                report.metric(p.metric).label,
                f"{p.other} / {p.reference}",
                s.setting,
                s.n,
                times(s.ratio),
                interval(s.low, s.high),
                s.verdict,
            ]
            for p in workload.parities
            for s in [*p.settings, SettingRatio("all settings", p.n, p.ratio, p.low, p.high, p.verdict)]
        ]
        parts += [
            "### Deployments at a fixed stack",
            table(["metric", "deployments", "setting", "n", "ratio", "interval", "verdict"], rows),
        ]
    if workload.comparisons:
        labels = {cell.slug: cell.label for cell in workload.cells}
        rows = [
            [
                report.metric(c.metric).label,
                f"{labels[c.other]} / {labels[c.reference]}",
                c.n,
                amount(c, report.metric(c.metric).unit)[0].removesuffix("×"),
                amount(c, report.metric(c.metric).unit)[1],
                open_words(c),
            ]
            for c in workload.comparisons
            if c.metric in report.headline
        ]
        parts += [
            "### Ratios",
            "Every other metric's ratios are in report.json.",
            table(["metric", "cells", "n", "ratio", "interval", "verdict"], rows),
        ]
    if workload.factors:
        rows = [
            [report.metric(f.metric).label, e.term, f"{e.omega_squared * 100:.1f} %", f"{e.p_holm:.2g}"]
            for f in workload.factors
            for e in f.effects
        ]
        parts += [
            "### What explains the differences",
            table(["metric", "factor", "omega²", "p (Holm)"], rows),
        ]
        left = dict.fromkeys(text for f in workload.factors for text in f.left_out)
        parts += ["\n".join(f"- left out: {escape(text)}" for text in left)]
    names = list(dict.fromkeys(name for cell in workload.cells for name in cell.results))
    if names:
        rows = [
            [
                name + (" (cells differ)" if name in workload.results_differing else ""),
                *_results(workload, name),
            ]
            for name in names
        ]
        parts += [
            "### What the workload found",
            table(["result", *(escape(c.label) for c in workload.cells)], rows),
        ]
    return parts


def _results(workload: WorkloadReport, name: str) -> list[str]:
    found = []
    for cell in workload.cells:
        result = cell.results.get(name)
        if result is None:
            found.append("–")
        elif result.median is not None and result.minimum is not None and result.maximum is not None:
            median, low, high = plain_numbers([result.median, result.minimum, result.maximum])
            found.append(median + ("" if low == high else f" ({low} to {high})"))
        else:
            found.append(", ".join(result.texts))
    return found


def _warnings(report: Report) -> str:
    return "\n".join(
        f"- **{item.severity}** ({escape(item.code)}): {escape(item.message)} {escape(item.advice)}"
        for item in report.warnings
    )


def _facts(rows: Sequence[EnvironmentRow]) -> str:
    return table(
        ["what", "seen"],
        [
            [
                row.name,
                "; ".join(
                    f"{value} ({count(seen, 'run')}{row.where(value)})" for value, seen in row.values.items()
                ),
            ]
            for row in rows
        ],
    )
