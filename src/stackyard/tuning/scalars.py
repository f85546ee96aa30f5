"""What a study shows over its trials, as charts of a task's page: objectives, the best so far, what each trial used.

Pure. One point for each trial that is over, at its number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from stackyard.tuning.study import Study
from stackyard.tuning.trial import Trial
from stackyard_task.studies import Scalar

#: Titles of charts.
BEST, OBJECTIVE, CPU, RAM = "Best so far", "Objective", "CPU time of a trial (s)", "Peak RAM of a trial (MB)"
#: Chart of the sum over all trials, over their number.
USED = "CPU time of the study (s)"


def of(trial: Trial, trials: Sequence[Trial], study: Study) -> list[Scalar]:
    """The points of a trial that is over.

    Args:
        trial: which.
        trials: all so far.
        study: what they search.
    """
    at, found = trial.number + 1, []
    if trial.state == "skipped":
        return []
    for objective in study.objectives:
        value = trial.values.get(objective.name)
        if trial.state == "completed" and value is not None and math.isfinite(value):
            found.append(Scalar(OBJECTIVE, objective.name, at, value))
        values = [
            other.values[objective.name]
            for other in trials
            if other.state == "completed" and objective.name in other.values
        ]
        if values:
            best = max(values) if objective.maximise else min(values)
            found.append(Scalar(BEST, objective.name, at, best))
    for title, quantity, unit in ((CPU, "cpu_seconds", 1.0), (RAM, "ram_bytes", 1e6)):
        if quantity in trial.used:
            found.append(Scalar(title, "trial", at, trial.used[quantity] / unit))
    found.append(Scalar(USED, "all trials", at, sum(other.spent_cpu_seconds for other in trials)))
    return found
