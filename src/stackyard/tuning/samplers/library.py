"""Random search, TPE and a genetic algorithm, all Optuna's, behind our contract.

TPE: Bergstra et al., 2011, with Optuna's defaults (multivariate, constant liar for trials under way). Genetic: NSGA-II,
Deb et al., 2002, which also has the front of several objectives as its aim. Limits are told as constraints: how far a
trial was beyond each of them, as a share of the limit. Of a stopped trial that is a lower bound, of a skipped one what
was predicted. No score is made up for it: where Optuna wants one, it is one that it does not look at.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard import extras
from stackyard.tuning.samplers import Question
from stackyard.tuning.samplers.grid import first_left
from stackyard.tuning.space import Choice, Dimension
from stackyard.tuning.trial import Trial

#: Trials of one generation of the genetic algorithm: studies have tens of trials, not thousands.
_POPULATION = 10
#: Questions that bring a combination which was tried already, before any is taken.
_TRIES = 20
#: Reasons of trials that broke a limit, or would have.
_BEYOND = ("limit", "predicted")


class LibrarySampler:
    """One of Optuna's samplers.

    Args:
        kind: "random", "tpe" or "genetic".
        question: what to find.

    Raises:
        NotRunnableError: Optuna is not installed.
    """

    def __init__(self, kind: str, question: Question) -> None:
        extras.check("tuning", f"the sampler {kind} is Optuna's")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._kind, self._question = kind, question
        directions: Any = [
            "maximize" if maximise else "minimize" for maximise in question.objectives.values()
        ]
        self._study = optuna.create_study(directions=directions, sampler=self._sampler(0))
        self._distributions = {d.name: _distribution(d) for d in question.space.dimensions}
        #: Number of a trial -> Optuna's trial under way; those that were told are gone from it.
        self._open: dict[int, Any] = {}
        self._told: set[int] = set()
        self._completed = 0
        #: Of each objective the worst value that a completed trial had; empty: none has completed.
        self._worst: list[float] = []

    def ask(self, trials: Sequence[Trial]) -> Mapping[str, Any] | None:
        """The parameters that Optuna asks for next; what was tried already is passed over, so many times."""
        space = self._question.space
        had = {space.key(trial.parameters) for trial in trials}
        if space.count is not None and len(had) >= space.count:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._tell(trials)
            for attempt in range(_TRIES):
                self._study.sampler = self._sampler(len(trials) * _TRIES + attempt)
                asked = self._study.ask(self._distributions)
                found = self._parameters(asked.params)
                fresh = space.key(found) not in had
                # what nobody tries is no trial: it would be taken for one under way
                self._study.tell(asked, state=_state("FAIL"))
                if fresh:
                    return found
        return first_left(space, had)

    def _tell(self, trials: Sequence[Trial]) -> None:
        import optuna

        for trial in trials:
            if trial.number in self._told:
                continue
            if not trial.over:
                if trial.number not in self._open:
                    self._open[trial.number] = self._added(
                        optuna.trial.create_trial(
                            state=optuna.trial.TrialState.RUNNING,
                            params=self._own(trial),
                            distributions=self._distributions,
                        )
                    )
                continue
            self._told.add(trial.number)
            under_way = self._open.pop(trial.number, None)
            if under_way is not None:  # its place is taken by what it came to
                self._study.tell(under_way, state=_state("FAIL"))
            constraints, values = self._constraints(trial), self._values(trial)
            # Optuna knows no pruned trials of several objectives, and NSGA-II no pruned ones at all
            pruned = trial.state in ("stopped", "skipped") and len(self._question.objectives) == 1
            state = "COMPLETE" if values is not None else "PRUNED" if pruned else "FAIL"
            told: dict[str, Any] = {"values": values} if values is not None else {}
            if values is not None and self._kind == "genetic":
                told["system_attrs"] = self._generation()
            if state == "PRUNED" and trial.course:
                told["intermediate_values"] = {0: trial.course[-1].value}
            self._added(
                optuna.trial.create_trial(
                    state=_state(state),
                    params=self._own(trial),
                    distributions=self._distributions,
                    constraints=constraints,
                    **told,
                )
            )

    def _values(self, trial: Trial) -> list[float] | None:
        """What a trial is told as complete with; ``None``: it is not complete."""
        objectives = self._question.objectives
        if trial.state == "completed":
            found = [trial.values[name] for name in objectives if name in trial.values]
            if len(found) < len(objectives):
                return None
            self._worst = [
                min(pair) if maximise else max(pair)
                for pair, maximise in zip(
                    zip(found, self._worst or found, strict=True), objectives.values(), strict=True
                )
            ]
            return found
        if trial.reason is None or trial.reason.kind not in _BEYOND:
            return None
        if len(objectives) == 1 and self._kind != "genetic":
            return None
        # Optuna learns of these only if they are complete. Of a trial beyond a limit TPE and NSGA-II compare only how
        # far beyond it is, with each other trial, so that its values count for nothing.
        return list(self._worst or [0.0] * len(objectives))

    def _generation(self) -> dict[str, int]:
        """What Optuna knows a trial's generation by; it notes that when it asks, which is forgotten on resume."""
        key = type(self._sampler(0))._get_generation_key()
        self._completed += 1
        return {key: (self._completed - 1) // _POPULATION}

    def _added(self, frozen: Any) -> int:
        self._study.add_trial(frozen)
        return len(self._study.get_trials(deepcopy=False)) - 1

    def _constraints(self, trial: Trial) -> dict[str, float] | None:
        """How far beyond each limit a trial was, as a share of it: above 0 is broken. ``None``: there are no limits."""
        limits = self._question.limits
        found = {name: trial.used[name] / limit - 1.0 for name, limit in limits.items() if name in trial.used}
        reason = trial.reason
        if reason is not None and reason.kind in _BEYOND and reason.quantity in limits:
            assert reason.quantity is not None
            beyond = (reason.seen or 0.0) / limits[reason.quantity] - 1.0
            found[reason.quantity] = max(found.get(reason.quantity, 0.0), beyond, 1e-9)
        return {name: found.get(name, 0.0) for name in limits} if limits else None

    def _own(self, trial: Trial) -> dict[str, Any]:
        found = {}
        for dimension in self._question.space.dimensions:
            value = trial.parameters[dimension.name]
            found[dimension.name] = dimension.place(value) if isinstance(dimension, Choice) else value
        return found

    def _parameters(self, params: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for dimension in self._question.space.dimensions:
            value = params[dimension.name]
            if isinstance(dimension, Choice):
                value = dimension.placed[value]
            found[dimension.name] = value
        return found

    def _sampler(self, number: int) -> Any:
        """A sampler whose dice depend on seed and number of the question only: a study can be resumed."""
        import optuna

        digest = hashlib.sha256(f"{self._question.seed}/{number}".encode()).digest()
        seed = int.from_bytes(digest[:4], "big")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._kind == "random":
                return optuna.samplers.RandomSampler(seed=seed)
            if self._kind == "tpe":
                return optuna.samplers.TPESampler(seed=seed)
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=_POPULATION)


def _state(name: str) -> Any:
    import optuna

    return optuna.trial.TrialState[name]


def _distribution(dimension: Dimension) -> Any:
    from optuna import distributions

    if isinstance(
        dimension, Choice
    ):  # by place: Optuna's choices hold no two that are equal, as 1 and True are
        if dimension.ordered:
            return distributions.IntDistribution(0, len(dimension.values) - 1)
        return distributions.CategoricalDistribution(list(range(len(dimension.values))))
    if dimension.whole:
        return distributions.IntDistribution(
            int(dimension.low), int(dimension.high), log=dimension.log, step=int(dimension.step or 1)
        )
    return distributions.FloatDistribution(
        dimension.low, dimension.high, log=dimension.log, step=dimension.step
    )
