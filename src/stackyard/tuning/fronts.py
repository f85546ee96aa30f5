"""The front of a study: the completed trials that no other beats in every objective. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stackyard.tuning.trial import Trial


def front(trials: Sequence[Trial], objectives: Mapping[str, bool]) -> list[Trial]:
    """The trials that are not dominated, best of the first objective first; of one objective the first best.

    Args:
        trials: of a study.
        objectives: name -> whether more is better.
    """
    whole = [t for t in trials if t.state == "completed" and all(name in t.values for name in objectives)]
    points = [
        (tuple(-t.values[name] if more else t.values[name] for name, more in objectives.items()), t.number, t)
        for t in whole
    ]
    points.sort(key=lambda one: one[:2])
    found: list[tuple[tuple[float, ...], Trial]] = []
    for point, _, trial in points:  # sorted: whatever dominates a point stands before it
        if not any(all(a <= b for a, b in zip(other, point, strict=True)) for other, _ in found):
            found.append((point, trial))
    return [trial for _, trial in found]
