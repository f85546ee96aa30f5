"""The cost-aware pruner ends what cannot become the best, and nothing while too little is known."""

from __future__ import annotations

from stackyard.tuning.pruners import cost_aware
from stackyard.tuning.trial import Point, Trial


def course(number: int, end: float, steps: int = 20, state: str = "completed") -> Trial:
    points = [Point(float(s), float(s), float(s), end + 1.0 / s) for s in range(1, steps + 1)]
    return Trial(number, {}, state, course=points)


def test_a_trial_that_cannot_become_the_best_is_ended_and_one_that_can_is_not() -> None:
    trials = [course(number, 0.1 * number) for number in range(6)]
    pruner = cost_aware.CostAwarePruner(False, {})
    said = pruner.why_stop(course(9, 0.8, 4, "running"), trials)
    assert said is not None
    assert said.startswith("at step 4 its value is 1.05; in 98% of cases that ends at ")
    assert pruner.why_stop(course(9, -0.1, 4, "running"), trials) is None


def test_nothing_is_ended_before_enough_is_known_or_the_trial_is_warm() -> None:
    trials = [course(number, 0.1 * number) for number in range(6)]
    bad = course(9, 0.8, 4, "running")
    assert cost_aware.CostAwarePruner(False, {}).why_stop(bad, trials[:2]) is None
    assert cost_aware.CostAwarePruner(False, {"start_trials": 7}).why_stop(bad, trials) is None
    assert cost_aware.CostAwarePruner(False, {"warm_up_cpu_seconds": 5}).why_stop(bad, trials) is None
