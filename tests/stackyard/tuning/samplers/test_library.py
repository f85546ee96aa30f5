"""Optuna's samplers behind our contract: what is asked is of the space, new, and the same after a restart."""

from __future__ import annotations

import math
from typing import Any

import pytest

from stackyard.tuning import samplers
from stackyard.tuning.samplers import Question, Sampler
from stackyard.tuning.space import Choice, Range, Space
from stackyard.tuning.trial import Point, Reason, Trial, best

SPACE = Space(
    (
        Choice("batch", (30, 3000, 300, 1)),
        Choice("kind", ("x", "y", "z")),
        Range("lr", 1e-4, 1.0, log=True),
        Range("depth", 1, 9, whole=True),
    )
)
QUESTION = Question(SPACE, {"accuracy": True}, 7, {"ram_bytes": 100.0})


def answered(number: int, parameters: Any) -> Trial:
    """A trial whose accuracy has its best at lr 0.01 and kind y, and which needs too much RAM with batches of 3000."""
    accuracy = -abs(math.log(parameters["lr"] / 0.01)) + (parameters["kind"] == "y")
    trial = Trial(number, dict(parameters), used={"ram_bytes": parameters["batch"] / 20})
    if parameters["batch"] == 3000:
        trial.state, trial.reason = "stopped", Reason("limit", "too much", "ram_bytes", 100.0, 150.0)
    else:
        trial.state, trial.values = "completed", {"accuracy": accuracy}
    return trial


def searched(sampler: Sampler, trials: list[Trial], count: int) -> list[Trial]:
    while len(trials) < count:
        parameters = sampler.ask(trials)
        assert parameters is not None
        assert SPACE.holds(parameters)
        trials.append(answered(len(trials), parameters))
    return trials


@pytest.mark.parametrize("name", ["random", "tpe", "genetic"])
def test_what_is_asked_is_of_the_space_and_new(name: str) -> None:
    trials = searched(samplers.made(name, QUESTION), [], 30)
    assert len({SPACE.key(trial.parameters) for trial in trials}) == 30
    assert {trial.parameters["batch"] for trial in trials} == {1, 30, 300, 3000}


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_a_study_that_is_resumed_asks_what_it_would_have_asked(name: str) -> None:
    whole = searched(samplers.made(name, QUESTION), [], 24)
    resumed = searched(samplers.made(name, QUESTION), whole[:15], 24)
    assert [trial.parameters for trial in resumed] == [trial.parameters for trial in whole]


def test_tpe_finds_more_than_chance_and_learns_of_the_limit() -> None:
    by_chance = searched(samplers.made("random", QUESTION), [], 60)
    by_model = searched(samplers.made("tpe", QUESTION), [], 60)
    found, chance = best(by_model, "accuracy", True), best(by_chance, "accuracy", True)
    assert found is not None
    assert chance is not None
    assert found.values["accuracy"] > chance.values["accuracy"]
    assert sum(t.state == "stopped" for t in by_model[30:]) <= sum(
        t.state == "stopped" for t in by_chance[30:]
    )


def test_the_genetic_algorithm_leaves_its_first_generation() -> None:
    by_chance = searched(samplers.made("random", QUESTION), [], 40)
    by_genes = searched(samplers.made("genetic", QUESTION), [], 40)
    assert [t.parameters for t in by_genes[:5]] == [t.parameters for t in by_chance[:5]]
    assert [t.parameters for t in by_genes[25:]] != [t.parameters for t in by_chance[25:]]


@pytest.mark.parametrize("name", ["random", "tpe", "genetic"])
def test_a_small_space_is_tried_to_its_end(name: str) -> None:
    question = Question(Space((Choice("a", (1, 2, 3)), Choice("b", (True, False)))), {"loss": False}, 1, {})
    sampler, trials = samplers.made(name, question), []
    while (parameters := sampler.ask(trials)) is not None:
        trials.append(Trial(len(trials), dict(parameters), state="completed", values={"loss": 1.0}))
    assert len(trials) == 6


@pytest.mark.parametrize("name", ["random", "tpe", "genetic"])
def test_trials_of_every_kind_are_taken_in(name: str) -> None:
    sampler = samplers.made(name, QUESTION)
    trials: list[Trial] = []
    for state in ("planned", "running", "failed", "skipped", "stopped", "completed"):
        parameters = sampler.ask(trials)
        assert parameters is not None
        values = {"accuracy": 0.5} if state == "completed" else {}
        trials.append(Trial(len(trials), dict(parameters), state=state, values=values))
    trials[1].state, trials[1].values = "completed", {"accuracy": 0.7}
    assert sampler.ask(trials) is not None


@pytest.mark.parametrize("name", ["random", "tpe", "genetic"])
def test_several_objectives_are_searched_at_once(name: str) -> None:
    question = Question(SPACE, {"accuracy": True, "cpu_seconds": False}, 1, {})
    sampler, trials = samplers.made(name, question), []
    for number in range(25):
        parameters = sampler.ask(trials)
        assert parameters is not None
        values = {"accuracy": -parameters["lr"], "cpu_seconds": float(parameters["depth"])}
        state = "stopped" if number % 5 == 3 else "completed"  # by a pruner: a course, and no end
        trials.append(Trial(number, dict(parameters), state, values, [Point(1.0, 1.0, 1, 0.5)]))


LARGE = Space((Range("lr", 0.0, 1.0), Range("megabytes", 10, 400, whole=True)))


def beyond(name: str, objectives: dict[str, bool], limits: dict[str, float]) -> int:
    """Of 40 trials, how many were beyond a limit of 300 MB: larger ones are better, and skipped after three stops."""
    sampler, trials = samplers.made(name, Question(LARGE, objectives, 3, limits)), []
    while len(trials) < 40:
        parameters = sampler.ask(trials)
        assert parameters is not None
        ram = (parameters["megabytes"] + 11) * 1e6
        trial = Trial(len(trials), dict(parameters), "completed", used={"ram_bytes": ram})
        trial.values = {"score": parameters["megabytes"] / 400 - parameters["lr"]}
        if ram > 300e6 and sum(t.state == "stopped" for t in trials) < 3:
            trial.state, trial.reason = "stopped", Reason("limit", "too much", "ram_bytes", 300e6, 312e6)
        elif ram > 300e6:
            trial.state, trial.reason = "skipped", Reason("predicted", "too much", "ram_bytes", 300e6, ram)
            trial.used, trial.values = {}, {}
        if trial.state == "completed":
            trial.values = {"score": trial.values["score"], "cpu_seconds": parameters["megabytes"] / 200}
        trials.append(trial)
    return sum(t.state != "completed" for t in trials)


@pytest.mark.parametrize("name", ["tpe", "genetic"])
def test_a_limit_is_learned_from_what_was_skipped_and_with_several_objectives(name: str) -> None:
    ram, most = {"ram_bytes": 300e6}, 40 // 3
    assert beyond(name, {"score": True, "cpu_seconds": False}, ram) <= most
    # larger is better until the limit, so half lie beyond it where nobody tells of it
    assert beyond(name, {"score": True}, ram) <= 40 // 2


def test_a_course_that_slows_down_beyond_its_limit_is_beyond_it_too() -> None:
    question = Question(LARGE, {"score": True, "cpu_seconds": False}, 3, {"slowing": 3.0})
    sampler, trials = samplers.made("tpe", question), []
    while len(trials) < 40:
        parameters = sampler.ask(trials)
        assert parameters is not None
        slow = parameters["megabytes"] > 289
        trial = Trial(len(trials), dict(parameters), "stopped" if slow else "completed")
        trial.reason = Reason("limit", "slower", "slowing", 3.0, 3.1) if slow else None
        trial.values = {"score": parameters["megabytes"], "cpu_seconds": parameters["megabytes"] / 200}
        trials.append(trial)
    assert sum(t.state == "stopped" for t in trials) <= 40 // 3
