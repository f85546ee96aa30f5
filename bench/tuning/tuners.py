"""The tuners that are compared, each behind ``replay.Tuner``. A tuner imports its library only where it is made.

Optuna: ``TPESampler`` with its defaults, told of a limit's break as a pruned trial and, as a constraint, by how far the
trial would be beyond (of which ours is told nothing but that it is); with ``MedianPruner`` and its defaults where there
are courses. Syne Tune and Ray: their own ASHA schedulers, driven by their callbacks one trial at a time, epochs as the
resource, 52 at most, defaults otherwise (reduction 3 and 4); Ray's samples are drawn as its random search does, evenly.
"""

from __future__ import annotations

import math
import random
import warnings
from typing import Any, Dict, List, Optional

from bench.tuning.replay import Tuner
from bench.tuning.tables import EPOCHS, LCBENCH, Courses, Table, Trained


class Random:
    """Draws evenly."""

    def __init__(self, table: Table, seed: int) -> None:
        self._dice, self._table = random.Random(seed), table

    def ask(self) -> Optional[Dict[str, Any]]:
        """See ``replay.Tuner``."""
        if not isinstance(self._table, Courses):
            return {name: self._dice.choice(values) for name, values in self._table.space.items()}  # type: ignore[attr-defined]
        found: Dict[str, Any] = {}
        for name, low, high, whole, log in LCBENCH:
            if log:
                value = math.exp(self._dice.uniform(math.log(low), math.log(high)))
                found[name] = min(max(round(value) if whole else value, low), high)
            else:
                found[name] = (
                    self._dice.randint(int(low), int(high)) if whole else self._dice.uniform(low, high)
                )
        return found

    def goes_on(self, step: int, loss: float, cost: float) -> bool:
        """See ``replay.Tuner``."""
        return True

    def ended(self, how: str, trained: Trained, steps: int, cost: float, limit: Optional[float]) -> None:
        """See ``replay.Tuner``."""


class Optuna:
    """TPE, with the median pruner where there are courses."""

    def __init__(self, table: Table, seed: int) -> None:
        warnings.simplefilter("ignore")
        import optuna
        from optuna import distributions as d

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=seed), pruner=optuna.pruners.MedianPruner()
        )
        self._values: Dict[str, List[Any]] = {}
        self._space: Dict[str, Any] = {}
        if isinstance(table, Courses):
            for name, low, high, whole, log in LCBENCH:
                kind: Any = d.IntDistribution if whole else d.FloatDistribution
                ends = (int(low), int(high)) if whole else (low, high)
                self._space[name] = kind(*ends, log=log)
        else:
            for name, values in table.space.items():  # type: ignore[attr-defined]
                numbers = all(not isinstance(value, str) for value in values)
                places = list(range(len(values)))
                self._space[name] = (
                    d.IntDistribution(0, places[-1]) if numbers else d.CategoricalDistribution(places)
                )
                self._values[name] = values

    def ask(self) -> Optional[Dict[str, Any]]:
        """See ``replay.Tuner``."""
        self._trial = self._study.ask(self._space)
        return {
            name: self._values[name][value] if name in self._values else value
            for name, value in self._trial.params.items()
        }

    def goes_on(self, step: int, loss: float, cost: float) -> bool:
        """See ``replay.Tuner``."""
        self._trial.report(loss, step)
        return not self._trial.should_prune()

    def ended(self, how: str, trained: Trained, steps: int, cost: float, limit: Optional[float]) -> None:
        """See ``replay.Tuner``."""
        state = self._optuna.trial.TrialState
        if limit is not None:
            self._trial.set_constraint("cost", trained.cost / limit - 1.0)
        if how == "completed":
            self._study.tell(self._trial, trained.losses[-1])
        else:
            self._study.tell(self._trial, state=state.PRUNED)


class SyneTune:
    """Syne Tune's ASHA with its random search."""

    def __init__(self, table: Table, seed: int) -> None:
        import logging

        logging.disable(logging.WARNING)
        import numpy
        from syne_tune import config_space as c
        from syne_tune.backend.trial_status import Trial
        from syne_tune.optimizer.baselines import ASHA

        numpy.random.seed(seed)
        space = {}
        for name, low, high, whole, log in LCBENCH:
            make: Any = (
                (c.lograndint if log else c.randint) if whole else (c.loguniform if log else c.uniform)
            )
            space[name] = make(int(low), int(high)) if whole else make(low, high)
        self._make = Trial
        self._scheduler = ASHA(
            space, metric="loss", time_attr="epoch", max_t=EPOCHS, do_minimize=True, random_seed=seed
        )
        self._count = -1

    def ask(self) -> Optional[Dict[str, Any]]:
        """See ``replay.Tuner``."""
        import datetime

        self._count += 1
        config = self._scheduler.suggest().config
        self._trial = self._make(
            self._count, config, datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)
        )
        self._scheduler.on_trial_add(self._trial)
        return dict(config)

    def goes_on(self, step: int, loss: float, cost: float) -> bool:
        """See ``replay.Tuner``."""
        return bool(self._scheduler.on_trial_result(self._trial, {"loss": loss, "epoch": step}) == "CONTINUE")

    def ended(self, how: str, trained: Trained, steps: int, cost: float, limit: Optional[float]) -> None:
        """See ``replay.Tuner``."""
        if how == "completed":
            last = {"loss": trained.losses[-1], "epoch": len(trained.losses)}
            self._scheduler.on_trial_complete(self._trial, last)
        else:
            self._scheduler.on_trial_remove(self._trial)


class Ray(Random):
    """Ray Tune's ASHA."""

    def __init__(self, table: Table, seed: int) -> None:
        super().__init__(table, seed)
        import logging

        logging.disable(logging.WARNING)
        from types import SimpleNamespace

        import numpy
        from ray.tune.schedulers import ASHAScheduler

        numpy.random.seed(seed)
        self._make = SimpleNamespace
        self._scheduler = ASHAScheduler(time_attr="epoch", metric="loss", mode="min", max_t=EPOCHS)
        self._count = -1

    def ask(self) -> Optional[Dict[str, Any]]:
        """See ``replay.Tuner``."""
        self._count += 1
        self._trial = self._make(trial_id=str(self._count))
        self._scheduler.on_trial_add(None, self._trial)
        return super().ask()

    def goes_on(self, step: int, loss: float, cost: float) -> bool:
        """See ``replay.Tuner``."""
        said = self._scheduler.on_trial_result(None, self._trial, {"loss": loss, "epoch": step})
        return bool(said == "CONTINUE")

    def ended(self, how: str, trained: Trained, steps: int, cost: float, limit: Optional[float]) -> None:
        """See ``replay.Tuner``."""
        if how == "completed":
            last = {"loss": trained.losses[-1], "epoch": len(trained.losses)}
            self._scheduler.on_trial_complete(None, self._trial, last)
        else:
            self._scheduler.on_trial_remove(None, self._trial)


def space_of(table: Table) -> Any:
    """The space of a table's parameters, as a study has it."""
    from stackyard.tuning.space import Choice, Range, Space

    if isinstance(table, Courses):
        return Space(tuple(Range(name, low, high, whole, log) for name, low, high, whole, log in LCBENCH))
    values: Dict[str, List[Any]] = table.space  # type: ignore[attr-defined]
    return Space(tuple(Choice(name, tuple(own)) for name, own in values.items()))


class Ours:
    """The product's cost-aware sampler, and its cost-aware pruner where there are courses."""

    def __init__(self, table: Table, seed: int) -> None:
        from stackyard.tuning.pruners import cost_aware as pruner
        from stackyard.tuning.samplers import Question, cost_aware

        question = Question(space_of(table), {"loss": False}, seed, {"cpu_seconds": table.limit})
        self._sampler = cost_aware.CostAwareSampler(question)
        self._pruner = pruner.CostAwarePruner(False, {}) if isinstance(table, Courses) else None
        self._trials: List[Any] = []

    def ask(self) -> Optional[Dict[str, Any]]:
        """See ``replay.Tuner``."""
        from stackyard.tuning.trial import Trial

        found = self._sampler.ask(self._trials)
        if found is None:
            return None
        self._trials.append(Trial(len(self._trials), dict(found), "running"))
        return dict(found)

    def goes_on(self, step: int, loss: float, cost: float) -> bool:
        """See ``replay.Tuner``."""
        from stackyard.tuning.trial import Point

        trial = self._trials[-1]
        trial.course.append(Point(cost, cost, float(step), loss))
        return self._pruner is None or self._pruner.why_stop(trial, self._trials) is None

    def ended(self, how: str, trained: Trained, steps: int, cost: float, limit: Optional[float]) -> None:
        """See ``replay.Tuner``."""
        from stackyard.tuning.trial import Point, Reason

        trial = self._trials[-1]
        trial.used = {"cpu_seconds": cost}
        trial.state = "completed" if how == "completed" else "stopped"
        if how == "limit":
            # that it would be beyond the limit, and not how far
            trial.reason = Reason("predicted", "it would be beyond the limit", "cpu_seconds", limit, limit)
            return
        if how == "stopped":
            trial.reason = Reason("pruner", "the pruner said so")
        elif len(trained.losses) > 1:
            trial.course.append(Point(cost, cost, float(steps), trained.losses[-1]))
        trial.values = {"loss": trained.losses[steps - 1]}


TUNERS: Dict[str, Any] = {
    "ours": Ours,
    "random": Random,
    "optuna": Optuna,
    "syne": SyneTune,
    "ray": Ray,
}


def made(name: str, table: Table, seed: int) -> Tuner:
    """A tuner for one run."""
    found: Tuner = TUNERS[name](table, seed)
    return found
