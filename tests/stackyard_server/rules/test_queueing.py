"""The depth and the waits of queues over time, from what came and went."""

from __future__ import annotations

from stackyard_server.rules.queueing import Change, Depth, depth_series


def came(queue: str, at: int, *added: int) -> Change:
    depth = Depth(len(added), sum(added))
    return Change(queue, at, depth, depth)


def went(queue: str, at: int, taken: int, *added: int) -> Change:
    before = Depth(len(added) + 1, sum(added) + taken)
    return Change(queue, at, before, Depth(len(added), sum(added)))


def test_an_interval_shows_its_deepest_moment() -> None:
    changes = [came("a", 1000, 1000), came("a", 2000, 1000, 2000), went("a", 4000, 1000, 2000)]
    assert depth_series(changes, 0, 10_000) == {
        "dates": [0],
        "queue_lengths": [2],
        "avg_waiting_times": [(3.0 + 2.0) / 2],
    }


def test_queues_in_which_nothing_changed_keep_their_depth() -> None:
    changes = [came("a", 1000, 1000), came("b", 11_000, 11_000), went("b", 21_000, 11_000)]
    series = depth_series(changes, 0, 10_000)
    assert series["dates"] == [0, 10_000, 20_000]
    assert series["queue_lengths"] == [1, 2, 2]
    assert series["avg_waiting_times"] == [0.0, 5.0, 15.0]


def test_earlier_changes_only_tell_how_deep_it_was() -> None:
    changes = [came("a", 1000, 1000), came("b", 11_000, 11_000)]
    series = depth_series(changes, 10_000, 10_000)
    assert (series["dates"], series["queue_lengths"]) == ([10_000], [2])


def test_nothing_changed() -> None:
    assert depth_series([], 0, 1000)["dates"] == []
