from __future__ import annotations

import pytest

from stackyard_detector.simulation.dice import Dice

pytestmark = pytest.mark.python


def test_weighted_draws_in_proportion_and_never_what_has_no_weight():
    dice = Dice(1)
    drawn = [dice.weighted((("a", 3.0), ("never", 0.0), ("b", 1.0))) for _ in range(4000)]
    assert "never" not in drawn
    assert 0.72 < drawn.count("a") / len(drawn) < 0.78


def test_a_seed_gives_the_same_draws_everywhere():
    dice = Dice(7)
    assert [dice.number(1, 100) for _ in range(5)] == [33, 16, 66, 8, 54]
    assert dice.seconds(10.0) == 4.237
    assert 2.0 <= dice.between(2.0, 3.0) < 3.0
