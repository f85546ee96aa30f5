"""Study files: what they say, and one sentence for each mistake."""

from __future__ import annotations

import pytest

from stackyard.errors import BadInputError
from stackyard.tuning import reading
from stackyard.tuning.space import Choice, Range
from stackyard.tuning.study import Objective
from tests.stackyard.tuning.study_text import KNOWN, TEXT, study


def test_a_study_is_a_scenario_of_one_cell_with_a_space() -> None:
    found = study()
    assert found.space.dimensions == (Range("lr", 0.001, 1.0, log=True), Choice("batch", (30, 300, 3000)))
    assert found.objectives == (Objective("accuracy", maximise=True),)
    assert found.bounds() == {"ram_bytes": 400e6, "wall_seconds": 3600.0}
    assert found.budget.trials == 9
    assert found.workload == "w"
    trial = found.of_trial("t0001", {"lr": 0.5, "batch": 30})
    assert trial.choices["trial"]["t0001"].parameters == {"lr": 0.5, "batch": 30}


def test_the_memory_of_the_hardware_is_a_limit_too() -> None:
    text = TEXT.replace("[space]", '[hardware.small]\nmemory = "300 MB"\n[space]')
    assert study(text).bounds()["ram_bytes"] == 300e6


MISTAKES = [
    ("[search]", "[serach]", "serach is an unknown key"),
    (
        "lr = { low = 0.001, high = 1.0, log = true }\nbatch = [30, 300, 3000]",
        "",
        "space is missing or empty",
    ),
    ("low = 0.001", "low = 2.0", "space.lr goes from 2.0 to 1.0, expected low below high"),
    ("low = 0.001", "low = 0.0", "space.lr.low is 0.0, expected above 0 where log is true"),
    ("low = 0.001, high = 1.0, log = true", "low = -1.7e308, high = 1.7e308", "a width of at most 1e+300"),
    ("log = true", "step = 1e-29", "space.lr.step is 1e-29, expected at least"),
    ("low = 0.001", "low = nan", "space.lr.low is nan, expected a finite number"),
    ("high = 1.0", "hgh = 1.0", "space.lr.hgh is an unknown key"),
    ("log = true", "log = true, step = 0.1", "space.lr.step stands beside log"),
    ("[30, 300, 3000]", "[]", "space.batch is [], expected a list of values"),
    ("[30, 300, 3000]", "[30, 30]", "space.batch holds 30 twice"),
    ("[30, 300, 3000]", '[30, "x"]', "space.batch has values of several kinds"),
    ("[30, 300, 3000]", "[[1]]", "space.batch holds [1]"),
    ("batch = [30, 300, 3000]", "bach = [30]", "nothing fills {batch}"),
    ('accuracy = "maximise"', "", "objectives is missing or empty"),
    ('accuracy = "maximise"', 'accuracy = "up"', "objectives.accuracy is 'up'"),
    (
        'accuracy = "maximise"',
        'accuracy = { direction = "maximise", of = "mean" }',
        "objectives.accuracy.of is 'mean'",
    ),
    ('accuracy = "maximise"', 'cpu_seconds = { direction = "minimise", of = "best" }', "is a cost"),
    ('accuracy = "maximise"', 'cpu_seconds = "maximise"', "objectives.cpu_seconds is a cost"),
    ("[budget]\ntrials = 9", "", "budget is missing or empty"),
    ("trials = 9", "trials = 0", "budget.trials is 0"),
    ("trials = 9", "cpu_seconds = -1", "budget.cpu_seconds is -1"),
    ('sampler = "random"', 'sampler = "gird"', "(did you mean 'grid'?)"),
    ('sampler = "random"', 'sampler = "grid"', "space.lr has no end of values"),
    ('sampler = "random"', 'pruner = "mean"', "search.pruner is 'mean'"),
    (
        'sampler = "random"',
        "reduction_factor = 3",
        "search.reduction_factor means nothing to the pruner none, expected it beside successive-halving",
    ),
    (
        'sampler = "random"',
        'pruner = "median"\nreduction_factor = 3',
        "search.reduction_factor means nothing to the pruner median",
    ),
    (
        'sampler = "random"',
        'pruner = "successive-halving"\nstart_trials = 7',
        "search.start_trials means nothing to the pruner successive-halving, expected it beside median, cost-aware",
    ),
    (
        'sampler = "random"',
        'pruner = "cost-aware"\nstart_trials = 2',
        "search.start_trials is 2, expected a number from 3",
    ),
    ('sampler = "random"', "skip = false\ncheck_share = 0.5", "search.check_share is of what is skipped"),
    (
        'stack = ["none"]',
        'stack = ["none"]\ndeployment = ["agent"]\n[packing]\nmemory = "1 GB"',
        "packing.memory is for trials on this machine",
    ),
    (
        'stack = ["none"]',
        'stack = ["none"]\ndeployment = ["agent"]\n[packing]\ntotal_cores = 4',
        "packing.total_cores is for trials on this machine",
    ),
    ('name = "small"', 'name = "small"\nrepeats = 3', "repeats is for scenarios"),
    ('stack = ["none"]', 'stack = ["none", "new"]', "axes.stack has 2 values"),
    ('stack = ["none"]', 'stack = ["none"]\nlr = [0.5]', "axes.lr is searched by [space], too"),
    ("[space]", '[workloads.v]\ncommand = ["true"]\n[space]', "workloads has 2 tables"),
    ("[search]", "[packing]\nat_once = 0\n[search]", "packing.at_once is 0"),
    ("[search]", '[packing]\nmemory = "much"\n[search]', "packing.memory is 'much'"),
    ('max_ram = "400 MB"', 'max_ram = "1 MB"', "idle interpreter"),
    ('max_ram = "400 MB"', 'max_rma = "1 GB"', "(did you mean 'max_ram'?)"),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES, ids=[said[:40] for _, _, said in MISTAKES])
def test_a_mistake_is_one_sentence(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(BadInputError) as error:
        study(TEXT.replace(old, new))
    assert said in str(error.value)
    assert str(error.value).startswith("s.toml: ")
    assert "\n" not in str(error.value)


def test_a_parameter_that_the_command_does_not_take_is_named() -> None:
    with pytest.raises(BadInputError, match=r"momentum"):
        study(TEXT.replace("batch = [30", "momentum = [1]\nbatch = [30"))


def test_a_parameter_is_searched_or_given_not_both() -> None:
    text = TEXT.replace("parameters = { epochs = 3 }", "parameters = { lr = 0.1 }")
    with pytest.raises(BadInputError, match="is searched by"):
        reading.read(text, "s.toml", KNOWN)


def test_an_objective_may_be_the_best_on_the_way() -> None:
    found = study(TEXT.replace('"maximise"', '{ direction = "maximise", of = "best" }'))
    assert found.objectives == (Objective("accuracy", maximise=True, best=True),)
