"""A study's report as versioned JSON: all of it but the courses of trials, which lie in their own files."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from stackyard.tuning.folder import name_of
from stackyard.tuning.report.report import StudyReport

KIND = "stackyard-study-report"


def to_json(report: StudyReport) -> dict[str, Any]:
    """The JSON form: plain values, bytes and seconds; what JSON cannot say (NaN, infinity) is null."""
    study, found = report.study, report.found
    said = {
        "name": study.name,
        "title": study.title,
        "file": study.file,
        "state": study.state,
        "message": study.message,
        "started_at": study.started_at,
        "wall_seconds": study.wall_seconds,
        "study": study.study,
        "changes": study.changes,
        "axes": dict(found.axes),
        "counts": dict(report.counts),
        "cpu_seconds": report.cpu_seconds,
        "best": [name_of(trial.number) for trial in report.front],
        "best_so_far": [{"cpu_seconds": used, "value": value} for used, value in report.best_so_far],
        "ended": [dataclasses.asdict(one) for one in report.ended],
        "predicted_before_start": [dataclasses.asdict(one) for one in report.ahead],
        "predicted_early": [dataclasses.asdict(one) for one in report.early],
        "skipped": {
            **dataclasses.asdict(report.skipped),
            "wrongly_percent": report.skipped.wrongly_percent,
        },
        "overhead": None if report.overhead is None else dataclasses.asdict(report.overhead),
        "methods": [dataclasses.asdict(row) for row in found.methods],
        "environment": [dataclasses.asdict(row) for row in found.environment],
        "records_read": found.records_read,
        "runs": found.runs,
        "simulated": list(found.simulated),
        "notes": dict(found.notes),
        "trials": [_trial(trial) for trial in report.trials],
    }
    return {"kind": KIND, "api_version": report.api_version, **_finite(said)}


def render(report: StudyReport) -> str:
    """The file's text."""
    return json.dumps(to_json(report), indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def _trial(trial: Any) -> dict[str, Any]:
    """A trial without what it told on the way."""
    plain = {
        each.name: getattr(trial, each.name)
        for each in dataclasses.fields(trial)
        if each.name not in ("course", "readings", "api_version")
    }
    for key in ("predicted", "predicted_early"):
        plain[key] = {name: dataclasses.asdict(told) for name, told in plain[key].items()}
    if trial.reason is not None:
        plain["reason"] = dataclasses.asdict(trial.reason)
    return {"name": name_of(trial.number), **plain}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value
