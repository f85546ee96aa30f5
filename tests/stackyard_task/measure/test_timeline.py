"""The course of a run as it is kept."""

from __future__ import annotations

from stackyard_task.measure.timeline import CAPACITY, Timeline


def test_a_long_run_stays_small_and_keeps_its_peak() -> None:
    timeline = Timeline(0.1)
    for index in range(50_000):
        timeline.add(index * 0.1, 50.0, 900 if index == 12_345 else 100)
    found = timeline.to_json([])
    assert len(found["t_seconds"]) < CAPACITY
    assert max(found["rss_bytes"]) == 900
    assert set(found["cpu_percent_of_core"]) == {50.0}
    assert found["interval_seconds"] >= 6.4
    assert found["t_seconds"][-1] == 4999.9


def test_close_samples_merge_and_the_unknown_stays_unknown() -> None:
    timeline = Timeline(0.1, [0])
    timeline.add(0.0, None, None, [[5, None]])
    timeline.add(0.01, 20.0, 70, [[9, 30.0]])
    timeline.add(0.2, None, None, [[None, None]])
    found = timeline.to_json([{"name": "startup", "at_seconds": 0.0}])
    assert found["rss_bytes"] == [70, None]
    assert found["cpu_percent_of_core"] == [20.0, None]
    assert found["gpus"] == [{"index": 0, "memory_bytes": [9, None], "utilisation_percent": [30.0, None]}]
