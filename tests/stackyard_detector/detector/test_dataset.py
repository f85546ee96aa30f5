"""Sessions in memory and who trains and who validates."""

from __future__ import annotations

import numpy as np
import pytest

from stackyard_detector.detector.dataset import collect, split
from stackyard_detector.sessions import Session
from stackyard_task.channel import BadInput


def sessions(count=10, **changed):
    return [Session(f"s{i}", ["a", "b", "c"][: 1 + i % 3], 0, 100.0 - i, **changed) for i in range(count)]


def listed(packed):
    return [packed.values[packed.offsets[i] : packed.offsets[i + 1]].tolist() for i in range(len(packed))]


def test_sessions_are_kept_as_numbers_and_encoded_with_a_vocabulary():
    dataset = collect([Session("x", ["b", "a"]), Session("y", []), Session("z", ["c", "b"])])
    vocabulary = dataset.vocabulary(np.array([0, 1]))
    assert vocabulary.events == ["a", "b"]
    assert listed(dataset.encoded(vocabulary)) == [[1, 0], [], [vocabulary.unknown, 1]]
    assert listed(dataset.encoded(vocabulary, np.array([2, 0]))) == [[2, 1], [1, 0]]
    assert dataset.keys == ["x", "y", "z"]


def test_a_split_by_session_is_seeded_and_covers_every_benign_session_once():
    given = collect([*sessions(20), Session("bad", ["a"], 1, 0.0)])
    training, validation = split(given, 0.25, "session", seed=3)
    assert sorted([*training, *validation]) == list(range(20))
    assert len(validation) == 5
    again = split(given, 0.25, "session", seed=3)
    assert np.array_equal(validation, again[1])
    assert not np.array_equal(validation, split(given, 0.25, "session", seed=4)[1])


def test_a_split_by_time_validates_with_the_last_to_start():
    training, validation = split(collect(sessions(10)), 0.2, "time", seed=0)
    assert validation.tolist() == [0, 1]
    assert training.tolist() == list(range(2, 10))


def test_a_split_by_time_needs_times():
    without = collect([Session("a", ["x"]), Session("b", ["x"], started_at=1.0)])
    with pytest.raises(BadInput, match="1 of 2 sessions have no time"):
        split(without, 0.5, "time", seed=0)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_benign_sessions_are_refused(count):
    given = collect([*sessions(count), Session("bad", ["a"], 1)])
    with pytest.raises(BadInput, match="at least 2"):
        split(given, 0.2, "session", seed=0)


def test_each_part_keeps_at_least_one_session():
    for share in (0.001, 0.999):
        training, validation = split(collect(sessions(3)), share, "session", seed=0)
        assert len(training) >= 1
        assert len(validation) >= 1
