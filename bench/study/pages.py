"""What the pages of all studies share: facts of a run, tables of cells, and how tables get into a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stackyard.reports import wording

Rows = list[list[str]]


def put(page: Path, tables: Mapping[str, str]) -> None:
    """Put each table between its pair of markers (``<!-- NAME -->`` and ``<!-- /NAME -->``).

    Raises:
        SystemExit: a pair is missing, or there twice; the page is as it was.
    """
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, count = pattern.subn(lambda m, table=table: f"{m[1]}{table}\n{m[2]}", text)  # type: ignore[misc]
        if count != 1:
            raise SystemExit(f"{page}: the markers of {name!r} are there {count} times, expected once")
    page.write_text(text, encoding="utf-8")


def about_run(report: Mapping[str, Any]) -> str:
    """When it ran, on what, what could not run, and what a reader is warned of, as Markdown."""
    counts = report["counts"]
    facts = {row["name"]: ", ".join(row["values"]) for row in [*report["environment"], *report["methods"]]}
    lines = [
        f"{report['started_at']} to {report['finished_at']}: {counts['completed']} runs completed, "
        f"{counts['failed']} failed, {report.get('retries', 0)} starts repeated, "
        f"{counts['not_runnable']} cells not runnable.",
        *(f"- {name}: {facts[name]}" for name in _FACTS if name in facts),
    ]
    reasons: dict[str, int] = {}
    for cell in report["not_runnable"]:
        reasons[cell["reason"]] = reasons.get(cell["reason"], 0) + 1
    lines += [f"- not runnable: {count} cells: {reason}" for reason, count in reasons.items()]
    lines += [f"- {w['severity']}: {w['message']}" for w in report["warnings"]]
    return "\n".join([lines[0], "", *lines[1:]])


_FACTS: tuple[str, ...] = (
    *("CPU", "Cores of the machine", "RAM of the machine", "Kernel", "System"),
    *("Stack: torch / CUDA really loaded", "Threads", "Code", "CPU time", "Peak RAM", "Limits held by"),
)


def cells_table(
    workload: Mapping[str, Any],
    metrics: Mapping[str, Any],
    keys: Sequence[str],
    chosen: Callable[[Mapping[str, Any]], bool] | None = None,
) -> str:
    """Medians and intervals of a workload's cells, as Markdown.

    Args:
        workload: of a report's JSON.
        metrics: key -> the report's metric.
        keys: metrics that are shown, where a cell has them.
        chosen: which cells; ``None``: all that completed.
    """
    shown = [key for key in keys if any(key in cell["metrics"] for cell in workload["cells"])]
    rows = []
    for cell in workload["cells"]:
        if cell["completed"] and (chosen is None or chosen(cell)):
            values = [_value(cell["metrics"].get(key), metrics[key]["unit"]) for key in shown]
            rows.append([cell["label"], str(cell["completed"]), *values])
    return markdown(["cell", "n", *(metrics[key]["label"] for key in shown)], rows)


def _value(summary: Mapping[str, Any] | None, unit: str) -> str:
    if summary is None:
        return "–"
    if summary["low"] is None:
        return wording.quantity(summary["median"], unit)
    median, span = wording.spread(summary["median"], summary["low"], summary["high"], unit)
    return f"{median} [{span}]"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    if not rows:
        return "Not measured."
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
