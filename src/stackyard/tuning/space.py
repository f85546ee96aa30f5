"""The space of a study: its dimensions, their values, and parameters as points of a unit cube. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

#: A value of a parameter: what JSON and TOML have as one.
Value = bool | int | float | str

#: Combinations that a grid may have.
MOST_COMBINATIONS = 1_000_000


@dataclass(frozen=True)
class Choice:
    """One of the listed values."""

    name: str
    values: tuple[Value, ...]

    @property
    def ordered(self) -> bool:
        """Whether the values are numbers, which lie on a line."""
        return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in self.values)

    @property
    def count(self) -> int | None:
        """Values that there are."""
        return len(self.values)

    @property
    def placed(self) -> tuple[Value, ...]:
        """The values, numbers by their size."""
        return tuple(sorted(self.values)) if self.ordered else self.values

    def place(self, value: Any) -> int:
        """Where a value stands among ``placed``.

        Raises:
            ValueError: it is none of them.
        """
        for index, other in enumerate(self.placed):
            if value == other and isinstance(value, bool) == isinstance(other, bool):
                return index
        raise ValueError(value)

    @property
    def width(self) -> int:
        """Coordinates of the unit cube that it takes: one where ordered, else one a value."""
        return 1 if self.ordered or len(self.values) == 1 else len(self.values)

    def grid(self) -> Sequence[Value]:
        """Every value."""
        return self.values

    def at(self, place: float) -> Value:
        """The value at a place from 0 to 1."""
        return self.placed[min(len(self.values) - 1, int(place * len(self.values)))]

    def unit(self, value: Any) -> tuple[float, ...]:
        """Where a value lies: its rank among numbers, else one-hot."""
        if len(self.values) == 1:
            return (0.0,)
        place = self.place(value)
        if self.ordered:
            return (place / (len(self.values) - 1),)
        return tuple(1.0 if index == place else 0.0 for index in range(len(self.values)))

    def holds(self, value: Any) -> bool:
        """Whether it is one of the values."""
        return any(value == v and isinstance(value, bool) == isinstance(v, bool) for v in self.values)


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included."""

    name: str
    low: float
    high: float
    #: Whole numbers only.
    whole: bool = False
    #: Equally spaced in the logarithm.
    log: bool = False
    #: Distance of the values from ``low`` up; ``None``: every number of the kind.
    step: float | None = None

    @property
    def count(self) -> int | None:
        """Values that there are; ``None``: not countable."""
        if self.step is not None:
            return math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return int(self.high) - int(self.low) + 1 if self.whole else None

    @property
    def width(self) -> int:
        """Coordinates of the unit cube that it takes."""
        return 1

    def grid(self) -> Sequence[Value]:
        """Every value.

        Raises:
            ValueError: they cannot be counted.
        """
        if self.count is None:
            raise ValueError(self.name)
        step = self.step or 1
        found = [self.low + step * i for i in range(self.count)]
        return [round(v) for v in found] if self.whole else [self._written(v) for v in found]

    def unit(self, value: Any) -> tuple[float, ...]:
        """Where a value lies between the ends."""
        if self.high == self.low:
            return (0.0,)
        if self.log:
            return ((math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low)),)
        return ((value - self.low) / (self.high - self.low),)

    def at(self, place: float) -> Value:
        """The value at a place from 0 to 1, the nearest that there is."""
        if self.log:
            found = math.exp(math.log(self.low) + place * (math.log(self.high) - math.log(self.low)))
        else:
            found = self.low + place * (self.high - self.low)
        if self.step is not None:
            found = self._written(self.low + self.step * round((found - self.low) / self.step))
        found = min(max(found, self.low), self.high)
        return round(found) if self.whole else found

    def _written(self, value: float) -> float:
        """A value of steps with the decimals of ``low`` and ``step``: 0.3, not 0.30000000000000004."""
        places = [Decimal(repr(number)).as_tuple().exponent for number in (self.low, self.step or 0)]
        return round(value, max(-int(place) for place in places))

    def holds(self, value: Any) -> bool:
        """Whether it is one of the values."""
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not self.low <= value <= self.high
        ):
            return False
        if self.whole and value != int(value):
            return False
        return (
            self.step is None
            or abs(round((value - self.low) / self.step) * self.step - (value - self.low)) < 1e-9
        )


Dimension = Choice | Range


@dataclass(frozen=True)
class Space:
    """The dimensions of a search, each a parameter of the workload."""

    dimensions: tuple[Dimension, ...]
    _by_name: dict[str, Dimension] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {d.name: d for d in self.dimensions})

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters, in the file's order."""
        return tuple(self._by_name)

    @property
    def count(self) -> int | None:
        """Combinations that there are; ``None``: not countable."""
        product = 1
        for dimension in self.dimensions:
            if dimension.count is None:
                return None
            product *= dimension.count
        return product

    def unit(self, parameters: Mapping[str, Any]) -> tuple[float, ...]:
        """Parameters as a point of the unit cube; unordered choices take a coordinate a value."""
        return tuple(x for d in self.dimensions for x in d.unit(parameters[d.name]))

    def holds(self, parameters: Mapping[str, Any]) -> bool:
        """Whether parameters are one of the combinations."""
        return set(parameters) == set(self._by_name) and all(
            d.holds(parameters[d.name]) for d in self.dimensions
        )

    def key(self, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
        """What equal parameters have in common."""
        return tuple((type(parameters[d.name]) is bool, parameters[d.name]) for d in self.dimensions)
