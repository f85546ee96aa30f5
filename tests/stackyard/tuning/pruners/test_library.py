"""Optuna's pruners on CPU time: a slow trial is compared with what others had by then, not at its own steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from stackyard.tuning import pruners
from stackyard.tuning.trial import Point, Trial

SETTINGS = {"warm_up_cpu_seconds": 1.0, "start_trials": 2.0, "reduction_factor": 3.0}


def point(quality: float, step: int, seconds_a_step: float) -> Point:
    at = seconds_a_step * step
    return Point(at, at, step, quality * (1 - math.exp(-step / 5)))


def lived(name: str, trials: Sequence[tuple[float, float]], maximise: bool = True) -> list[int]:
    """How many of twenty steps each trial does, of trials (quality, seconds a step), one after the other."""
    sign = 1.0 if maximise else -1.0
    pruner = pruners.made(name, maximise, SETTINGS)
    assert pruner is not None
    every: list[Trial] = []
    for quality, seconds in trials:
        trial = Trial(len(every), {}, state="running")
        every.append(trial)
        for step in range(1, 21):
            told = point(quality, step, seconds)
            told.value *= sign
            trial.course.append(told)
            if pruner.why_stop(trial, every) is not None:
                trial.state = "stopped"
                break
        else:
            trial.state = "completed"
    return [len(trial.course) for trial in every]


@pytest.mark.parametrize("maximise", [True, False])
def test_the_median_rule_ends_what_is_worse(maximise: bool) -> None:
    first, second, good, bad = lived("median", [(0.5, 0.5), (0.6, 0.5), (0.9, 0.5), (0.1, 0.5)], maximise)
    assert (first, second, good) == (20, 20, 20)
    assert bad < 8


def test_a_slow_trial_is_as_bad_as_what_it_has_by_then() -> None:
    as_good_a_step = lived("median", [(0.5, 0.5), (0.6, 0.5), (0.7, 4.0)])
    assert as_good_a_step[2] < 3
    assert lived("median", [(0.5, 0.5), (0.6, 0.5), (0.7, 0.5)])[2] == 20


@pytest.mark.parametrize("maximise", [True, False])
def test_successive_halving_keeps_the_best(maximise: bool) -> None:
    steps = lived("successive-halving", [(q / 10, 0.5) for q in (5, 1, 2, 9, 3, 1, 2, 8)], maximise)
    assert steps[3] == 20
    assert sum(count < 20 for count in steps) >= 4


def test_a_restarted_pruner_judges_from_the_courses_that_were_kept() -> None:
    trials = [
        Trial(i, {}, state="completed", course=[point(0.6, step, 0.5) for step in range(1, 21)])
        for i in range(3)
    ]
    bad = Trial(3, {}, state="running", course=[point(0.1, step, 0.5) for step in range(1, 6)])
    pruner = pruners.made("median", True, SETTINGS)
    assert pruner is not None
    assert "worse than the median" in (pruner.why_stop(bad, [*trials, bad]) or "")


def test_nobody_ends_anything_where_no_pruner_is_asked_for() -> None:
    assert pruners.made("none", True, {}) is None


def test_start_up_is_no_resource_that_halving_judges_by() -> None:
    pruner = pruners.made("successive-halving", True, SETTINGS)
    assert pruner is not None
    first = Trial(0, {}, state="completed", course=[point(0.9, step, 0.5) for step in range(1, 21)])
    slow_start = Trial(1, {}, state="running", course=[Point(30.0, 30.0, 1, 0.01)])
    assert pruner.why_stop(slow_start, [first, slow_start]) is None
