"""Expected improvement per unit of predicted cost: our own sampler, for trials that differ in what they use.

Two Gaussian processes learn from the trials so far, one the objective, one the logarithm of the cost. The next trial is
where improvement is likeliest to be worth its cost (Snoek, Larochelle and Adams 2012). Begins with trials that fill the
space and are predicted to be cheap (Lee, Perrone, Archambeau and Seeger 2020, CArBO). Limits: improvement counts by the
probability that they are kept (Gardner and others 2014; Gelbart, Snoek and Adams 2014). A trial that was stopped at a
limit tells a lower bound.

The objective's distance from the best is modelled by its logarithm: what diverges is bad, and no more. Of several
objectives the first is followed. Trials under way are taken to find what is expected of them (Ginsbourger, Le Riche
and Carraro 2010, kriging believer).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from stackyard.tuning.prediction.one_thread import one_thread
from stackyard.tuning.samplers import Question
from stackyard.tuning.samplers.candidates import Candidates
from stackyard.tuning.samplers.grid import first_left
from stackyard.tuning.samplers.surrogate import Surrogate, settings
from stackyard.tuning.trial import Trial

Array = NDArray[np.float64]

#: What a trial costs, the first of these that the trials tell.
COSTS = ("cpu_seconds", "wall_seconds")
#: Trials that fill the space before anything is modelled: so many, and a share of the dimensions.
_FIRST, _FIRST_A_DIMENSION = 3, 0.5
#: Candidates: drawn evenly, around the best known, and around the best of those, so many times.
_DRAWN, _AROUND, _REFINED, _ROUNDS = 250, 150, 75, 2
#: Best known trials that candidates are looked for around.
_KNOWN = 5
#: Trials that the models take: the best, and the latest.
_MOST = 160
#: Settings are sought again whenever there are so many times more trials.
_GROWTH = 1.2
#: Draws of a combination nobody tried, before every combination is gone through.
_TRIES = 20
#: What a limit's break is taken to be worth where all is known: the least probability of keeping the limits.
_LEAST_PROBABILITY = 1e-6
#: Exponent of cost in what a trial is worth while the space is being filled; later it is 1.
_CHEAP = 0.3
#: What is added to a regret, in that of the median, before its logarithm is modelled.
_REGRET = 0.1
#: Beyond this numbers are kept from overflowing.
_GREAT = 1e150
#: Variance that a guessed value has more than a measured one, in that of the values.
_GUESSED = 0.05


@dataclass
class _Seen:
    """What trials have told, one row a trial."""

    told: Sequence[Trial]
    rows: Array
    #: ``_scores`` of the objective, small is good; NaN: nothing is known of it.
    scores: Array
    #: Whether the score was guessed from a course that was cut short.
    guessed: NDArray[np.bool_]
    #: Quantity -> logarithm of what was used; NaN: not known; and whether it is a lower bound.
    used: dict[str, Array]
    bounds: dict[str, NDArray[np.bool_]]


class CostAwareSampler:
    """Chooses what promises most for its cost.

    Args:
        question: what to find.
    """

    def __init__(self, question: Question) -> None:
        self._question = question
        self._name, self._maximise = next(iter(question.objectives.items()))
        self._candidates = Candidates(question.space)
        #: What was placed once.
        self._rows: dict[Any, Array] = {}
        #: What was sought, number of values and their kind -> settings.
        self._settings: dict[tuple[str, int, bytes], Array] = {}

    def ask(self, trials: Sequence[Trial]) -> Mapping[str, Any] | None:
        """The parameters of the next trial; ``None``: every combination was tried."""
        space = self._question.space
        had = {space.key(trial.parameters) for trial in trials}
        if space.count is not None and len(had) >= space.count:
            return None
        digest = hashlib.sha256(f"{self._question.seed}/{len(trials)}".encode()).digest()
        dice = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        with one_thread():
            rows = self._ranked(trials, dice)
        for row in rows:
            found = self._candidates.parameters(row)
            if space.key(found) not in had:
                return found
        for _ in range(_TRIES):
            found = self._candidates.parameters(self._candidates.drawn(dice, 1)[0])
            if space.key(found) not in had:
                return found
        return first_left(space, had)

    def _row(self, trial: Trial) -> Array:
        key = self._question.space.key(trial.parameters)
        if key not in self._rows:
            self._rows[key] = self._candidates.row(trial.parameters)
        return self._rows[key]

    def _ranked(self, trials: Sequence[Trial], dice: np.random.Generator) -> Array:
        """Candidates, the best first."""
        told = [t for t in trials if t.state in ("completed", "stopped", "failed")]
        pending = [t for t in trials if not t.over]
        seen = self._seen(told)
        dimensions = len(self._question.space.dimensions)
        first = _FIRST + math.ceil(_FIRST_A_DIMENSION * dimensions)
        known = np.flatnonzero(~np.isnan(seen.scores))
        taken = [self._row(t) for t in (*told, *pending)]
        if len(trials) < first or len(known) < 3:
            return self._filling(seen, np.array(taken), dice)
        best = seen.rows[known[np.argsort(seen.scores[known], kind="stable")[:_KNOWN]]]
        rows = np.concatenate(
            [self._candidates.drawn(dice, _DRAWN), self._candidates.around(best, dice, _AROUND)]
        )
        promise = self._promise(seen, known, [self._row(t) for t in pending])
        worth = promise(self._candidates.units(rows))
        for _ in range(_ROUNDS):
            top = rows[np.argsort(-worth, kind="stable")[:_KNOWN]]
            more = self._candidates.around(top, dice, _REFINED)
            rows = np.concatenate([rows, more])
            worth = np.concatenate([worth, promise(self._candidates.units(more))])
        return rows[np.argsort(-worth, kind="stable")]

    # -- what was told -----------------------------------------------------------------------------

    def _seen(self, told: Sequence[Trial]) -> _Seen:
        values, guessed = self._values(told)
        quantities = [self._cost(told), *self._question.limits]
        used: dict[str, Array] = {}
        bounds: dict[str, NDArray[np.bool_]] = {}
        for quantity in dict.fromkeys(q for q in quantities if q is not None):
            used[quantity], bounds[quantity] = self._used(told, quantity)
        width = len(self._question.space.dimensions)
        rows = np.array([self._row(t) for t in told]).reshape(len(told), width)
        return _Seen(told, rows, _scores(values), guessed, used, bounds)

    def _values(self, told: Sequence[Trial]) -> tuple[Array, NDArray[np.bool_]]:
        """The objective, small is good; what a trial that was cut short would have found is guessed."""
        sign = -1.0 if self._maximise else 1.0
        values, guessed = np.full(len(told), np.nan), np.zeros(len(told), dtype=bool)
        whole = [t for t in told if t.state == "completed" and t.course and self._name in t.values]
        for index, trial in enumerate(told):
            value = trial.values.get(self._name)
            if value is None or not math.isfinite(value):
                continue
            if trial.state == "completed":
                values[index] = sign * value
            elif trial.state == "stopped" and trial.course and not _broke(trial):
                foreseen = self._foreseen(trial, whole)
                if math.isfinite(foreseen):
                    values[index], guessed[index] = sign * foreseen, True
        return values, guessed

    def _foreseen(self, trial: Trial, whole: Sequence[Trial]) -> float:
        """Where a course would have ended: its last value, and what others gained from the same step on."""
        last = trial.course[-1]
        gains = []
        for other in whole:
            before = [point.value for point in other.course if point.step <= last.step]
            if before:
                gains.append((abs(before[-1] - last.value), other.values[self._name] - before[-1]))
        nearest = [gain for _, gain in sorted(gains)[:5]]
        return last.value + (float(np.median(nearest)) if nearest else 0.0)

    def _cost(self, told: Sequence[Trial]) -> str | None:
        return next((q for q in COSTS if any(q in t.used for t in told)), None)

    def _used(self, told: Sequence[Trial], quantity: str) -> tuple[Array, NDArray[np.bool_]]:
        used, bounds = np.full(len(told), np.nan), np.zeros(len(told), dtype=bool)
        for index, trial in enumerate(told):
            amount = trial.used.get(quantity)
            if trial.reason is not None and trial.reason.quantity == quantity and trial.reason.seen:
                amount = max(amount or 0.0, trial.reason.seen)
            if amount is not None and amount > 0 and trial.state != "failed":
                used[index], bounds[index] = math.log(amount), trial.state == "stopped"
        return used, bounds

    # -- the beginning -----------------------------------------------------------------------------

    def _filling(self, seen: _Seen, taken: Array, dice: np.random.Generator) -> Array:
        """Far from all that was tried, and predicted to be cheap."""
        rows = self._candidates.drawn(dice, _DRAWN)
        if not len(taken):
            return rows
        units = self._candidates.units(rows)
        others = self._candidates.units(taken)
        distances = np.sqrt(((units[:, None, :] - others[None, :, :]) ** 2).sum(axis=2)).min(axis=1)
        worth = np.log(distances + 1e-6)
        models = self._quantity_models(seen)
        said = {quantity: model.at(units) for quantity, model in models.items()}
        quantity = next(iter(seen.used), None)
        if quantity in said:
            worth -= _CHEAP * said[quantity][0]
        worth += np.log(self._probability_of_keeping(models, said, len(units)))
        return rows[np.argsort(-worth, kind="stable")]

    # -- the models --------------------------------------------------------------------------------

    def _sought(self, kind: str, rows: Array, told: Callable[[int], Array]) -> Array:
        """Settings of as many of the values as make a step of ``_GROWTH``; they depend on those alone.

        Args:
            kind: "objective" or a quantity.
            rows: of all values.
            told: so many of the values, as they were when there were no more.
        """
        count = 4
        while (following := max(count + 1, int(count * _GROWTH))) <= len(rows):
            count = following
        rows = rows[:count]
        key = (kind, len(rows), rows.tobytes())
        if key not in self._settings:
            if len(self._settings) > 40:
                self._settings.clear()
            values = told(len(rows))
            values = (values - np.mean(values)) / (float(np.std(values)) or 1.0)
            self._settings[key] = settings(
                self._candidates.units(rows), self._candidates.groups, values, self._lines(kind)
            )
        return self._settings[key]

    def _lines(self, kind: str) -> list[bool]:
        """Use grows along a line in most dimensions; the objective has a best place, but choices add up in it."""
        return [kind != "objective" or several for several in self._candidates.several]

    def _quantity_model(self, seen: _Seen, quantity: str) -> Surrogate | None:
        """The logarithm of what is used; a bound is taken for what the others say, where that is more."""
        used, bounds = seen.used[quantity], seen.bounds[quantity]
        measured = np.flatnonzero(~np.isnan(used) & ~bounds)
        if len(measured) < 3:
            return None
        groups = self._candidates.groups
        theta = self._sought(quantity, seen.rows[measured], lambda count: used[measured][:count])
        chosen = measured[_kept(len(measured))]
        units = self._candidates.units(seen.rows)
        model = Surrogate(units[chosen], groups, used[chosen], theta, self._lines(quantity))
        least = np.flatnonzero(~np.isnan(used) & bounds)[-_MOST:]
        if not len(least):
            return model
        foretold, doubt = model.at(units[least])
        # the mean above the bound, given what the others say
        deviation = np.maximum(doubt, 1e-3)
        place = np.clip((used[least] - foretold) / deviation, -8.0, 8.0)
        above = foretold + deviation * np.exp(
            -0.5 * place**2 - 0.5 * math.log(2 * math.pi) - special.log_ndtr(-place)
        )
        both = np.concatenate([chosen, least])
        values = np.concatenate([used[chosen], np.maximum(above, used[least])])
        rough = np.concatenate([np.zeros(len(chosen)), np.full(len(least), _GUESSED)])
        return Surrogate(units[both], groups, values, theta, self._lines(quantity), rough)

    def _quantity_models(self, seen: _Seen) -> dict[str, Surrogate]:
        """What is known enough of, among cost and limits."""
        found = {quantity: self._quantity_model(seen, quantity) for quantity in seen.used}
        return {quantity: model for quantity, model in found.items() if model is not None}

    def _probability_of_keeping(
        self, models: Mapping[str, Surrogate], said: Mapping[str, tuple[Array, Array]], count: int
    ) -> Array:
        """Probability that every limit is kept, at ``count`` points of which the models said this."""
        found = np.ones(count)
        for quantity, limit in self._question.limits.items():
            model = models.get(quantity)
            if model is not None and limit > 0:
                mean, doubt = said[quantity]
                spread = np.sqrt(doubt**2 + model.noise * model.spread**2)
                found *= special.ndtr((math.log(limit) - mean) / spread)
        return np.maximum(found, _LEAST_PROBABILITY)

    def _promise(self, seen: _Seen, known: NDArray[np.int_], pending: Sequence[Array]) -> Any:
        """What says of points of the unit cube how much they promise for their cost, as a logarithm."""
        groups, units = self._candidates.groups, self._candidates.units(seen.rows)
        scores = seen.scores[known]

        def told(count: int) -> Array:
            values, _ = self._values(seen.told[: known[count - 1] + 1])
            return _scores(values)[known[:count]]

        theta = self._sought("objective", seen.rows[known], told)
        order = np.argsort(scores, kind="stable")
        chosen = (
            order
            if len(order) <= _MOST
            else np.union1d(order[: _MOST // 2], np.arange(len(order))[-_MOST // 2 :])
        )
        rough = np.where(seen.guessed[known][chosen], _GUESSED, 0.0)
        model = Surrogate(
            units[known][chosen], groups, scores[chosen], theta, self._lines("objective"), rough
        )
        if pending:
            further = self._candidates.units(np.array(pending))
            expected = model.at(further)[0]
            model = Surrogate(
                np.concatenate([units[known][chosen], further]),
                groups,
                np.concatenate([scores[chosen], expected]),
                theta,
                self._lines("objective"),
                np.concatenate([rough, np.zeros(len(pending))]),
            )
        best = float(scores.min())
        quantity = next(iter(seen.used), None)
        models = self._quantity_models(seen)

        def promise(points: Array) -> Array:
            mean, doubt = model.at(points)
            # what no neighbour foretells counts as well: the best that is seen is what is sought
            doubt = np.sqrt(doubt**2 + model.noise * model.spread**2)
            worth = _log_improvement((best - mean) / doubt) + np.log(doubt)
            said = {q: m.at(points) for q, m in models.items()}
            kept = self._probability_of_keeping(models, said, len(points))
            worth += np.log(kept)
            if quantity in said:
                # not what being stopped would cost: so little would be tried beyond the limit again and again
                worth -= said[quantity][0]
            return np.asarray(worth, dtype=float)

        return promise


def _broke(trial: Trial) -> bool:
    return trial.reason is not None and trial.reason.kind in ("limit", "predicted")


def _scores(values: Array) -> Array:
    """Logarithms of the distance from the best, in that of the median and with a little added; NaN stays.

    Differences near the best count most, and those among what diverged next to nothing.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return values
    largest = float(np.abs(known).max())
    if largest > _GREAT:  # differences of these would be infinite; only their proportions count
        known, values = known / largest, values / largest
    best = float(known.min())
    middle = float(np.median(known)) - best or float(known.max()) - best or 1.0
    with np.errstate(over="ignore"):  # next to a tiny middle: as far as a number goes
        regrets = np.minimum((values - best) / middle, _GREAT)
    return np.asarray(np.log(regrets + _REGRET), dtype=float)


def _kept(count: int) -> NDArray[np.int_]:
    """The latest values, and an even spread of those before."""
    if count <= _MOST:
        return np.arange(count)
    early = np.linspace(0, count - _MOST // 2 - 1, _MOST // 2).astype(int)
    return np.concatenate([early, np.arange(count - _MOST // 2, count)])


def _log_improvement(place: Array) -> Array:
    """Logarithm of a standard normal's expected excess over ``-place`` (Ament and others 2023, for far below)."""
    density = -0.5 * place**2 - 0.5 * math.log(2 * math.pi)
    found = np.empty_like(place)
    near = place > -5.0
    found[near] = np.log(np.exp(density[near]) + place[near] * special.ndtr(place[near]))
    far = place[~near]
    # density * (1 + x Phi/phi) ~ density / x^2
    found[~near] = density[~near] - 2 * np.log(np.abs(far))
    return found
