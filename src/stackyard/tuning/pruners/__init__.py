"""Pruners say which trial under way is not worth going on: one small contract.

The median rule and successive halving are Optuna's. They compare trials at equal CPU time, which they are told as a
step: at equal steps a slow trial looks as good as a fast one. ``cost_aware`` is our own. It foretells where a trial
ends, from the same steps of others, and compares that with the best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Setting:
    """A number that a pruner takes: what it is where nothing is said, and its bounds."""

    default: float
    low: float
    high: float


@dataclass(frozen=True)
class Kind:
    """A pruner as study files name it."""

    #: Made for an objective of which more is better, or less, with its settings; ``None``: it ends nothing.
    make: Callable[[bool, Mapping[str, float]], Pruner] | None = None
    #: All that it takes.
    settings: Mapping[str, Setting] = field(default_factory=dict)


def made(name: str, maximise: bool, settings: Mapping[str, float]) -> Pruner | None:
    """The pruner of this name; ``None``: of the name "none".

    Raises:
        KeyError: there is none of this name.
    """
    make = PRUNERS[name].make
    return None if make is None else make(maximise, settings)


def _library(kind: str) -> Callable[[bool, Mapping[str, float]], Pruner]:
    def make(maximise: bool, settings: Mapping[str, float]) -> Pruner:
        from stackyard.tuning.pruners import library

        return library.LibraryPruner(kind, maximise, settings)

    return make


def _cost_aware(maximise: bool, settings: Mapping[str, float]) -> Pruner:
    from stackyard.tuning.pruners import cost_aware

    return cost_aware.CostAwarePruner(maximise, settings)


_WARM_UP = {"warm_up_cpu_seconds": Setting(1.0, 0.0, 1e9)}
#: Name, as a study file has it -> what it is.
PRUNERS: Mapping[str, Kind] = {
    "none": Kind(),
    "median": Kind(_library("median"), {**_WARM_UP, "start_trials": Setting(5.0, 1.0, 1000.0)}),
    "successive-halving": Kind(
        _library("successive-halving"), {**_WARM_UP, "reduction_factor": Setting(3.0, 2.0, 100.0)}
    ),
    # of fewer courses it foretells nothing
    "cost-aware": Kind(_cost_aware, {**_WARM_UP, "start_trials": Setting(5.0, 3.0, 1000.0)}),
}
