"""The front: nothing on it is beaten in every objective, and everything else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stackyard.tuning.fronts import front
from stackyard.tuning.trial import Trial

points = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30)


@given(points)
def test_the_front_has_what_no_other_trial_beats(found: list[tuple[int, int]]) -> None:
    trials = [
        Trial(i, {}, state="completed", values={"accuracy": float(a), "cost": float(c)})
        for i, (a, c) in enumerate(found)
    ]
    kept = front(trials, {"accuracy": True, "cost": False})
    for trial in trials:
        beaten = [t for t in kept if t is not trial and _as_good(t, trial)]
        assert (trial in kept) != bool(beaten)


def test_of_one_objective_it_is_the_first_of_the_best() -> None:
    trials = [Trial(i, {}, state="completed", values={"loss": v}) for i, v in enumerate([3.0, 1.0, 2.0, 1.0])]
    assert front(trials, {"loss": False}) == [trials[1]]


def test_stopped_and_failed_trials_are_never_on_it() -> None:
    trials = [
        Trial(0, {}, state="stopped", values={"loss": 0.0}),
        Trial(1, {}, state="completed", values={"loss": 9.0}),
    ]
    assert front(trials, {"loss": False}) == [trials[1]]


def _as_good(a: Trial, b: Trial) -> bool:
    return a.values["accuracy"] >= b.values["accuracy"] and a.values["cost"] <= b.values["cost"]
