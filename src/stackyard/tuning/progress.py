"""How far a study is: what of its bounds is used, the same on a terminal, a web page and a task of a server. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from stackyard.counting import count
from stackyard.reports.quantities import quantity
from stackyard.tuning.study import Budget
from stackyard.tuning.trial import Trial


def share(
    budget: Budget, combinations: int | None, trials: Sequence[Trial], wall_seconds: float
) -> tuple[float, str]:
    """How much of the nearest bound of a study is used, from 0 to 1, and how far it is in words.

    Args:
        budget: of the study.
        combinations: those that a grid walks through, which end it where the budget bounds no trials; ``None``: it is
            no grid.
        trials: all so far; of those under way counts what they have used by now.
        wall_seconds: since the study began.
    """
    over = sum(trial.over for trial in trials)
    run = sum(trial.over and trial.state != "skipped" for trial in trials)
    cpu = sum(trial.spent_cpu_seconds for trial in trials)
    bounds = []
    if budget.trials:
        skipped = f" and {over - run:,} skipped" if over > run else ""
        bounds.append((run / budget.trials, f"{run:,} of {count(budget.trials, 'trial')}{skipped}"))
    elif combinations:  # a grid does not come back to what was skipped
        bounds.append((over / combinations, f"{over:,} of {count(combinations, 'trial')}"))
    for used, bound, words in ((cpu, budget.cpu_seconds, " of CPU"), (wall_seconds, budget.wall_seconds, "")):
        if bound:
            bounds.append((used / bound, f"{quantity(used, 's')} of {quantity(bound, 's')}{words}"))
    if not bounds:
        return 0.0, count(run, "trial")
    return min(1.0, max(done for done, _ in bounds)), ", ".join(words for _, words in bounds)


def left(
    budget: Budget, combinations: int | None, trials: Sequence[Trial], wall_seconds: float
) -> dict[str, float]:
    """What is left of each bound of a study, by its name in the budget; what is under way was begun. As ``share``."""
    begun = sum(trial.state != "skipped" for trial in trials)
    cpu = sum(trial.spent_cpu_seconds for trial in trials)
    most, had = (budget.trials, begun) if budget.trials is not None else (combinations, len(trials))
    found = {
        "trials": None if most is None else most - had,
        "cpu_seconds": None if budget.cpu_seconds is None else budget.cpu_seconds - cpu,
        "wall_seconds": None if budget.wall_seconds is None else budget.wall_seconds - wall_seconds,
    }
    return {name: max(0, rest) for name, rest in found.items() if rest is not None}
