from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from stackyard.tuning import prediction
from stackyard.tuning.prediction import accuracy
from stackyard.tuning.space import Choice, Space
from stackyard.tuning.trial import Reason, Trial
from tests.stackyard.tuning.prediction import families
from tests.stackyard.tuning.prediction.families import SPACE, study


def played(trials: list[Trial], quantities: tuple[str, ...]) -> list[Trial]:
    """The trials, each predicted from those before it."""
    for place, trial in enumerate(trials):
        trial.predicted = prediction.before(SPACE, trial.parameters, trials[:place], quantities)
    return trials


def test_nothing_is_predicted_from_nothing() -> None:
    given = {"lr": 1e-3, "units": 64, "solver": "sgd"}
    assert prediction.before(SPACE, given, []) == {}
    assert prediction.before(SPACE, given, study(3, 0)) == {}


def test_the_bounds_hold_in_nine_of_ten_cases_and_values_come_near() -> None:
    trials = [t for seed in range(3) for t in played(study(50, seed, 0.1), ("ram_bytes", "cpu_seconds"))]
    for quantity, most in (("ram_bytes", 3.0), ("cpu_seconds", 12.0)):
        found = accuracy.of_quantity(trials, quantity)
        assert found.decided == 3 * 46
        assert found.coverage_percent is not None
        assert 86 <= found.coverage_percent <= 94, found
        assert found.median_error_percent is not None
        assert found.median_error_percent <= most, found


def test_bounds_are_wide_while_little_is_known_and_narrow_later() -> None:
    trials, given = study(80, 3), {"lr": 1e-3, "units": 100, "solver": "sgd"}
    widths = []
    for count in (4, 12, 80):
        told = prediction.before(SPACE, given, trials[:count])["cpu_seconds"]
        assert told.low <= told.value <= told.high
        widths.append(told.high / told.low)
    assert widths[0] > widths[1] > widths[2]
    assert widths[2] < 1.6


def test_stopped_trials_count_as_having_wanted_more() -> None:
    limit = 150e6
    trials = study(60, 4, limit=limit)
    large = {"lr": 1e-3, "units": 500, "solver": "sgd"}
    assert any(t.state == "stopped" for t in trials)
    with_them = prediction.before(SPACE, large, trials)["ram_bytes"]
    cut_off = [dataclasses.replace(t, state="completed") for t in trials]
    as_if_complete = prediction.before(SPACE, large, cut_off)["ram_bytes"]
    # it truly uses 330 MB
    assert with_them.value > 1.3 * limit
    assert with_them.value > as_if_complete.value


def test_a_trial_that_died_of_memory_tells_a_lower_bound_and_one_that_crashed_tells_nothing() -> None:
    trials = study(20, 5)
    given = {"lr": 1e-3, "units": 64, "solver": "sgd"}
    told = prediction.before(SPACE, given, trials)
    died = Trial(
        20, given, "failed", used={"ram_bytes": 2e9}, reason=Reason("out_of_memory", "no memory left")
    )
    crashed = dataclasses.replace(died, reason=Reason("code", "it raised"))
    assert prediction.before(SPACE, given, [*trials, died])["ram_bytes"].value > told["ram_bytes"].value
    assert prediction.before(SPACE, given, [*trials, crashed]) == told


def test_what_was_always_nothing_is_nothing_and_what_sometimes_was_is_not_predicted() -> None:
    trials = study(8, 6)
    for trial in trials:
        trial.used["gpu_memory_bytes"] = 0.0
    told = prediction.before(SPACE, trials[0].parameters, trials)["gpu_memory_bytes"]
    assert (told.low, told.value, told.high) == (0, 0, 0)
    trials[3].used["gpu_memory_bytes"] = 1e9
    assert "gpu_memory_bytes" not in prediction.before(SPACE, trials[0].parameters, trials)


def test_equal_figures_and_spaces_without_choice_are_borne() -> None:
    space = Space((Choice("one", ("a",)),))
    trials = [Trial(n, {"one": "a"}, "completed", used={"cpu_seconds": 3.0}) for n in range(12)]
    told = prediction.before(space, {"one": "a"}, trials)["cpu_seconds"]
    assert (told.low, told.value, told.high) == pytest.approx((3, 3, 3))


def test_the_search_s_own_order_does_not_break_the_promise() -> None:
    """A search goes where it is good, and it drifts: here towards ever larger models."""
    rng, trials = np.random.default_rng(7), []
    for number in range(120):
        given = {**families.parameters(rng), "units": int(16 + 3 * number)}
        trials.append(families.ended(number, given, families.use(given, rng, 0.1)))
    found = accuracy.of_quantity(played(trials, ("cpu_seconds",)), "cpu_seconds")
    assert found.coverage_percent is not None
    assert 84 <= found.coverage_percent <= 95
