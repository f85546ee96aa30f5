"""How a study's figures are said: names and units of what trials use, values, limits, dimensions. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from stackyard.reports.quantities import NOT_MEASURED, quantity
from stackyard.tuning import notes
from stackyard.tuning.report.settings import Dimension
from stackyard.tuning.trial import Interval, Trial
from stackyard_task import criteria

#: Unit of what a trial uses, by quantity, and of the limit that is none.
UNITS = {
    name: {"bytes": "B", "seconds": "s", "joules": "J", "times": ""}[unit]
    for name, unit in criteria.UNITS.items()
}
#: The quantities, and the limit that is none, in words.
LABELS = criteria.WORDS
#: Letters of a parameter's value that are told.
_MOST_LETTERS = 80
#: Why trials ended or never began, where that is no quantity.
KINDS = {
    "pruner": "pruner",
    "budget": "budget of the study",
    "request": "asked to stop",
    "predicted": "predicted to break a limit",
    "limit": "a limit",
}


def reason(trial: Trial) -> str:
    """Why a trial ended or never began, without its state, beside which it is told; empty: there is no reason."""
    if trial.reason is None:
        return ""
    return trial.reason.message.removeprefix(trial.state).lstrip(": ")


def early_share(trial: Trial) -> str:
    """ "after the first steps, at 5 %": when a trial was predicted while it ran."""
    share = "" if trial.early_share is None else f", at {100 * trial.early_share:.2g} %"
    return f"after the first steps{share}"


def label(name: str) -> str:
    """A quantity or criterion in words; a workload's own figure by its name."""
    return LABELS.get(name) or KINDS.get(name) or name


def amount(value: float | None, name: str) -> str:
    """A figure as people read it: a quantity with its unit, a workload's own as a plain number."""
    if value is None or math.isnan(value):
        return NOT_MEASURED
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if name in UNITS:
        return quantity(value, UNITS[name]) if name != "slowing" else f"{value:g}×"
    return number(value)


def number(value: float) -> str:
    """A plain number of up to six digits."""
    return f"{value:.6g}"


def parameter(value: Any) -> str:
    """A parameter's value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value)
    text = notes.shown(str(value))
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."


def parameters(given: Mapping[str, Any]) -> str:
    """A trial's parameters on one line."""
    return " ".join(f"{name}={parameter(value)}" for name, value in given.items())


def interval(told: Interval | None, name: str) -> str:
    """ "1.75 s [1.6 s, 1.9 s]"; empty: nothing was predicted."""
    if told is None:
        return ""
    return f"{amount(told.value, name)} [{amount(told.low, name)}, {amount(told.high, name)}]"


def dimension(told: Dimension) -> str:
    """A dimension of the space in words."""
    if told.values is not None:
        return ", ".join(parameter(value) for value in told.values)
    more = [
        *(["whole numbers"] if told.whole else []),
        *(["log scale"] if told.log else []),
        *([f"in steps of {number(told.step)}"] if told.step is not None else []),
    ]
    ends = (NOT_MEASURED if end is None else number(end) for end in (told.low, told.high))
    return " to ".join(ends) + (f" ({', '.join(more)})" if more else "")
