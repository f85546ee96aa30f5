"""Samplers choose the parameters of the next trial: one small contract, one file each.

``grid`` walks through every combination. ``library`` has random search, TPE and a genetic algorithm, which are
Optuna's. ``cost_aware`` is our own: expected improvement per unit of predicted cost. None knows of limits' enforcement,
prediction or packing: those stand around them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stackyard.tuning.space import Space
from stackyard.tuning.trial import Trial


@dataclass(frozen=True)
class Question:
    """What a sampler is to find: the space, the objectives, the limits, the seed."""

    space: Space
    #: Objective -> whether more is better; the first is the one that pruners and single-objective samplers follow.
    objectives: Mapping[str, bool]
    seed: int
    #: Quantity -> greatest that a trial may use.
    limits: Mapping[str, float]


class Sampler(Protocol):
    """Chooses what to try next."""

    def ask(self, trials: Sequence[Trial]) -> Mapping[str, Any] | None:
        """The parameters of the next trial; ``None``: there is nothing left to try.

        Args:
            trials: every trial so far in order of its number, those under way included. The same object may be given
                again with more in it; a sampler may keep what it has learned, and need not.
        """


def made(name: str, question: Question) -> Sampler:
    """The sampler of this name.

    Raises:
        KeyError: there is none.
        NotRunnableError: what it needs is not installed.
    """
    return SAMPLERS[name](question)


def _grid(question: Question) -> Sampler:
    from stackyard.tuning.samplers import grid

    return grid.GridSampler(question)


def _library(kind: str) -> Callable[[Question], Sampler]:
    def make(question: Question) -> Sampler:
        from stackyard.tuning.samplers import library

        return library.LibrarySampler(kind, question)

    return make


def _cost_aware(question: Question) -> Sampler:
    from stackyard.tuning.samplers import cost_aware

    return cost_aware.CostAwareSampler(question)


#: Name, as a study file has it -> what makes it.
SAMPLERS: Mapping[str, Callable[[Question], Sampler]] = {
    "grid": _grid,
    "random": _library("random"),
    "tpe": _library("tpe"),
    "genetic": _library("genetic"),
    "cost-aware": _cost_aware,
}
