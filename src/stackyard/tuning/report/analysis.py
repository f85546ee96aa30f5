"""What a study's report says of its trials. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from stackyard.tuning import fronts, prediction
from stackyard.tuning.prediction import accuracy
from stackyard.tuning.report.report import Ended, Found, Overhead, StudyReport
from stackyard.tuning.space import Space
from stackyard.tuning.trial import STATES, Trial

#: Trials of which it is said what they would have used, and those it is said by: each takes milliseconds.
_MOST_FORETOLD, _MOST_KNOWN = 300, 300


def analyse(found: Found) -> StudyReport:
    """The report on what lies in a study's folder."""
    trials = found.trials
    objectives = found.settings.directions
    first = next(iter(objectives), "")
    return StudyReport(
        found,
        objectives,
        {state: sum(trial.state == state for trial in trials) for state in STATES},
        sum(trial.spent_cpu_seconds for trial in trials),
        fronts.front(trials, objectives) if objectives else [],
        best_so_far(trials, first, objectives.get(first, False)),
        ended(trials, found.settings.of_a_trial, in_hindsight(found)),
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
        used += trial.spent_cpu_seconds
        value = trial.values.get(objective)
        if trial.state != "completed" or value is None:
            continue
        if not points or (value > points[-1][1] if maximise else value < points[-1][1]):
            points.append((used, value))
    if points and points[-1][0] < used:
        points.append((used, points[-1][1]))
    return points


def ended(trials: Sequence[Trial], limits: Mapping[str, float], foretold: Mapping[int, float]) -> list[Ended]:
    """What each criterion stopped or kept from starting, those that stopped most first.

    Args:
        trials: of the study.
        limits: of the study.
        foretold: number of a trial -> CPU seconds that it would have used.
    """
    groups: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in trials:
        if trial.state in ("stopped", "skipped"):
            reason = trial.reason
            name = "limit" if reason is None else (reason.quantity or reason.kind)
            kind = "limit" if reason is None else reason.kind
            groups.setdefault((trial.state, kind, name), []).append(trial)
    found = []
    for (state, kind, name), those in groups.items():
        saved = [
            max(0.0, foretold[trial.number] - trial.used.get("cpu_seconds", 0.0))
            for trial in those
            if trial.number in foretold
        ]
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


def in_hindsight(found: Found) -> dict[int, float]:
    """CPU seconds that stopped and skipped trials would have used, by number, as all trials of the study say now.

    What was predicted at the time may have rested on a few trials. Of many trials the latest are told.
    """
    space = Space(tuple(one.dimension for one in found.settings.space))
    those = [trial for trial in found.trials if trial.state in ("stopped", "skipped")]
    # what they came to, and nothing that was predicted of them
    known = [replace(trial, predicted={}, predicted_early={}) for trial in found.trials[-_MOST_KNOWN:]]
    told = {}
    for trial in those[-_MOST_FORETOLD:]:
        try:
            one = prediction.before(space, trial.parameters, known, ["cpu_seconds"]).get("cpu_seconds")
        except (KeyError, ValueError, TypeError, ArithmeticError):  # a file that somebody edited
            continue
        if one is not None:
            told[trial.number] = one.value
    return told


def overhead(trials: Sequence[Trial]) -> Overhead | None:
    """The tuner's own time; ``None``: no trial has told any."""
    seconds = [trial.overhead_seconds for trial in trials if trial.overhead_seconds is not None]
    if not seconds:
        return None
    return Overhead(
        len(seconds), float(np.median(seconds)), float(np.quantile(seconds, 0.9)), float(sum(seconds))
    )
