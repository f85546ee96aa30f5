"""Which trial begins next: never more than the machine bears, and always one."""

from __future__ import annotations

from stackyard.tuning.packing import Machine
from stackyard.tuning.room import Room
from stackyard.tuning.trial import Interval, Trial

GB = 1e9


def planned(number: int, predicted_gb: float | None = None) -> Trial:
    trial = Trial(number, {})
    if predicted_gb is not None:
        trial.predicted["ram_bytes"] = Interval(
            predicted_gb * GB, 0.9 * predicted_gb * GB, 1.1 * predicted_gb * GB
        )
    return trial


def begun(room: Room, waiting: list[Trial]) -> list[int]:
    """Numbers of the trials that begin beside each other."""
    running: list[Trial] = []
    while (chosen := room.next(waiting, running)) is not None:
        waiting.remove(chosen)
        running.append(chosen)
    return [trial.number for trial in running]


def test_one_at_a_time_where_nothing_is_said() -> None:
    assert begun(Room(1, Machine(8, 8 * GB), {}, 1.0), [planned(0, 1), planned(1, 1)]) == [0]


def test_as_many_as_cores_allow() -> None:
    assert begun(Room(None, Machine(2, 8 * GB), {}, 1.0), [planned(i, 1) for i in range(4)]) == [0, 1]


def test_a_small_trial_passes_one_that_does_not_fit() -> None:
    assert begun(Room(None, Machine(8, 8 * GB), {}, 1.0), [planned(0, 5), planned(1, 5), planned(2, 1)]) == [
        0,
        2,
    ]


def test_of_what_nothing_is_known_the_limit_is_reserved_and_without_one_the_machine() -> None:
    unknown = [planned(0), planned(1), planned(2)]
    assert begun(Room(None, Machine(8, 8 * GB), {"ram_bytes": 4 * GB}, 1.0), list(unknown)) == [0, 1]
    assert begun(Room(None, Machine(8, 8 * GB), {}, 1.0), list(unknown)) == [0]


def test_what_needs_more_than_there_is_runs_alone() -> None:
    assert begun(Room(None, Machine(2, 1 * GB), {}, 16.0), [planned(0, 50), planned(1, 1)]) == [0]


def test_elsewhere_the_number_decides() -> None:
    assert begun(Room(3, None, {}, 1.0), [planned(i) for i in range(5)]) == [0, 1, 2]
    assert begun(Room(None, None, {}, 1.0), [planned(i) for i in range(5)]) == [0]


def test_trials_on_gpus_get_one_each() -> None:
    room = Room(
        None, Machine(8, 64 * GB, (10 * GB, 10 * GB)), {"ram_bytes": GB, "gpu_memory_bytes": 8 * GB}, 1.0
    )
    waiting = [planned(i) for i in range(3)]
    trials = list(waiting)
    assert begun(room, waiting) == [0, 1]
    assert {room.gpu_of(trial) for trial in trials[:2]} == {0, 1}


def test_data_that_lie_in_memory_once_are_counted_once() -> None:
    def trial(number: int) -> Trial:
        found = planned(number, 3)
        found.predicted["ram_minus_shared_bytes"] = Interval(1 * GB, 0.9 * GB, 1.1 * GB)
        return found

    machine = Machine(8, 6 * GB)
    assert begun(Room(None, machine, {}, 1.0), [trial(i) for i in range(9)]) == [0]
    once = Room(None, machine, {}, 1.0, shared_bytes=lambda: int(2 * GB))
    assert begun(once, [trial(i) for i in range(9)]) == [0, 1, 2]
