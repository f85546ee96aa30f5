"""A figure over points of the unit cube, known at a few of them: what it is elsewhere, and how sure that is. Pure.

The model is a Gaussian process: a line in every dimension, and what departs from it smoothly. Its bounds are not the
model's own, which hold only where the model is right, but those of the jackknife+ (Barber, Candès, Ramdas and
Tibshirani 2021), as done for Gaussian processes by Jaber and others (2024): every known value is predicted from the
others, and a new one is taken to lie as far off as those did, in units of the model's own doubt. That every value was
left out once costs nothing, as a Gaussian process has it in closed form. Lower bounds of values (what a trial had used
when it was stopped) are replaced by what is expected above them (Schmee and Hahn 1979).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, special, stats

from stackyard.tuning.prediction.one_thread import one_thread

#: Of cases in which the bounds hold the value.
LEVEL = 0.9
#: Known values without which nothing is said.
LEAST_VALUES = 4
#: Known values from which on the bounds rest on their ranks alone; with fewer, on Student's t as well.
RANKED_VALUES = 20
#: Known values that the model takes; of more the latest and a spread of the others.
MOST_VALUES = 160
#: The settings of the model are sought again whenever there are so many times more values.
_GROWTH = 1.3
#: Values from which on they are sought at all.
_LEAST_SOUGHT = 6
#: Of so many values and more, a new one waits until others come with it: one of forty changes little.
_FEW_NEW = 40
_ROUNDS_OF_BOUNDS = 4

#: A value was measured; is a lower bound of the true one; was itself predicted, so that its error says nothing.
SEEN, BOUND, ROUGH = "seen", "bound", "rough"

#: The settings were sought with the very values that are left out: the bounds are too narrow by a factor of about
#: 1 + this / values (found on public tables; docs/tuning.md says which).
_SETTINGS_COST = 4.5
#: Least of this factor: what remains of it with many values.
_LEAST_FACTOR = 1.1

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """What is known of a figure.

    Attributes:
        points: coordinates, one row a value, each from 0 to 1.
        groups: of each coordinate, the dimension that it belongs to.
        values: one a row.
        kinds: SEEN, BOUND or ROUGH, one a row.
    """

    points: tuple[tuple[float, ...], ...]
    groups: tuple[int, ...]
    values: tuple[float, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Guess:
    """A value, and bounds that hold it in LEVEL of cases."""

    value: float
    low: float
    high: float


def guess(known: Known, point: Sequence[float]) -> Guess | None:
    """The figure at a point.

    Args:
        known: its values elsewhere.
        point: coordinates of the unit cube.

    Returns:
        ``None``: fewer than LEAST_VALUES are known.
    """
    known = _without_few_new(known)
    if known.kinds.count(SEEN) < LEAST_VALUES:
        return None
    with one_thread():
        return _fitted(known).at(np.asarray(point, dtype=float))


def spread(known: Known) -> float:
    """How far off known values are, each predicted from the others: root of the mean square; infinite: unknown."""
    if known.kinds.count(SEEN) < LEAST_VALUES:
        return math.inf
    with one_thread():
        return _fitted(known).spread


def likelihood(known: Known, slopes: Sequence[float]) -> float:
    """How likely the values of ``guess`` are, each predicted from the others: the logarithm; minus infinity: unknown.

    Args:
        known: the values.
        slopes: one a value: where it was made of another, the logarithm of the derivative.
    """
    known = _without_few_new(known)
    if known.kinds.count(SEEN) < LEAST_VALUES:
        return -math.inf
    with one_thread():
        fit = _fitted(known)
    return fit.likelihood + sum(slopes[place] for place in fit.places)


class _Fit:
    """The model with its settings, and what it says of each value from the others."""

    def __init__(self, known: Known) -> None:
        kept = _kept(len(known.values))
        self._points = np.asarray(known.points, dtype=float)[kept]
        self._groups = known.groups
        values = np.asarray(known.values, dtype=float)[kept]
        kinds = np.asarray(known.kinds)[kept]
        bounds, self._seen = kinds == BOUND, np.flatnonzero(kinds == SEEN)
        if not len(self._seen):
            self._seen = np.flatnonzero(~bounds)
        seen = values[self._seen]
        self._middle = float(np.median(seen))
        self._scale = float(np.std(seen)) or 1.0
        y = (values - self._middle) / self._scale
        # settings of fewer values, which stay while the values grow a little
        self._theta = _settings(_first(known, _step(len(known.values))))
        kernel, _ = _Parts(self._points, self._points, self._groups).kernel(self._theta)
        n, noise = len(y), math.exp(self._theta[-1])
        self._inverse = linalg.cho_solve(linalg.cho_factor(kernel + noise * np.eye(n), lower=True), np.eye(n))
        self._diagonal = np.diag(self._inverse)
        if bounds.any():
            least = y
            # begun from what was seen alone: begun from the bounds, they would hold each other down
            y = np.where(bounds, np.maximum(least, _elsewhere(kernel, noise, y, bounds)), y)
            for _ in range(_ROUNDS_OF_BOUNDS):
                y = _above(y, least, bounds, self._inverse)
        self._alpha = self._inverse @ y
        self._scores = (np.abs(self._alpha) / np.sqrt(self._diagonal))[self._seen]
        errors = (self._alpha / self._diagonal)[self._seen]
        self.spread = self._scale * math.sqrt(float(np.mean(errors**2)))
        #: Which of the values were seen, and how likely those are.
        self.places = [int(place) for place in kept[self._seen]]
        doubts = np.log(self._diagonal[self._seen]) - self._scores**2
        self.likelihood = 0.5 * float(doubts.sum()) - len(doubts) * math.log(self._scale)

    def at(self, point: Array) -> Guess:
        across, own = _Parts(self._points, point[None, :], self._groups).kernel(self._theta, itself=True)
        weights = self._inverse @ across[:, 0]
        mean = float(across[:, 0] @ self._alpha)
        variance = max(own - float(across[:, 0] @ weights), 1e-12) + math.exp(self._theta[-1])
        seen, diagonal = self._seen, self._diagonal
        means = mean - weights[seen] * self._alpha[seen] / diagonal[seen]
        spreads = np.sqrt(variance + weights[seen] ** 2 / diagonal[seen]) * self._scores
        count = len(seen)
        if count < RANKED_VALUES:
            # so few ranks say little of the ends: as if the errors were normal, with their number
            half = (
                stats.t.ppf((1 + LEVEL) / 2, count - 1)
                * math.sqrt(float(np.mean(self._scores**2)) * (1 + 1 / count))
                * math.sqrt(variance)
            )
            low, high = mean - half, mean + half
        else:
            low = -_rank(-(means - spreads), LEVEL)
            high = _rank(means + spreads, LEVEL)
        factor = max(1 + _SETTINGS_COST / count, _LEAST_FACTOR) if len(self._points) >= _LEAST_SOUGHT else 1.0
        low, high = mean - factor * max(mean - low, 0.0), mean + factor * max(high - mean, 0.0)
        back = [self._middle + self._scale * x for x in (mean, low, high)]
        return Guess(*back)


@functools.lru_cache(maxsize=128)
def _fitted(known: Known) -> _Fit:
    return _Fit(known)


def _kept(count: int) -> NDArray[np.int_]:
    """Which values the model takes: the latest, and of those before an even spread."""
    if count <= MOST_VALUES:
        return np.arange(count)
    latest = MOST_VALUES // 2
    early = np.linspace(0, count - latest - 1, MOST_VALUES - latest).astype(int)
    return np.concatenate([early, np.arange(count - latest, count)])


def _step(count: int) -> int:
    """The greatest number of values, up to this, at which settings are sought."""
    step = LEAST_VALUES
    while (following := max(step + 1, int(step * _GROWTH))) <= count:
        step = following
    return step


def _first(known: Known, count: int) -> Known:
    return Known(known.points[:count], known.groups, known.values[:count], known.kinds[:count])


def _without_few_new(known: Known) -> Known:
    """All but the latest, where those are few beside the others."""
    count = len(known.values)
    return _first(known, count - count % (1 + count // _FEW_NEW))


def _rank(values: Array, level: float) -> float:
    """The value below which a further one lies with this probability: of rank level * (count + 1), between two."""
    ordered = np.sort(values)
    place = min(max(level * (len(ordered) + 1) - 1, 0.0), len(ordered) - 1.0)
    return float(np.interp(place, np.arange(len(ordered)), ordered))


def _elsewhere(kernel: Array, noise: float, y: Array, unknown: NDArray[np.bool_]) -> Array:
    """What the values would be, going by those that are known alone."""
    known = np.flatnonzero(~unknown)
    own = kernel[np.ix_(known, known)] + noise * np.eye(len(known))
    return kernel[:, known] @ linalg.solve(own, y[known], assume_a="pos")


def _above(y: Array, least: Array, bounds: NDArray[np.bool_], inverse: Array) -> Array:
    """Values with those that are bounds replaced by what is expected above them, given all others."""
    alpha, diagonal = inverse @ y, np.diag(inverse)
    mean, spread = y - alpha / diagonal, 1 / np.sqrt(diagonal)
    place = (least - mean) / spread
    # mean of a normal distribution cut off below: by logarithms, as both parts vanish far out
    excess = np.exp(-0.5 * place**2 - 0.5 * math.log(2 * math.pi) - special.log_ndtr(-place))
    return np.where(bounds, mean + spread * excess, y)


class _Parts:
    """What the kernel between two sets of points is made of, one part a dimension."""

    def __init__(self, left: Array, right: Array, groups: tuple[int, ...]) -> None:
        count = max(groups, default=-1) + 1
        self.squares = np.zeros((count, len(left), len(right)))
        self.products = np.zeros((count, len(left), len(right)))
        self._own = np.zeros(count)
        for coordinate, group in enumerate(groups):
            a, b = left[:, coordinate], right[:, coordinate]
            self.squares[group] += (a[:, None] - b[None, :]) ** 2
            self.products[group] += (a[:, None] - 0.5) * (b[None, :] - 0.5)
            self._own[group] += float((b[0] - 0.5) ** 2)

    def kernel(self, theta: Array, itself: bool = False) -> tuple[Array, Any]:
        """The kernel; and with ``itself`` that of the first right point with itself, else what gradients need.

        Args:
            theta: logarithms of the length of each dimension, the lines' part, the smooth part, and the noise.
            itself: see above.
        """
        count = len(self._own)
        weights = np.exp(-2 * theta[:count])
        lines, smooth = math.exp(theta[count]), math.exp(theta[count + 1])
        squared = np.tensordot(weights, self.squares, 1)
        root = np.sqrt(5 * squared)
        fall = np.exp(-root)
        line = np.tensordot(weights, self.products, 1)
        matern = (1 + root + 5 * squared / 3) * fall
        kernel = _CONSTANT + lines * line + smooth * matern
        if itself:
            return kernel, _CONSTANT + lines * float(weights @ self._own) + smooth
        return kernel, (weights, lines * line, smooth * matern, lines, -5 / 6 * smooth * (1 + root) * fall)


#: Variance of the level, in that of the values.
_CONSTANT = 4.0


@functools.lru_cache(maxsize=512)
def _settings(known: Known) -> Array:
    """The settings of the model under which the values are likeliest, with a mild opinion of them beforehand."""
    dimensions = max(known.groups, default=-1) + 1
    # lower bounds lie where a limit does, and would show a plain where the figure goes on rising
    kept = _kept(len(known.values))
    kept = kept[np.asarray(known.kinds)[kept] != BOUND]
    points = np.asarray(known.points, dtype=float).reshape(len(known.values), -1)[kept]
    values = np.asarray(known.values, dtype=float)[kept]
    wide = float(np.std(values)) if len(values) else 0.0
    y = (values - float(np.median(values))) / (wide or 1.0) if len(values) else values
    middle = np.array([math.log(1.5)] * dimensions + [math.log(1.0), math.log(0.3), math.log(0.02)])
    widths = np.array([1.0] * dimensions + [1.5, 1.5, 2.0])
    if len(y) < _LEAST_SOUGHT or wide == 0 or dimensions == 0:
        return middle
    parts = _Parts(points, points, known.groups)
    unit = np.eye(len(y))

    def cost(theta: Array) -> tuple[float, Array]:
        kernel, (weights, line, smooth, lines, slope) = parts.kernel(theta)
        noise = math.exp(theta[-1])
        try:
            factor = linalg.cho_factor(kernel + noise * unit, lower=True, check_finite=False)
        except linalg.LinAlgError:
            return 1e10, np.zeros_like(theta)
        alpha = linalg.cho_solve(factor, y, check_finite=False)
        off = (theta - middle) / widths
        value = 0.5 * float(y @ alpha) + float(np.log(np.diag(factor[0])).sum()) + 0.5 * float(off @ off)
        inverse = linalg.cho_solve(factor, unit, check_finite=False)
        half = 0.5 * (inverse - np.outer(alpha, alpha))
        lengths = (
            -2
            * weights
            * (np.tensordot(parts.squares, half * slope, 2) + lines * np.tensordot(parts.products, half, 2))
        )
        rest = [float((half * line).sum()), float((half * smooth).sum()), noise * float(np.trace(half))]
        return value, np.concatenate([lengths, rest]) + off / widths

    limits = [(-4.0, 5.0)] * dimensions + [(-9.0, 5.0)] * 2 + [(-14.0, 2.0)]
    found = optimize.minimize(
        cost, middle, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": 40}
    )
    return np.asarray(found.x, dtype=float)
