"""A figure over the unit cube, learned from a few trials: mean and doubt anywhere. Pure.

A Gaussian process with a line and a Matérn-5/2 part, and a length for each dimension (Rasmussen and Williams 2006,
chapters 4 and 5); its settings are the likeliest under a mild opinion of them (Snoek, Larochelle and Adams 2012 show
how much they matter). Built to be asked hundreds of times a study: few settings, gradients in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

Array = NDArray[np.float64]

#: Variance of the level, in that of the values.
_LEVEL = 1.0
#: What is held of the settings beforehand: logarithms of a dimension's length, the lines' part, the smooth part, noise.
_MIDDLE_LENGTH, _MIDDLE_REST = math.log(1.0), (math.log(0.3), math.log(0.7), math.log(0.02))
_WIDTH_LENGTH, _WIDTH_REST = 1.0, (1.5, 1.0, 2.5)
_MOST_STEPS = 25


def settings(points: Array, groups: Sequence[int], values: Array, lines: Sequence[bool]) -> Array:
    """The likeliest settings: logarithms of the lengths, one a dimension, then of lines, smooth part and noise.

    Args:
        points: (n, coordinates).
        groups: of each coordinate, the dimension it belongs to.
        values: (n,), of mean 0 and deviation 1 or thereabouts.
        lines: of each coordinate, whether the figure has a line in it.
    """
    dimensions = max(groups, default=-1) + 1
    middle = np.array([_MIDDLE_LENGTH] * dimensions + list(_MIDDLE_REST))
    widths = np.array([_WIDTH_LENGTH] * dimensions + list(_WIDTH_REST))
    limits = [(-3.0, 4.0)] * dimensions + [(-9.0, 4.0), (-5.0, 4.0), (-12.0, 1.0)]
    if not any(lines):
        middle[dimensions] = -15.0
        limits[dimensions] = (-15.0, -15.0)
    if len(values) < dimensions / 2 + 2 or float(np.std(values)) == 0.0:
        return middle
    squares = np.zeros((dimensions, len(points), len(points)))
    products = np.zeros_like(squares)
    for coordinate, group in enumerate(groups):
        column = points[:, coordinate]
        squares[group] += (column[:, None] - column[None, :]) ** 2
        if lines[coordinate]:
            products[group] += (column[:, None] - 0.5) * (column[None, :] - 0.5)
    flat_squares, flat_products = squares.reshape(dimensions, -1), products.reshape(dimensions, -1)
    unit, n = np.eye(len(values)), len(values)

    def cost(theta: Array) -> tuple[float, Any]:
        weights = np.exp(-2 * theta[:dimensions])
        linear, smooth, noise = np.exp(theta[dimensions:])
        squared = (weights @ flat_squares).reshape(n, n)
        root = np.sqrt(5 * squared)
        fall = np.exp(-root)
        line = linear * (weights @ flat_products).reshape(n, n)
        matern = smooth * (1 + root + 5 / 3 * squared) * fall
        try:
            factor = linalg.cholesky(_LEVEL + line + matern + noise * unit, lower=True, check_finite=False)
        except linalg.LinAlgError:
            return 1e10, np.zeros_like(theta)
        inverse = linalg.lapack.dpotri(factor, lower=1)[0]
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        alpha = inverse @ values
        off = (theta - middle) / widths
        value = 0.5 * float(values @ alpha) + float(np.log(np.diag(factor)).sum()) + 0.5 * float(off @ off)
        half = 0.5 * (inverse - np.outer(alpha, alpha))
        slope = (half * (-5 / 6 * smooth * (1 + root) * fall)).ravel()
        lengths = -2 * weights * (flat_squares @ slope + linear * (flat_products @ half.ravel()))
        rest = [float((half * line).sum()), float((half * matern).sum()), noise * float(np.trace(half))]
        return value, np.concatenate([lengths, rest]) + off / widths

    options = {"maxiter": _MOST_STEPS, "ftol": 1e-4}
    found = optimize.minimize(cost, middle, jac=True, method="L-BFGS-B", bounds=limits, options=options)
    return np.asarray(found.x, dtype=float)


class Surrogate:
    """The figure, given values at points and settings.

    Args:
        points: (n, coordinates).
        groups: of each coordinate, the dimension it belongs to.
        values: (n,).
        theta: ``settings`` of these or of fewer values.
        lines: as ``settings`` was given them.
        roughness: (n,) what is added to the noise's variance of each value; ``None``: nothing.
    """

    def __init__(
        self,
        points: Array,
        groups: Sequence[int],
        values: Array,
        theta: Array,
        lines: Sequence[bool],
        roughness: Array | None = None,
    ) -> None:
        dimensions = len(theta) - 3
        self._scale = np.exp(-theta[:dimensions])[list(groups)] if dimensions else np.ones(0)
        self._lined = np.asarray(lines, dtype=float)
        self._linear, self._smooth, self.noise = (float(x) for x in np.exp(theta[dimensions:]))
        self._points = points * self._scale
        self._middle = 0.5 * self._scale
        self.middle, self.spread = float(np.mean(values)), float(np.std(values)) or 1.0
        kernel = self._kernel(self._points)
        kernel[np.diag_indices_from(kernel)] += self.noise + (0.0 if roughness is None else roughness) + 1e-8
        self._factor = linalg.cholesky(kernel, lower=True, check_finite=False)
        self._alpha = linalg.cho_solve((self._factor, True), (values - self.middle) / self.spread)

    def at(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the figure itself, without noise, at (m, coordinates)."""
        scaled = points * self._scale
        across = self._kernel(scaled)
        mean = across @ self._alpha
        half = linalg.solve_triangular(self._factor, across.T, lower=True, check_finite=False)
        own = (
            _LEVEL + self._smooth + self._linear * (((scaled - self._middle) * self._lined) ** 2).sum(axis=1)
        )
        variance = np.maximum(own - np.einsum("ij,ij->j", half, half), 1e-12)
        return self.middle + self.spread * mean, self.spread * np.sqrt(variance)

    def _kernel(self, scaled: Array) -> Array:
        # in place: these are the largest arrays of all, and the time goes into them
        root = scaled @ (-10.0 * self._points.T)
        root += 5.0 * (scaled**2).sum(axis=1)[:, None]
        root += 5.0 * (self._points**2).sum(axis=1)[None, :]
        np.maximum(root, 0.0, out=root)
        kernel = root / 3.0
        np.sqrt(root, out=root)
        kernel += root
        kernel += 1.0
        np.negative(root, out=root)
        np.exp(root, out=root)
        kernel *= root
        kernel *= self._smooth
        kernel += _LEVEL
        if self._lined.any():
            kernel += self._linear * (
                ((scaled - self._middle) * self._lined) @ (self._points - self._middle).T
            )
        return np.asarray(kernel, dtype=float)
