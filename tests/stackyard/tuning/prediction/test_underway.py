from __future__ import annotations

import pytest

from stackyard.tuning import prediction
from stackyard.tuning.prediction import accuracy
from stackyard.tuning.trial import Reading, Trial
from tests.stackyard.tuning.prediction.families import SPACE, study


def at_five_percent(trial: Trial) -> Trial:
    """The trial as it was then."""
    told = [reading for reading in trial.readings if reading.share is not None and reading.share <= 0.051]
    return Trial(trial.number, trial.parameters, "running", readings=told)


def test_after_five_percent_memory_and_cost_are_known_from_the_study_s_own_trials() -> None:
    trials = study(60, 0)
    for place, trial in enumerate(trials[:50:2]):
        for name in ("ram_minus_shared_bytes", "step_seconds"):
            trial.used.pop(name, None)
        trial.predicted_early = prediction.during(SPACE, at_five_percent(trial), trials[:place])
        trial.early_share = 0.05
    late = trials[6:50:2]
    for quantity, most in (("ram_bytes", 2.0), ("cpu_seconds", 3.0), ("wall_seconds", 3.0)):
        found = accuracy.of_quantity(late, quantity, early=True)
        assert found.trials == 22
        assert found.median_error_percent is not None
        assert found.median_error_percent < most, found
        assert found.coverage_percent is not None
        assert found.coverage_percent >= 84, found


def test_the_first_trial_is_predicted_from_its_own_steps_alone_and_the_bounds_say_so() -> None:
    first = study(1, 1)[0]
    told = prediction.during(SPACE, at_five_percent(first), [])
    for quantity in ("ram_bytes", "cpu_seconds", "step_seconds"):
        assert told[quantity].low <= first.used[quantity] <= told[quantity].high
        assert told[quantity].high / told[quantity].low >= 1.5
    # start-up is no part of the rate
    assert told["cpu_seconds"].value == pytest.approx(first.used["cpu_seconds"], rel=0.15)


def test_no_bound_lies_below_what_was_used_already() -> None:
    trials = study(30, 2)
    greedy = at_five_percent(trials[-1])
    greedy.readings[-1].used.update(ram_bytes=5e9, cpu_seconds=1e4)
    told = prediction.during(SPACE, greedy, trials[:-1])
    assert told["ram_bytes"].low >= 5e9
    assert told["cpu_seconds"].low >= 1e4


def test_a_trial_that_tells_nothing_is_predicted_as_before_its_start_and_one_without_readings_not() -> None:
    trials = study(30, 3)
    given = trials[0].parameters
    assert prediction.during(SPACE, Trial(30, given, "running"), trials) == {}
    silent = Trial(
        30, given, "running", readings=[Reading(None, None, {"wall_seconds": 1.0, "ram_bytes": 5e7})]
    )
    told, before = prediction.during(SPACE, silent, trials), prediction.before(SPACE, given, trials)
    assert told["cpu_seconds"].value == pytest.approx(before["cpu_seconds"].value, rel=0.1)
    assert prediction.during(SPACE, silent, [])["ram_bytes"].low == 5e7
    assert "cpu_seconds" not in prediction.during(SPACE, silent, [])
