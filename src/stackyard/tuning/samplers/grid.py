"""Every combination of a countable space, in the order of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.tuning.samplers import Question
from stackyard.tuning.trial import Trial


class GridSampler:
    """Walks through every combination once, the last dimension fastest."""

    def __init__(self, question: Question) -> None:
        self._space = question.space

    def ask(self, trials: Sequence[Trial]) -> Mapping[str, Any] | None:
        """The first combination that no trial has."""
        had = {self._space.key(trial.parameters) for trial in trials}
        count = self._space.count
        assert count is not None, "the reader of study files refuses a grid over what cannot be counted"
        grids = [dimension.grid() for dimension in self._space.dimensions]
        for index in range(len(trials) if len(had) == len(trials) else 0, count):
            parameters = self._combination(grids, index)
            if self._space.key(parameters) not in had:
                return parameters
        return self._first_left(grids, count, had)

    def _first_left(
        self, grids: Sequence[Sequence[Any]], count: int, had: set[Any]
    ) -> Mapping[str, Any] | None:
        if len(had) >= count:
            return None
        for index in range(count):
            parameters = self._combination(grids, index)
            if self._space.key(parameters) not in had:
                return parameters
        return None

    def _combination(self, grids: Sequence[Sequence[Any]], index: int) -> dict[str, Any]:
        found = {}
        for dimension, values in zip(reversed(self._space.dimensions), reversed(grids), strict=True):
            index, place = divmod(index, len(values))
            found[dimension.name] = values[place]
        return {name: found[name] for name in self._space.names}
