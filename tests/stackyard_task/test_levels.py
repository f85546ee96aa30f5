"""An alarm for what leaves its level and stays away; none for scatter, spikes, start-up, or a run without steps."""

from __future__ import annotations

import random
from typing import Any, Callable, Dict, List, Optional

import pytest

from stackyard_task.levels import alarms

MB = 1_000_000


def course(
    rss: Callable[[int], float],
    points: int = 400,
    cpu: Callable[[int], float] = lambda n: 100.0,
    steady: Optional[float] = 5.0,
    finish: Optional[float] = None,
) -> Dict[str, Any]:
    """A timeline of ten points a second."""
    phases: List[Dict[str, Any]] = [{"name": "startup", "at_seconds": 0.0}]
    phases += [] if steady is None else [{"name": "steady", "at_seconds": steady}]
    phases += [] if finish is None else [{"name": "finish", "at_seconds": finish}]
    return {
        "t_seconds": [n / 10 for n in range(points)],
        "rss_bytes": [rss(n) for n in range(points)],
        "cpu_percent_of_core": [cpu(n) for n in range(points)],
        "phases": phases,
    }


def test_memory_that_grows_and_stays_is_an_alarm_at_the_time_when_it_left() -> None:
    (alarm,) = alarms(course(lambda n: (500 if n < 250 else 900) * MB), [], None)
    assert (alarm.metric, alarm.level, alarm.seen) == ("rss_bytes", 500 * MB, 900 * MB)
    assert alarm.at_seconds == pytest.approx(25, abs=1)
    assert alarm.message == (
        "RAM left its level 25 s after the start: 900 MB at first, above the 500 MB of its first steps"
    )


def test_a_leak_is_an_alarm_and_so_is_use_that_falls() -> None:
    assert alarms(course(lambda n: (500 + n * 3) * MB), [], None)
    (fell,) = alarms(course(lambda n: 500 * MB, cpu=lambda n: 200.0 if n < 250 else 30.0), [], None)
    assert (fell.metric, "below" in fell.message) == ("cpu_percent_of_core", True)


def test_step_times_are_judged_without_phases() -> None:
    steps = [(n / 2, 0.1 if n < 40 else 0.2) for n in range(80)]
    (alarm,) = alarms(course(lambda n: 500 * MB, steady=None), steps, 0.5)
    assert (alarm.metric, alarm.unit, alarm.at_seconds) == ("step_seconds", "seconds", 20.0)
    assert "200 ms at first, above the 100 ms" in alarm.message


@pytest.mark.parametrize(
    "rss",
    [
        lambda n: 500 * MB * (3 if n in (200, 201, 202, 300) else 1),  # spikes
        lambda n: 500 * MB * (1 if n < 250 else 1.1),  # a small shift
        lambda n: (5_000 if n < 45 else 500) * MB,  # loading
        lambda n: 500 * MB * (2 if 200 <= n < 212 else 1),  # a second or so, and back again
    ],
)
def test_what_comes_and_goes_is_none(rss: Callable[[int], float]) -> None:
    assert alarms(course(rss), [], None) == []


def test_the_end_of_the_steps_is_none() -> None:
    assert alarms(course(lambda n: (500 if n < 300 else 5_000) * MB, finish=30.0), [], None) == []


def test_a_run_without_steps_is_not_judged_and_neither_is_a_short_one() -> None:
    assert alarms(course(lambda n: n * MB, steady=None), [], None) == []
    assert alarms(course(lambda n: (500 if n < 70 else 5_000) * MB, points=90), [], None) == []
    assert alarms({}, [], None) == []


def test_scatter_of_any_size_is_none() -> None:
    dice = random.Random(5)
    for _ in range(60):
        spread = dice.choice((0.01, 0.05, 0.3))
        values = [500 * MB * max(0.1, dice.gauss(1, spread)) for _ in range(400)]
        use = [max(0.0, dice.gauss(100, 100 * spread)) for _ in range(400)]
        assert alarms(course(values.__getitem__, cpu=use.__getitem__), [], None) == []
