"""The trials of a study as CSV: a row for each. Safe to open in a spreadsheet; not measured is an empty field."""

from __future__ import annotations

import csv
import io
from typing import Any

from stackyard.reports.csv_report import safe
from stackyard.tuning.folder import name_of
from stackyard.tuning.report.report import StudyReport
from stackyard.tuning.trial import QUANTITIES, Interval, Trial


def render(report: StudyReport) -> str:
    """The file's text: header, then the trials in the order of their numbers."""
    trials = report.trials
    given = dict.fromkeys(name for trial in trials for name in trial.parameters)
    values = dict.fromkeys([*report.objectives, *(name for trial in trials for name in trial.values)])
    used = [name for name in QUANTITIES if any(name in trial.used for trial in trials)]
    ahead = [name for name in QUANTITIES if any(name in trial.predicted for trial in trials)]
    early = [name for name in QUANTITIES if any(name in trial.predicted_early for trial in trials)]
    best = {trial.number for trial in report.front}
    header = [
        "trial",
        "state",
        "best",
        *(f"parameter.{name}" for name in given),
        *(f"value.{name}" for name in values),
        *(f"used.{name}" for name in used),
        *(f"predicted.{name}{end}" for name in ahead for end in ("", ".low", ".high")),
        *(f"predicted_early.{name}{end}" for name in early for end in ("", ".low", ".high")),
        *("early_share", "reason.kind", "reason.quantity", "reason.limit", "reason.seen", "reason.message"),
        *("checks_prediction", "retries", "started_at", "finished_at", "overhead_seconds", "folder"),
    ]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([safe(column) for column in header])
    for trial in trials:
        reason = trial.reason
        row: list[Any] = [
            name_of(trial.number),
            trial.state,
            trial.number in best,
            *(trial.parameters.get(name) for name in given),
            *(trial.values.get(name) for name in values),
            *(trial.used.get(name) for name in used),
            *(part for name in ahead for part in _parts(trial.predicted.get(name))),
            *(part for name in early for part in _parts(trial.predicted_early.get(name))),
            trial.early_share,
            *(_reason(trial) if reason is not None else (None,) * 5),
            *(trial.checks_prediction, trial.retries, trial.started_at, trial.finished_at),
            *(trial.overhead_seconds, trial.folder),
        ]
        writer.writerow([safe(value) for value in row])
    return stream.getvalue()


def _parts(told: Interval | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if told is None else (told.value, told.low, told.high)


def _reason(trial: Trial) -> tuple[Any, ...]:
    reason = trial.reason
    assert reason is not None
    return reason.kind, reason.quantity, reason.limit, reason.seen, reason.message
