"""A tuner on a table under a virtual clock: what it asks for is read off, and what that would have cost is added up.

Trials run one at a time. A trial whose whole cost is beyond the limit is stopped after 5 % of it, or where the limit
itself is reached if that is sooner; its tuner is told so and is charged that. Others tell their loss after each step,
and end there, or where the tuner stops them. The best loss told by any trial inside the limit, at any step, counts.
Standard library.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Protocol, Tuple

from bench.tuning.tables import Table, Trained

#: Share of its cost that a trial is charged when it is stopped at the limit.
STOPPED_SHARE = 0.05
#: Full trials inside the limit, in whose mean cost the budget is counted.
BUDGET_TRIALS = 300
#: Normalised regret at which a table is solved.
SOLVED = 0.01
#: Trials after which a run is ended whatever its budget.
MOST_TRIALS = 6000


class Tuner(Protocol):
    """One of those compared. Losses are to be made small."""

    def ask(self) -> Optional[Dict[str, Any]]:
        """Parameters of the next trial; ``None``: it has no more."""

    def goes_on(self, step: int, loss: float, cost: float) -> bool:
        """After each step but the last: whether the trial is to go on."""

    def ended(self, how: str, trained: Trained, steps: int, cost: float, limit: Optional[float]) -> None:
        """The trial is over.

        Args:
            how: "completed", "stopped" by the tuner itself, or "limit".
            trained: what it would have come to; what was told of it are its first steps.
            steps: how many; 0 where the limit stopped it.
            cost: charged.
            limit: what a trial may cost; ``None``: anything.
        """


@dataclass
class Run:
    """What came of it. Costs are in mean full trials inside the limit."""

    table: str
    seed: int
    #: Each improvement: cost until then, normalised regret.
    course: List[Tuple[float, float]] = field(default_factory=list)
    cost: float = 0.0
    trials: int = 0
    stopped: int = 0
    broke: int = 0
    #: Of the tuner itself.
    seconds: float = 0.0


def run(
    tuner: Tuner,
    table: Table,
    seed: int,
    with_stop: bool = True,
    budget: float = BUDGET_TRIALS,
    most_trials: int = MOST_TRIALS,
) -> Run:
    """Have a tuner look for the best of a table until it is solved or the budget is used up."""
    found = Run(table.name, seed)
    limit = table.limit
    best, used = math.inf, 0.0
    begun = time.perf_counter()

    def told(loss: float, cost: float) -> None:
        nonlocal best
        if loss < best:
            best = loss
            found.course.append(((used + cost) / table.mean_cost, table.regret(loss)))

    while used < budget * table.mean_cost and found.trials < most_trials:
        parameters = tuner.ask()
        if parameters is None:
            break
        found.trials += 1
        trained = table.trained(parameters)
        breaks = trained.cost > limit
        if breaks and with_stop:
            cost = min(STOPPED_SHARE * trained.cost, limit)
            found.broke += 1
            tuner.ended("limit", trained, 0, cost, limit)
            used += cost
            continue
        steps, how = len(trained.losses), "completed"
        for step, (loss, cost) in enumerate(zip(trained.losses, trained.costs), 1):
            if not breaks:
                told(loss, cost)
            if best - table.best <= SOLVED * table.scale:
                break
            if step < len(trained.losses) and not tuner.goes_on(step, loss, cost):
                steps, how = step, "stopped"
                found.stopped += 1
                break
        if best - table.best <= SOLVED * table.scale:
            used += cost
            break
        tuner.ended(how, trained, steps, trained.costs[steps - 1], limit if with_stop else None)
        used += trained.costs[steps - 1]
    found.cost, found.seconds = used / table.mean_cost, time.perf_counter() - begun
    return found
