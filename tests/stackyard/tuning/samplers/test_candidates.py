"""Rows stand for combinations: there and back, drawn and changed inside the space."""

from __future__ import annotations

import numpy as np
import pytest

from stackyard.tuning.samplers.candidates import Candidates
from stackyard.tuning.space import Choice, Range, Space

SPACE = Space(
    (
        Range("x", 0.1, 2.0),
        Range("n", 1, 64, whole=True, log=True),
        Choice("k", ("a", "b", "c")),
        Choice("b", (8, 2)),
    )
)


def test_rows_drawn_and_changed_are_combinations_and_come_back() -> None:
    candidates, dice = Candidates(SPACE), np.random.default_rng(1)
    rows = candidates.drawn(dice, 50)
    for row in np.concatenate([rows, candidates.around(rows, dice, 50)]):
        parameters = candidates.parameters(row)
        assert SPACE.holds(parameters)
        back = candidates.parameters(candidates.row(parameters))
        assert back == {**parameters, "x": pytest.approx(parameters["x"])}
        assert np.allclose(candidates.units(row[None, :])[0], SPACE.unit(parameters))


def test_numbers_of_a_logarithm_are_drawn_evenly_there() -> None:
    candidates = Candidates(SPACE)
    numbers = [candidates.parameters(row)["n"] for row in candidates.drawn(np.random.default_rng(1), 400)]
    assert 0.4 < np.mean(np.array(numbers) <= 8) < 0.6
