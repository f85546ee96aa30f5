"""The surrogate knows what it was told, and doubts what it was not."""

from __future__ import annotations

import numpy as np

from stackyard.tuning.samplers.surrogate import Surrogate, settings


def test_it_follows_a_smooth_figure_and_ignores_a_dimension_that_has_no_part_in_it() -> None:
    dice = np.random.default_rng(1)
    points = dice.random((40, 2))
    values = np.sin(5 * points[:, 0])
    theta = settings(points, [0, 1], values / values.std(), [False, False])
    assert theta[1] > theta[0] + 1
    model = Surrogate(points, [0, 1], values, theta, [False, False])
    further = dice.random((100, 2))
    mean, doubt = model.at(further)
    assert np.abs(mean - np.sin(5 * further[:, 0])).max() < 0.15
    assert model.at(points)[1].max() < 0.1
    assert model.at(np.array([[3.0, 0.5]]))[1][0] > 3 * doubt.max()


def test_values_that_are_all_the_same_or_few_do_no_harm() -> None:
    points = np.array([[0.0], [0.5], [1.0]])
    theta = settings(points, [0], np.zeros(3), [True])
    mean, doubt = Surrogate(points, [0], np.full(3, 7.0), theta, [True]).at(points)
    assert np.allclose(mean, 7.0)
    assert (doubt > 0).all()
