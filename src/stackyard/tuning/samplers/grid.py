"""Every combination of a countable space, in the order of the file."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.tuning.samplers import Question
from stackyard.tuning.space import Space
from stackyard.tuning.trial import Trial

#: A space of more combinations is not gone through.
MOST_COUNTED = 100_000


class GridSampler:
    """Walks through every combination once, the last dimension fastest."""

    def __init__(self, question: Question) -> None:
        self._space = question.space

    def ask(self, trials: Sequence[Trial]) -> Mapping[str, Any] | None:
        """The first combination that no trial has."""
        had = {self._space.key(trial.parameters) for trial in trials}
        assert self._space.count is not None, (
            "the reader of study files refuses a grid over what cannot be counted"
        )
        return _first_left(self._space, had, len(trials) if len(had) == len(trials) else 0)


def first_left(space: Space, had: set[Any]) -> Mapping[str, Any] | None:
    """A combination whose key is not among ``had``; ``None``: none is left, or there are too many to look."""
    if space.count is None or space.count > MOST_COUNTED:
        return None
    return _first_left(space, had)


def _first_left(space: Space, had: set[Any], start: int = 0) -> Mapping[str, Any] | None:
    """The first from ``start`` on, else the first of all."""
    grids = [dimension.grid() for dimension in space.dimensions]
    assert space.count is not None
    if len(had) >= space.count:
        return None
    for index in itertools.chain(range(start, space.count), range(start)):
        parameters = _combination(space, grids, index)
        if space.key(parameters) not in had:
            return parameters
    return None


def _combination(space: Space, grids: Sequence[Sequence[Any]], index: int) -> dict[str, Any]:
    found = {}
    for dimension, values in zip(reversed(space.dimensions), reversed(grids), strict=True):
        index, place = divmod(index, len(values))
        found[dimension.name] = values[place]
    return {name: found[name] for name in space.names}
