"""What is tried next, what is skipped, and when a study is over."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard.tuning.engine import Engine, Over
from stackyard.tuning.trial import Reading, Reason, Trial
from tests.stackyard.tuning.study_text import TEXT, study


def searched(engine: Engine, count: int = 100, **used: float) -> tuple[list[Trial], Over | None]:
    """Trials as they come when each completes at once, and why there are no more."""
    trials: list[Trial] = []
    while len(trials) < count:
        found = engine.next(trials)
        if isinstance(found, Over):
            return trials, found
        found.state, found.values, found.used = "completed", {"accuracy": 0.5}, dict(used)
        trials.append(found)
    return trials, None


def test_a_study_ends_when_its_trials_are_used_up() -> None:
    trials, over = searched(Engine(study()))
    assert len(trials) == 9
    assert over == Over("budget", "the budget of 9 trials is used up")
    assert [trial.number for trial in trials] == list(range(9))


def test_what_trials_used_counts_against_the_budget() -> None:
    text = TEXT.replace("trials = 9", "cpu_seconds = 10")
    trials, over = searched(Engine(study(text)), cpu_seconds=2.5)
    assert len(trials) == 4
    assert over is not None
    assert over.message == "the budget of 10 CPU seconds is used up"


def test_a_trial_under_way_ends_when_the_budget_does() -> None:
    engine = Engine(study(TEXT.replace("trials = 9", "cpu_seconds = 10")))
    done = Trial(0, {}, state="completed", used={"cpu_seconds": 7.0})
    running = Trial(1, {}, state="running", used={"cpu_seconds": 2.0})
    assert engine.why_end(running, [done, running]) is None
    running.used["cpu_seconds"] = 3.5
    reason = engine.why_end(running, [done, running])
    assert reason is not None
    assert reason.kind == "budget"


def test_a_grid_ends_when_every_combination_was_tried() -> None:
    text = TEXT.replace("lr = { low = 0.001, high = 1.0, log = true }", "lr = [0.1, 0.01]")
    text = text.replace('sampler = "random"', 'sampler = "grid"').replace("[budget]\ntrials = 9", "")
    trials, over = searched(Engine(study(text)))
    tried = [(trial.parameters["lr"], trial.parameters["batch"]) for trial in trials]
    assert tried == [(lr, batch) for lr in (0.1, 0.01) for batch in (30, 300, 3000)]
    assert over is not None
    assert over.kind == "space"


def test_a_study_whose_first_trials_all_fail_gives_up() -> None:
    trials = [
        Trial(i, {"lr": 0.1 * (i + 1), "batch": 30}, state="failed", reason=Reason("code", "no module"))
        for i in range(3)
    ]
    over = Engine(study()).next(trials)
    assert isinstance(over, Over)
    assert over.message == "the first 3 trials failed and none completed (the first: no module)"
    trials[1].state = "completed"
    assert not isinstance(Engine(study()).next(trials), Over)


def test_the_median_rule_ends_a_trial_that_is_worse_at_equal_cpu_time() -> None:
    text = TEXT.replace(
        'sampler = "random"',
        'sampler = "random"\npruner = "median"\nstart_trials = 2\nwarm_up_cpu_seconds = 2',
    )
    engine = Engine(study(text))
    trials: list[Trial] = [_course(i, "completed", 1.0, 0.9) for i in range(3)]
    slow = _course(3, "running", 4.0, 0.9)
    slow.course = slow.course[:1]  # as good as the others at equal steps
    reason = engine.why_end(slow, [*trials, slow])
    assert reason is not None
    assert reason.kind == "pruner"
    equal = _course(4, "running", 1.0, 0.95)
    assert engine.why_end(equal, [*trials, equal]) is None


def _course(number: int, state: str, seconds_a_step: float, value: float) -> Trial:
    from stackyard.tuning.trial import Point

    course = [Point(seconds_a_step * i, seconds_a_step * i, i, value * i / 10) for i in range(1, 6)]
    values: dict[str, Any] = {"accuracy": value} if state == "completed" else {}
    return Trial(number, {"lr": 0.1, "batch": 30}, state=state, course=course, values=values)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_trial_that_will_break_a_limit_is_ended_after_its_first_steps_or_shows_what_comes(
    share: float,
) -> None:
    text = TEXT.replace('sampler = "random"', f'sampler = "random"\ncheck_share = {share}')
    engine = Engine(study(text))
    trial = Trial(0, {"lr": 0.1, "batch": 30}, state="running")
    trial.readings = [Reading(0.06, None, {"ram_bytes": 900e6, "wall_seconds": 1.0})]
    engine.foresee(trial, [trial])
    reasons = [engine.why_end(trial, [trial]) for _ in range(2)]
    assert [reason and reason.kind for reason in reasons] == [None if share else "predicted"] * 2
    assert trial.checks_prediction == bool(share)
