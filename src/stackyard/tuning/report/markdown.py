"""A study's report as Markdown: for a pull request, an issue or a wiki page. Text from files and runs is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from stackyard.counting import count
from stackyard.reports.markdown import escape, table
from stackyard.reports.report import EnvironmentRow
from stackyard.tuning.folder import name_of
from stackyard.tuning.report import said, wording
from stackyard.tuning.report.report import StudyReport

#: Trials of the table, the best first; report.csv has all.
MOST_ROWS = 50


def render(report: StudyReport) -> str:
    """The file's text."""
    study = report.study
    parts = [
        f"# {escape(study.title or study.name)}",
        escape(said.summary(report)),
        "\n".join(f"- Noted: {escape(note)}" for note in said.notes(report)),
        "## Best" if len(report.objectives) < 2 else "## Front",
        _best(report),
        "## What was searched",
        table(["what", "value"], said.searched(report)),
    ]
    if report.ended:
        parts += [
            "## What each criterion ended",
            table(said.ENDED_HEADER, said.ended_rows(report), 5),
            escape(said.SAVED_NOTE),
        ]
    accuracy = said.accuracy_rows(report)
    if accuracy:
        parts += ["## Predictions", table(said.ACCURACY_HEADER, accuracy, 5)]
    if report.skipped.skipped or report.skipped.checked:
        parts.append(escape(said.skipped(report)))
    if report.overhead is not None:
        parts.append(escape(said.overhead(report)))
    parts += ["## Trials", _trials(report)]
    if report.found.methods or report.found.environment:
        parts += [
            "## How it was measured, and where",
            _facts([*report.found.methods, *report.found.environment]),
        ]
    parts += ["---", escape(" ".join(said.footnotes(report)))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _best(report: StudyReport) -> str:
    if not report.front:
        return escape(said.NONE_COMPLETED)
    rows = [
        [
            name_of(trial.number),
            said.given(trial),
            *(wording.amount(trial.values.get(name), name) for name in report.objectives),
            *(wording.amount(trial.used.get(name), name) for name in _used(report)),
        ]
        for trial in report.front[:MOST_ROWS]
    ]
    header = [
        "trial",
        "parameters",
        *map(escape, map(wording.label, [*report.objectives, *_used(report)])),
    ]
    more = len(report.front) - len(rows)
    left = f"\n\n{count(more, 'further trial')} of the front in report.csv." if more else ""
    return table(header, rows, len(report.objectives) + 2) + left


def _used(report: StudyReport) -> list[str]:
    """What trials used, but for what is an objective and stands there already."""
    return [name for name in ("cpu_seconds", "ram_bytes") if name not in report.objectives]


def _trials(report: StudyReport) -> str:
    shown = said.foremost(report, MOST_ROWS)
    if not shown:
        return "No trial was begun."
    rows = [
        [
            name_of(trial.number),
            trial.state,
            said.given(trial),
            *(wording.amount(trial.values.get(name), name) for name in report.objectives),
            *(wording.amount(trial.used.get(name), name) for name in _used(report)),
            wording.reason(trial),
        ]
        for trial in shown
    ]
    labels = map(wording.label, [*report.objectives, *_used(report)])
    left = said.left_out(report, len(shown))
    return table(["trial", "state", "parameters", *map(escape, labels), "reason"], rows) + (
        f"\n\n{escape(left)}" if left else ""
    )


def _facts(rows: Sequence[EnvironmentRow]) -> str:
    def seen(row: EnvironmentRow) -> str:
        alone = len(row.values) == 1
        return "; ".join(
            value + ("" if alone else f" ({count(n, 'run')})") for value, n in row.values.items()
        )

    return table(["what", "seen"], [[row.name, seen(row)] for row in rows])
