"""Combinations as rows of numbers, to be drawn, changed a little, and placed in the unit cube by the thousand. Pure.

A row has a number for each dimension: the place among its values, or from 0 to 1 where they are too many to list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackyard.tuning.space import Choice, Space

Array = NDArray[np.float64]

#: Values of a dimension that are listed.
MOST_LISTED = 2000
#: How far a change of a number that is not listed goes, one of these.
_STEPS = (0.3, 0.1, 0.03, 0.01)


class Candidates:
    """The rows of a space.

    Args:
        space: whose combinations they are.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._values: list[list[Any] | None] = []
        self._units: list[Array | None] = []
        self._free: list[bool] = []
        self._even: list[bool] = []
        #: Of each coordinate, its dimension, and whether that has several.
        self.groups: list[int] = []
        self.several: list[bool] = []
        for index, dimension in enumerate(space.dimensions):
            listed: list[Any] | None = None
            if isinstance(dimension, Choice):
                listed = list(dimension.placed)
            elif dimension.count is not None and dimension.count <= MOST_LISTED:
                listed = list(dimension.grid())
            self._values.append(listed)
            self._units.append(
                None if listed is None else np.array([dimension.unit(v) for v in listed], dtype=float)
            )
            #: Values without an order: any may follow any.
            self._free.append(isinstance(dimension, Choice) and not dimension.ordered)
            self._even.append(isinstance(dimension, Choice))
            self.groups += [index] * dimension.width
            self.several += [dimension.width > 1] * dimension.width

    def row(self, parameters: Mapping[str, Any]) -> Array:
        """The row of a combination."""
        found = []
        for dimension, units in zip(self._space.dimensions, self._units, strict=True):
            unit = dimension.unit(parameters[dimension.name])
            if units is None:
                found.append(unit[0])
            else:
                found.append(float(np.abs(units - np.asarray(unit)).sum(axis=1).argmin()))
        return np.array(found)

    def parameters(self, row: Array) -> dict[str, Any]:
        """The combination of a row."""
        found = {}
        for place, dimension, values in zip(row, self._space.dimensions, self._values, strict=True):
            found[dimension.name] = dimension.at(float(place)) if values is None else values[int(place)]
        return found

    def units(self, rows: Array) -> Array:
        """Points of the unit cube: (m, coordinates)."""
        parts = []
        for column, units in zip(rows.T, self._units, strict=True):
            parts.append(column[:, None] if units is None else units[column.astype(int)])
        return np.concatenate(parts, axis=1)

    def drawn(self, dice: np.random.Generator, count: int) -> Array:
        """Rows drawn evenly; numbers in a logarithm evenly there."""
        columns = []
        for units, even in zip(self._units, self._even, strict=True):
            places = dice.random(count)
            if units is None:
                columns.append(places)
            elif even:
                columns.append(np.floor(places * len(units)))
            else:  # a range's numbers, whose logarithm may be what is even
                columns.append(_nearest(units[:, 0], places))
        return np.column_stack(columns)

    def around(self, rows: Array, dice: np.random.Generator, count: int) -> Array:
        """``count`` rows, each one of ``rows`` with one dimension changed, or two."""
        found = rows[dice.integers(len(rows), size=count)].copy()
        self._change(found, np.arange(count), dice)
        self._change(found, np.flatnonzero(dice.random(count) < 0.4), dice)
        return found

    def _change(self, rows: Array, which: NDArray[np.int_], dice: np.random.Generator) -> None:
        dimensions = dice.integers(rows.shape[1], size=len(which))
        for dimension, (units, free) in enumerate(zip(self._units, self._free, strict=True)):
            own = which[dimensions == dimension]
            steps = np.array(_STEPS)[dice.integers(len(_STEPS), size=len(own))] * dice.normal(size=len(own))
            if units is None:
                rows[own, dimension] = np.clip(rows[own, dimension] + steps, 0.0, 1.0)
            elif free or units.shape[1] != 1:
                rows[own, dimension] = dice.integers(len(units), size=len(own))
            else:
                before = rows[own, dimension].astype(int)
                after = _nearest(units[:, 0], np.clip(units[before, 0] + steps, 0.0, 1.0)).astype(int)
                least = np.clip(before + np.where(steps < 0, -1, 1), 0, len(units) - 1)
                rows[own, dimension] = np.where(after == before, least, after)


def _nearest(ordered: Array, places: Array) -> Array:
    """Index of the nearest of ascending numbers."""
    if len(ordered) == 1:
        return np.zeros(len(places))
    middles = (ordered[1:] + ordered[:-1]) / 2
    return np.searchsorted(middles, places).astype(float)
