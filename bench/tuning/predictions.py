"""Whether what the tuner predicts of trials comes true, on tables of trials that somebody else trained.

Combinations are drawn at random, each is predicted from those before it, those that would break the limit are skipped,
a tenth of them is run all the same, and one that reaches the limit is stopped there: as the tuner does it, without its
clock and processes. As the tables know what was skipped too, ``skipped_wrongly_percent`` is told of all of them, beside
that of the tenth. A table with a cost after each epoch is predicted once more after 5 % of its epochs.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, List, Optional, Protocol, Sequence

import numpy as np

from stackyard.tuning import prediction, skipping
from stackyard.tuning.prediction import accuracy, readings
from stackyard.tuning.space import Space
from stackyard.tuning.trial import Reading, Reason, Trial

#: What the costs of a table are taken to be: only the name under which they are predicted.
QUANTITY = "cpu_seconds"


class Row(Protocol):
    """What a combination came to: cost until the end of each step."""

    @property
    def costs(self) -> Sequence[float]:
        """One a step; of a table of final values one alone."""


class Table(Protocol):
    """Combinations with their costs."""

    name: str
    #: 75th percentile of the costs of its combinations.
    limit: float

    def trained(self, parameters: Dict[str, Any]) -> Row:
        """What a combination came to."""


@dataclasses.dataclass
class Played:
    """A table's trials, and the costs that those which were to be skipped would have had."""

    trials: List[Trial]
    skipped_costs: List[float]
    limit: float


def play(table: Table, space: Space, seed: int, count: int) -> Played:
    """Trials of one study on one table, each predicted from those before it.

    Args:
        table: where costs are read.
        space: its parameters.
        seed: of the draw.
        count: of trials, skipped ones included.
    """
    random = np.random.default_rng(seed)
    played = Played([], [], table.limit)
    for number in range(count):
        trial = Trial(number, _drawn(space, random))
        costs = [float(cost) for cost in table.trained(trial.parameters).costs]
        trial.predicted = prediction.before(space, trial.parameters, played.trials, (QUANTITY,))
        reason = skipping.why_skip({QUANTITY: table.limit}, trial.predicted, played.trials)
        if reason is not None:
            played.skipped_costs.append(costs[-1])
            trial.checks_prediction = skipping.is_checked(seed, number)
        if reason is not None and not trial.checks_prediction:
            trial.state, trial.reason = "skipped", reason
        else:
            _run(trial, costs, table.limit, space, played.trials)
        played.trials.append(trial)
    return played


def _drawn(space: Space, random: np.random.Generator) -> Dict[str, Any]:
    return {dimension.name: dimension.at(float(random.random())) for dimension in space.dimensions}


def _run(trial: Trial, costs: List[float], limit: float, space: Space, earlier: Sequence[Trial]) -> None:
    """What a trial uses, up to its end or the limit."""
    for step, cost in enumerate(costs, 1):
        if cost > limit:
            break
        share = step / len(costs)
        if len(costs) > 1:
            readings.keep(trial.readings, Reading(share, step, {QUANTITY: cost}))
        if trial.early_share is None and prediction.EARLY_SHARE <= share < 1:
            trial.early_share = share
            trial.predicted_early = prediction.during(space, trial, earlier)
    trial.used = {QUANTITY: min(costs[-1], limit)}
    trial.state = "completed" if costs[-1] <= limit else "stopped"
    if trial.state == "stopped":
        trial.reason = Reason("limit", "stopped at its limit", QUANTITY, limit, limit)


def coverage_on_tables(
    tables: Sequence[Table],
    space_of: Callable[[Table], Space],
    seeds: Sequence[int] = (0, 1),
    count: int = 120,
) -> Dict[str, Any]:
    """How the predictions fared over all tables.

    Args:
        tables: whose trials are predicted.
        space_of: the space of a table's parameters.
        seeds: studies of one table.
        count: trials of one study.

    Returns:
        ``interval_coverage_percent`` with ``predictions`` (how many are counted: before the start, and early where a
        table has steps), the same of each kind, errors in percent of the cost (median, p90), what was skipped and how
        much of it wrongly, and the coverage of each table under ``tables``.
    """
    every: List[Trial] = []
    skipped: List[bool] = []
    over = 0
    by_table = {}
    for table in tables:
        own: List[Trial] = []
        for seed in seeds:
            played = play(table, space_of(table), seed, count)
            own += played.trials
            skipped += [cost <= played.limit for cost in played.skipped_costs]
            over += sum(cost > played.limit for cost in played.skipped_costs)
            over += sum(t.state == "stopped" and not t.checks_prediction for t in played.trials)
        by_table[table.name] = accuracy.of_quantity(own, QUANTITY).coverage_percent
        every += own
    before, early = (accuracy.of_quantity(every, QUANTITY, of) for of in (False, True))
    held = sum((one.coverage_percent or 0.0) * one.decided for one in (before, early))
    count_of_all = before.decided + early.decided
    checked = accuracy.of_skipped(every)
    return {
        "interval_coverage_percent": held / count_of_all if count_of_all else None,
        "predictions": count_of_all,
        "before": dataclasses.asdict(before),
        "early": dataclasses.asdict(early),
        "skipped": len(skipped),
        "skipped_share_of_what_breaks_the_limit_percent": _percent(len(skipped) - sum(skipped), over),
        "skipped_wrongly_percent": _percent(sum(skipped), len(skipped)),
        "checked": checked.checked,
        "checked_wrongly_percent": checked.wrongly_percent,
        "tables": by_table,
    }


def _percent(part: int, whole: int) -> Optional[float]:
    return 100 * part / whole if whole else None
