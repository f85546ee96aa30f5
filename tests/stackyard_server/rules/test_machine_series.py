"""What machines measured, by interval and device."""

from __future__ import annotations

from stackyard_server.rules import machine_series
from stackyard_server.rules.machine_series import Series


def test_intervals_are_whole_multiples_and_end_before_the_last() -> None:
    assert list(machine_series.starts(1_795_293_467_989, 1_795_293_827_989, 60_000)) == [
        1795293420000, 1795293480000, 1795293540000, 1795293600000, 1795293660000, 1795293720000,
    ]  # fmt: skip


def test_devices_apart_and_together() -> None:
    series = Series(machine_series.starts(0, 30, 10))
    series.add(11, [50.0, 60.0])
    series.add(12, [70.0, 80.0])
    assert series.devices == ["0", "1"]
    assert series.values("avg") == [0.0, 65.0, 0.0]
    assert series.values("max", "0") == [0.0, 70.0, 0.0]
    assert series.values("min", "1") == [0.0, 60.0, 0.0]


def test_what_was_measured_by_category_the_most_measured_first() -> None:
    measured = [{"cpu_usage": [10.0], "gpu_usage": [1.0, 2.0], "disk_read": 0.0, "memory_used": 5}]
    assert machine_series.categories(measured) == [
        {"name": "gpu", "metric_keys": ["gpu_usage"]},
        {"name": "cpu", "metric_keys": ["cpu_usage"]},
        {"name": "memory", "metric_keys": ["memory_used"]},
    ]


def test_a_worker_counts_once_an_interval_and_users_apart() -> None:
    seen = [(1, "u", "w", True), (2, "u", "w", False), (3, "v", "w", False), (11, "u", "w", False)]
    found = machine_series.busy_counts(seen, range(0, 20, 10))
    assert found["total"]["counts"] == [2, 1]
    assert found["active"]["counts"] == [1, 0]
