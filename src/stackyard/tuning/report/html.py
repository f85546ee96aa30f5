"""The page of a study as one self-contained HTML file: opens offline, asks no network, escapes all text.

Charts are SVG. The one script sorts the table and shows a trial wherever it stands; a content security policy allows
it alone, by its digest, and no request. The style is that of the reports of scenarios.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from stackyard.counting import count
from stackyard.reports.quantities import NOT_MEASURED
from stackyard.reports.report import EnvironmentRow
from stackyard.tuning.folder import name_of
from stackyard.tuning.report import charts, parallel, said, wording
from stackyard.tuning.report.report import StudyReport
from stackyard.tuning.trial import QUANTITIES, Interval, Trial

#: Trials of the table, parameters in columns of their own, lines of the front at the top.
MOST_ROWS, MOST_COLUMNS, MOST_BEST = 1_000, 24, 8
#: Of one text of a trial.
_LONGEST = 400
#: What is shown of every trial; what else it may use, where any trial did.
_ALWAYS = ("cpu_seconds", "wall_seconds", "ram_bytes")
_SOMETIMES = tuple(name for name in QUANTITIES if name not in _ALWAYS)


@dataclass(frozen=True)
class Cell:
    """One field of the table of trials."""

    text: str
    #: What it is sorted by; ``None``: its text.
    key: str | None = None
    #: Its class.
    kind: str = ""
    #: What was predicted, and whether what came lies outside.
    span: str = ""
    outside: bool = False
    badge: bool = False


def render(report: StudyReport) -> str:
    """The file's text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stackyard.tuning.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    script = _file("stackyard.tuning.report", "study.js")
    style = _file("stackyard.reports", "report.css") + _file("stackyard.tuning.report", "study.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{digest}'"
    )
    drawn = [
        charts.best_chart(report),
        charts.courses_chart(report),
        *charts.cost_charts(report),
        charts.use_chart(report),
    ]
    found = report.found
    skipped = bool(report.skipped.skipped or report.skipped.checked)
    return environment.get_template("study.html.jinja").render(
        report=report,
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        title=report.study.title or report.study.name,
        counts=_counts(report),
        when=_when(report),
        several=len(report.objectives) > 1,
        best=said.bests(report, MOST_BEST),
        best_more=max(0, len(report.front) - MOST_BEST),
        none_completed=said.NONE_COMPLETED,
        summary=said.summary(report),
        simulated=said.simulated(report),
        short_ended=said.short_ended(report),
        charts=[chart for chart in drawn if chart is not None],
        no_course=_no_course(report, drawn[1] is not None),
        parallel=parallel.draw(report),
        parallel_top=parallel.TOP,
        parallel_bottom=parallel.BOTTOM,
        parallel_height=parallel.HEIGHT,
        width=charts.WIDTH,
        height=charts.HEIGHT,
        left=charts.LEFT,
        right=charts.RIGHT,
        top=charts.TOP,
        bottom=charts.BOTTOM,
        ended_header=said.ENDED_HEADER,
        ended=said.ended_rows(report),
        saved_note=said.SAVED_NOTE,
        accuracy_header=said.ACCURACY_HEADER,
        accuracy=said.accuracy_rows(report),
        skipped=said.skipped(report) if skipped else "",
        overhead=said.overhead(report),
        table=_table(report),
        searched=said.searched(report),
        methods=[(row.name, _seen(row)) for row in found.methods],
        facts=[(row.name, _seen(row)) for row in found.environment],
        records=count(found.records_read, "run"),
        notes=said.notes(report),
        footnotes=" ".join(said.footnotes(report)),
    )


def _file(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _counts(report: StudyReport) -> list[tuple[str, str]]:
    found = [(f"{report.counts['completed']:,}", "completed")]
    return found + [
        (f"{n:,}", state) for state, n in report.counts.items() if n and state not in ("completed",)
    ]


def _when(report: StudyReport) -> str:
    try:
        begin = datetime.datetime.fromisoformat(report.study.started_at)
    except ValueError:
        return ""
    return f"Begun {begin:%-d %B %Y, %H:%M} UTC"


def _seen(row: EnvironmentRow) -> list[tuple[str, str]]:
    alone = len(row.values) == 1
    return [(value, "" if alone else count(n, "run")) for value, n in row.values.items()]


def _no_course(report: StudyReport, has_one: bool) -> str:
    """Why there is no chart of courses; empty: there is one."""
    if has_one or not report.first:
        return ""
    return f"No trial told {wording.label(report.first)} while it ran, so no course is drawn."


# -- the table of trials -----------------------------------------------------------------------------


def _table(report: StudyReport) -> dict[str, Any]:
    shown = said.foremost(report, MOST_ROWS)
    given = list(dict.fromkeys(name for trial in shown for name in trial.parameters))
    columns, rest = given[:MOST_COLUMNS], given[MOST_COLUMNS:]
    used = [
        name
        for name in (*_ALWAYS, *_SOMETIMES)
        if name in _ALWAYS or any(name in trial.used or name in trial.predicted for trial in shown)
    ]
    values = [name for name in report.objectives if name not in used]
    marked = set(report.found.simulated)
    front = {trial.number for trial in report.front}
    numeric = {name for name in columns if all(_is_number(trial.parameters.get(name, 0)) for trial in shown)}
    predicted = any(trial.predicted or trial.predicted_early for trial in shown)
    left = said.left_out(report, len(shown))
    if rest:
        left += f" Parameters beyond {MOST_COLUMNS} stand in report.csv."
    return {
        "header": [
            ("trial", False),
            ("state", False),
            *((said.shortened(name, 60), name in numeric) for name in columns),
            *((wording.label(name), True) for name in values),
            *((wording.label(name) + (" (simulated)" if name in marked else ""), True) for name in used),
            ("tuner's own time", True),
        ],
        "rows": [
            {
                "trial": trial.number,
                "name": name_of(trial.number),
                "best": trial.number in front,
                "cells": [
                    Cell(trial.state, badge=True),
                    *(_given(trial.parameters.get(name)) for name in columns),
                    *(_value(trial.values.get(name), name, trial.state) for name in values),
                    *(_used(trial, name) for name in used),
                    _value(trial.overhead_seconds, "wall_seconds", ""),
                ],
                # on a line of its own, across the table: a sentence is wider than any column
                "why": said.shortened(wording.reason(trial), _LONGEST),
            }
            for trial in shown
        ],
        "about": (
            "Below a figure stands what was predicted of it, with the 90 % interval; early: after its first steps."
            if predicted
            else "Nothing was predicted of these trials."
        )
        + " What a stopped trial used and told is what was seen until then.",
        "left": left.strip(),
        "columns": 3 + len(columns) + len(values) + len(used),
    }


def _given(value: Any) -> Cell:
    if value is None:
        return Cell(NOT_MEASURED, "")
    text = said.shortened(wording.parameter(value), _LONGEST)
    return Cell(text, f"{value!r}" if _is_number(value) else None, "n" if _is_number(value) else "given")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _value(value: float | None, name: str, state: str) -> Cell:
    at_least = state == "stopped" and value is not None
    return Cell(
        wording.amount(value, name), "" if value is None else f"{value!r}", "n", "so far" if at_least else ""
    )


def _used(trial: Trial, name: str) -> Cell:
    value = trial.used.get(name)
    early = name not in trial.predicted and name in trial.predicted_early
    told: Interval | None = trial.predicted_early[name] if early else trial.predicted.get(name)
    outside = (
        told is not None
        and value is not None
        and trial.state == "completed"
        and not told.low <= value <= told.high
    )
    words = "" if told is None else wording.interval(told, name)
    if told is not None and early:
        words += " early"
    if outside:
        words += ", outside"
    return Cell(wording.amount(value, name), "" if value is None else f"{value!r}", "n", words, outside)
