from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard.tuning import packing
from stackyard.tuning.packing import Machine, Need, Waiting
from stackyard.tuning.trial import Interval, Trial

GB = 1e9
NEEDS = st.builds(
    Need,
    st.sampled_from([0.1, 0.25, 1 / 3, 1.0, 2.0, 5.0]),
    st.floats(0, 40 * GB),
    st.sampled_from([0.0, 0.0, 3 * GB, 30 * GB, 100 * GB]),
)
MACHINES = st.builds(
    Machine,
    st.sampled_from([0.5, 1.0, 2.0, 7.0, 64.0]),
    st.floats(1 * GB, 64 * GB),
    st.sampled_from([(), (24 * GB,), (8 * GB, 80 * GB)]),
)


def started(of: Machine, waiting: list[Waiting], running: list[Need]) -> list[int]:
    """Starts what may start, as a tuner does; answers the places of those started."""
    places = list(range(len(waiting)))
    found = []
    while (place := packing.next_to_start(of, waiting, running)) is not None:
        for before in range(place):
            waiting[before] = Waiting(waiting[before].need, waiting[before].passed + 1)
        need = waiting.pop(place).need
        gpu = packing.gpu_for(of, need, running)
        running.append(Need(need.cores, need.memory_bytes, need.gpu_memory_bytes, gpu))
        found.append(places.pop(place))
    return found


@settings(max_examples=80, deadline=None)
@given(MACHINES, st.lists(NEEDS, max_size=12), st.lists(st.integers(0, 11), max_size=12))
def test_never_over_memory_cores_or_any_gpu(of: Machine, needs: list[Need], ends: list[int]) -> None:
    waiting, running = [Waiting(need) for need in needs], list[Need]()
    for end in [None, *ends]:
        if end is not None and running:
            running.pop(end % len(running))
        started(of, waiting, running)
        assert math.fsum(one.cores for one in running) <= of.cores + 1e-6
        assert math.fsum(one.memory_bytes for one in running) <= of.memory_bytes
        for gpu, whole in enumerate(of.gpu_memory_bytes):
            assert math.fsum(one.gpu_memory_bytes for one in running if one.gpu == gpu) <= whole


def test_a_large_trial_starts_some_time_while_small_ones_keep_coming() -> None:
    of = Machine(4.0, 16 * GB)
    large = Waiting(Need(4.0, 16 * GB))
    waiting, running = [large, *(Waiting(Need(1.0, 2 * GB)) for _ in range(3))], [Need(1.0, 2 * GB)]
    for _ in range(40):
        started(of, waiting, running)
        if large.need in running:
            break
        waiting.append(Waiting(Need(1.0, 2 * GB)))
        running.pop(0)
    assert large.need in running


def test_the_first_that_fits_starts_and_passes_a_larger_one() -> None:
    of = Machine(2.0, 8 * GB)
    waiting = [Waiting(Need(1, 6 * GB)), Waiting(Need(1, 3 * GB))]
    assert packing.next_to_start(of, waiting, [Need(1, 4 * GB)]) == 1
    assert packing.next_to_start(of, waiting, []) == 0
    held = [Waiting(Need(1, 6 * GB), packing.MOST_PASSED), Waiting(Need(1, 3 * GB))]
    assert packing.next_to_start(of, held, [Need(1, 4 * GB)]) is None


def test_two_trials_that_fit_in_fact_do_not_start_together_when_their_upper_bounds_do_not() -> None:
    of = packing.machine(2.0, 8.5 * GB)
    assert of.memory_bytes == 8 * GB
    trial = Trial(0, {}, predicted={"ram_bytes": Interval(3.5 * GB, 3 * GB, 4.5 * GB)})
    need = packing.need(trial, {}, 1.0, of)
    assert 4.5 * GB < need.memory_bytes < 6 * GB
    assert not packing.fits(of, need, [need])
    # once its first steps say that it needs less, another fits
    trial.predicted_early = {"ram_bytes": Interval(3.5 * GB, 3.4 * GB, 3.6 * GB)}
    assert packing.fits(of, Need(1.0, 4.2 * GB), [packing.need(trial, {}, 1.0, of)])


@pytest.mark.parametrize(
    ("trial", "limits", "reserved"),
    [
        (Trial(0, {}), {}, 8 * GB),
        (Trial(0, {}), {"ram_bytes": 2 * GB}, 2 * GB),
        (
            Trial(0, {}, predicted={"ram_bytes": Interval(3 * GB, 2 * GB, 5 * GB)}),
            {"ram_bytes": 4 * GB},
            4 * GB,
        ),
        (
            Trial(
                0, {}, predicted={"ram_bytes": Interval(3 * GB, 2 * GB, 5 * GB)}, used={"ram_bytes": 7.5e9}
            ),
            {},
            7.5e9,
        ),
        (Trial(0, {}, predicted={"ram_bytes": Interval(30 * GB, 20 * GB, 50 * GB)}), {}, 8 * GB),
    ],
    ids=[
        "nothing is known",
        "a limit",
        "less than predicted is allowed",
        "it has used more already",
        "too large",
    ],
)
def test_what_is_reserved_for_a_trial(trial: Trial, limits: dict[str, float], reserved: float) -> None:
    assert packing.need(trial, limits, 1.0, Machine(2.0, 8 * GB)).memory_bytes == reserved


def test_data_in_shared_memory_count_once() -> None:
    of = packing.machine(4.0, 5 * GB)  # what is left of a machine beside the data
    trial = Trial(
        0,
        {},
        predicted={
            "ram_bytes": Interval(6 * GB, 6 * GB, 6 * GB),
            "ram_minus_shared_bytes": Interval(1 * GB, 1 * GB, 1 * GB),
        },
    )
    need = packing.need(trial, {}, 1.0, of, shared=True)
    assert need.memory_bytes == 1 * GB
    assert packing.fits(of, need, [need] * 3)
