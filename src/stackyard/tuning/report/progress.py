"""How far a study is, as its file and its trials say. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stackyard.counting import count
from stackyard.reports.quantities import quantity
from stackyard.tuning.folder import StudyFile
from stackyard.tuning.report.told import Told
from stackyard.tuning.trial import Trial


def share(study: StudyFile, told: Told, trials: Sequence[Trial]) -> tuple[float, str]:
    """How much of the nearest bound of a study is used, from 0 to 1, and how far it is in words."""
    budget = told.budget
    over = sum(trial.over and trial.state != "skipped" for trial in trials)
    cpu = sum(trial.used.get("cpu_seconds", 0.0) for trial in trials)
    most = budget.get("trials") or _combinations(told)
    bounds = []
    if most:
        bounds.append((over / most, f"{over:,} of {count(most, 'trial')}"))
    for name, used, words in (("cpu_seconds", cpu, " of CPU"), ("wall_seconds", study.wall_seconds, "")):
        bound = budget.get(name)
        if bound:
            bounds.append((used / bound, f"{quantity(used, 's')} of {quantity(bound, 's')}{words}"))
    if not bounds:
        return 0.0, count(over, "trial")
    return min(1.0, max(done for done, _ in bounds)), ", ".join(words for _, words in bounds)


def _combinations(told: Told) -> int | None:
    """Of a grid of listed values; ``None``: it is none, or nobody counted."""
    listed = [one.values for one in told.space if one.values is not None]
    if told.search.sampler != "grid" or not listed or len(listed) < len(told.space):
        return None
    return math.prod(len(values) for values in listed)
