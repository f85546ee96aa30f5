"""Pruners say which trial under way is not worth going on: one small contract.

The median rule and successive halving compare trials at equal CPU time, not at equal steps: at equal steps a slow trial
looks as good as a fast one. ``cost_aware`` foretells where a trial ends, from the same steps of others.
Two rules are Optuna's (median, successive halving); what they are told as a step is CPU time. The third is our own and
compares no two trials at a place, but each one's foretold end with the best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from stackyard.tuning.trial import Trial


class Pruner(Protocol):
    """Compares a trial under way with the others."""

    def why_stop(self, trial: Trial, trials: Sequence[Trial]) -> str | None:
        """Why a trial is to end now, in one sentence; ``None``: it goes on.

        Args:
            trial: under way, with its course so far.
            trials: every trial so far, it and others under way included.
        """


def made(name: str, maximise: bool, settings: Mapping[str, float]) -> Pruner | None:
    """The pruner of this name; ``None``: of the name "none".

    Raises:
        KeyError: there is none of this name.
    """
    make = PRUNERS[name]
    return None if make is None else make(maximise, settings)


def _library(kind: str) -> Callable[[bool, Mapping[str, float]], Pruner]:
    def make(maximise: bool, settings: Mapping[str, float]) -> Pruner:
        from stackyard.tuning.pruners import library

        return library.LibraryPruner(kind, maximise, settings)

    return make


def _cost_aware(maximise: bool, settings: Mapping[str, float]) -> Pruner:
    from stackyard.tuning.pruners import cost_aware

    return cost_aware.CostAwarePruner(maximise, settings)


#: Name, as a study file has it -> what makes it.
PRUNERS: Mapping[str, Callable[[bool, Mapping[str, float]], Pruner] | None] = {
    "none": None,
    "median": _library("median"),
    "successive-halving": _library("successive-halving"),
    "cost-aware": _cost_aware,
}
