"""What the step times of a run amount to, as they come."""

from __future__ import annotations

from typing import Callable, Optional

import pytest

from stackyard_task.pace import Pace


def paced(seconds: Callable[[int], float], loss: Callable[[int], Optional[float]], steps: int = 400) -> Pace:
    pace, at = Pace(), 0.0
    for step in range(steps):
        at += seconds(step)
        pace.add(seconds(step), at, at, loss(step))
    return pace


def test_the_first_steps_are_not_judged() -> None:
    pace = Pace()
    for number, seconds in enumerate((30.0, 30.0, 0.1, 0.1)):
        pace.add(seconds, float(number))
    assert pace.last_seconds() is None
    pace.add(0.1, 5.0)
    assert pace.last_seconds() == pytest.approx(0.1)
    times = pace.times()
    assert times is not None
    assert times.count == 5


def test_the_mean_is_that_of_the_last_steps() -> None:
    pace = paced(lambda step: 0.1 if step < 390 else 1.0, lambda step: None)
    assert pace.last_seconds() == pytest.approx(1.0)


def test_steps_that_grow_while_the_loss_falls_no_faster_are_slowing() -> None:
    pace = paced(lambda step: 0.1 if step < 200 else 0.3, lambda step: 1 / (step + 1))
    assert pace.slowing() == pytest.approx(3.0)


def test_growth_that_pays_is_none() -> None:
    pace = paced(
        lambda step: 0.1 if step < 200 else 0.3, lambda step: 10.0 - 0.001 * step - 0.1 * max(0, step - 200)
    )
    assert pace.slowing() == 1.0


def test_steps_at_one_level_do_not_slow() -> None:
    pace = paced(lambda step: 0.1 + 0.02 * (step % 3), lambda step: 1 / (step + 1))
    assert pace.slowing() == pytest.approx(1.0, abs=0.1)


def test_one_disturbance_is_no_growth() -> None:
    pace = paced(lambda step: 1.0 if 200 <= step < 222 else 0.1, lambda step: 1 / (step + 1), steps=224)
    growth = pace.slowing()
    assert growth is not None
    assert growth < 2


def test_without_a_loss_nobody_knows() -> None:
    pace = paced(lambda step: 0.1 if step < 200 else 0.3, lambda step: None)
    assert (pace.slowing(), pace.has_loss) == (None, False)
