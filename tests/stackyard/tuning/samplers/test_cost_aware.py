"""The cost-aware sampler finds what is best for little, keeps limits, and asks the same of the same history."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from stackyard.tuning.samplers import Question, cost_aware
from stackyard.tuning.space import Choice, Range, Space
from stackyard.tuning.trial import Reason, Trial

SPACE = Space(
    (Range("x", 0.0, 1.0), Range("size", 1, 1000, whole=True, log=True), Choice("kind", ("a", "b")))
)


def loss(parameters: Mapping[str, Any]) -> float:
    """Best at x = 0.7, size 100, kind b: 0."""
    off = abs(math.log10(parameters["size"]) - 2) / 3
    return float((parameters["x"] - 0.7) ** 2 + off**2 + (0.2 if parameters["kind"] == "a" else 0.0))


def studied(count: int, seed: int = 1, limit: float = math.inf) -> list[Trial]:
    limits = {} if math.isinf(limit) else {"cpu_seconds": limit}
    sampler = cost_aware.CostAwareSampler(Question(SPACE, {"loss": False}, seed, limits))
    trials: list[Trial] = []
    for number in range(count):
        parameters = sampler.ask(trials)
        assert parameters is not None
        assert SPACE.holds(parameters)
        cost = parameters["size"] ** 0.5
        trial = Trial(number, dict(parameters), "completed", {"loss": loss(parameters)})
        trial.used = {"cpu_seconds": cost}
        if cost > limit:
            trial.state, trial.values, trial.used = "stopped", {}, {"cpu_seconds": limit}
            trial.reason = Reason("limit", "it used too much", "cpu_seconds", limit, limit)
        trials.append(trial)
    return trials


def test_it_finds_the_best() -> None:
    assert min(trial.values["loss"] for trial in studied(30)) < 0.005


def test_it_asks_the_same_of_the_same_history_whether_or_not_it_was_there() -> None:
    trials = studied(14)
    fresh = cost_aware.CostAwareSampler(Question(SPACE, {"loss": False}, 1, {}))
    assert fresh.ask(trials[:13]) == trials[13].parameters
    other = cost_aware.CostAwareSampler(Question(SPACE, {"loss": False}, 2, {}))
    assert other.ask(trials[:13]) != trials[13].parameters


def test_what_breaks_a_limit_is_soon_left_alone() -> None:
    trials = studied(30, limit=6.0)
    broke = [trial.number for trial in trials if trial.state == "stopped"]
    assert sum(number >= 15 for number in broke) <= 6
    assert min(trial.values["loss"] for trial in trials if trial.values) < 0.03


def test_trials_under_way_are_not_asked_for_again() -> None:
    trials = studied(12)
    sampler = cost_aware.CostAwareSampler(Question(SPACE, {"loss": False}, 1, {}))
    for number in range(12, 16):
        parameters = sampler.ask(trials)
        assert parameters is not None
        assert all(parameters != trial.parameters for trial in trials)
        trials.append(Trial(number, dict(parameters), "running"))


def test_failed_trials_and_equal_values_do_no_harm() -> None:
    space = Space((Choice("n", (1, 2, 3)), Choice("m", ("a", "b"))))
    sampler = cost_aware.CostAwareSampler(Question(space, {"score": True}, 1, {"ram_bytes": 5.0}))
    trials: list[Trial] = []
    while (parameters := sampler.ask(trials)) is not None:
        state = "failed" if len(trials) == 1 else "completed"
        trials.append(
            Trial(len(trials), dict(parameters), state, {"score": 1.0} if state == "completed" else {})
        )
    assert len(trials) == 6 == len({space.key(trial.parameters) for trial in trials})


def test_numbers_as_great_as_there_are_do_no_harm() -> None:
    for maximise in (False, True):
        question = Question(SPACE, {"loss": maximise}, 1, {})
        sampler = cost_aware.CostAwareSampler(question)
        trials: list[Trial] = []
        for value in (1e-7, 1.7e308, -1.7e308, 1e304, 5e-324, 3.0, -1e300, 1.7e308, 2.0, 0.0):
            found = sampler.ask(trials)
            assert found is not None
            trial = Trial(len(trials), dict(found), "completed")
            trial.values, trial.used = {"loss": value}, {"cpu_seconds": 1e300 if value > 1 else 1e-300}
            trials.append(trial)
        assert SPACE.holds(sampler.ask(trials) or {})
