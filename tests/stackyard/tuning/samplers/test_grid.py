"""The grid: every combination once, in the file's order, whatever was tried before."""

from __future__ import annotations

from stackyard.tuning import samplers
from stackyard.tuning.samplers import Question
from stackyard.tuning.space import Choice, Range, Space
from stackyard.tuning.trial import Trial

SPACE = Space((Choice("kind", ("b", "a")), Range("n", 1, 3, whole=True)))


def test_every_combination_once_the_last_dimension_fastest() -> None:
    sampler, trials = samplers.made("grid", Question(SPACE, {"x": True}, 1, {})), []
    while (parameters := sampler.ask(trials)) is not None:
        trials.append(Trial(len(trials), dict(parameters)))
    tried = [(trial.parameters["kind"], trial.parameters["n"]) for trial in trials]
    assert tried == [("b", 1), ("b", 2), ("b", 3), ("a", 1), ("a", 2), ("a", 3)]


def test_what_an_earlier_sampler_tried_is_left_out() -> None:
    trials = [Trial(0, {"kind": "a", "n": 3}), Trial(1, {"kind": "b", "n": 1})]
    sampler = samplers.made("grid", Question(SPACE, {"x": True}, 1, {}))
    while (parameters := sampler.ask(trials)) is not None:
        trials.append(Trial(len(trials), dict(parameters)))
    assert len({SPACE.key(trial.parameters) for trial in trials}) == len(trials) == 6
