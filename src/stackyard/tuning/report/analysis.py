"""What a study's report says of its trials. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stackyard.tuning import fronts
from stackyard.tuning.prediction import accuracy
from stackyard.tuning.report.report import Ended, Found, Overhead, StudyReport
from stackyard.tuning.report.wording import STATES
from stackyard.tuning.trial import Trial


def analyse(found: Found) -> StudyReport:
    """The report on what lies in a study's folder."""
    trials = found.trials
    objectives = found.told.more_is_better
    first = next(iter(objectives), "")
    return StudyReport(
        found,
        objectives,
        {state: sum(trial.state == state for trial in trials) for state in STATES},
        sum(trial.used.get("cpu_seconds", 0.0) for trial in trials),
        fronts.front(trials, objectives) if objectives else [],
        best_so_far(trials, first, objectives.get(first, False)),
        ended(trials, found.told.limits),
        accuracy.table(trials),
        accuracy.table(trials, early=True),
        accuracy.of_skipped(trials),
        overhead(trials),
    )


def in_order(trials: Sequence[Trial]) -> list[Trial]:
    """Trials that are over and did run, in the order of their ends; those without a time by their numbers."""
    ran = [trial for trial in trials if trial.over and trial.state != "skipped"]
    if all(trial.finished_at for trial in ran):
        return sorted(ran, key=lambda trial: (trial.finished_at or "", trial.number))
    return ran


def best_so_far(trials: Sequence[Trial], objective: str, maximise: bool) -> list[tuple[float, float]]:
    """The best of completed trials so far against the CPU seconds of all, a point each time it got better.

    The last point is at the end of all.
    """
    points: list[tuple[float, float]] = []
    used = 0.0
    for trial in in_order(trials):
        used += trial.used.get("cpu_seconds", 0.0)
        value = trial.values.get(objective)
        if trial.state != "completed" or value is None:
            continue
        if not points or (value > points[-1][1] if maximise else value < points[-1][1]):
            points.append((used, value))
    if points and points[-1][0] < used:
        points.append((used, points[-1][1]))
    return points


def ended(trials: Sequence[Trial], limits: dict[str, float | None]) -> list[Ended]:
    """What each criterion stopped or kept from starting, those that stopped most first."""
    groups: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in trials:
        if trial.state in ("stopped", "skipped"):
            reason = trial.reason
            name = "limit" if reason is None else (reason.quantity or reason.kind)
            kind = "limit" if reason is None else reason.kind
            groups.setdefault((trial.state, kind, name), []).append(trial)
    found = []
    for (state, kind, name), those in groups.items():
        saved = [one for trial in those if (one := saved_cpu_seconds(trial)) is not None]
        told = next((t.reason.limit for t in those if t.reason and t.reason.limit is not None), None)
        found.append(
            Ended(
                name,
                state,
                kind,
                limits.get(name) if told is None else told,
                len(those),
                sum(trial.used.get("cpu_seconds", 0.0) for trial in those),
                sum(saved) if saved else None,
                len(saved),
            )
        )
    return sorted(found, key=lambda one: (one.state != "stopped", -one.trials, one.criterion))


def saved_cpu_seconds(trial: Trial) -> float | None:
    """CPU seconds that a trial would have used beyond those it did, as the latest prediction has it; an estimate."""
    told = trial.predicted_early.get("cpu_seconds") or trial.predicted.get("cpu_seconds")
    return None if told is None else max(0.0, told.value - trial.used.get("cpu_seconds", 0.0))


def overhead(trials: Sequence[Trial]) -> Overhead | None:
    """The tuner's own time; ``None``: no trial has told any."""
    seconds = [trial.overhead_seconds for trial in trials if trial.overhead_seconds is not None]
    if not seconds:
        return None
    return Overhead(
        len(seconds), float(np.median(seconds)), float(np.quantile(seconds, 0.9)), float(sum(seconds))
    )
