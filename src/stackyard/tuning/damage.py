"""What in the file of a trial no tuner writes: people edit files, and disks lose parts of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stackyard.tuning.space import Choice, Dimension, Range
from stackyard.tuning.trial import QUANTITIES, STATES, Trial
from stackyard_task import records

#: More than this no trial uses, whatever its unit.
MOST = 1e300
#: Nobody begins a trial so often.
MOST_STARTS = 1_000_000
#: By this share of a range's width a value may lie outside it: sums of steps are not exact.
_SLACK = 1e-9


@dataclass
class _Kept:
    """A dimension of the space as ``study.json`` has it."""

    name: str
    #: Of a choice; ``None``: it is a range.
    values: list[Any] | None = None
    low: float = 0.0
    high: float = 0.0
    whole: bool = False


def kept_space(study: Mapping[str, Any]) -> tuple[Dimension, ...] | None:
    """The dimensions that a study's file names, which every trial of it has; ``None``: it names none.

    The space of a study is what it began with: another one is refused, with ``--accept-changes`` too.

    Args:
        study: as ``study.plain`` has it. Where its space is damaged, whoever reads the study says so.
    """
    try:
        kept = records.from_json(list[_Kept], study.get("space", []))
    except records.RecordError:
        return None
    found = (
        Range(one.name, one.low, one.high, one.whole)
        if one.values is None
        else Choice(one.name, tuple(one.values))
        for one in kept
    )
    return tuple(found) or None


def problem(trial: Trial, space: tuple[Dimension, ...] | None = None) -> str | None:
    """What in a trial's file no tuner writes; ``None``: nothing.

    Args:
        trial: as its file has it.
        space: the dimensions whose values it has; ``None``: they are not known.
    """
    if trial.state not in STATES:
        return f"state is {trial.state!r}"
    return next(_problems(trial, space), None)


def _problems(trial: Trial, space: tuple[Dimension, ...] | None) -> Iterator[str]:
    yield from _of_parameters(trial.parameters, space)
    yield from _of_amounts("used", trial.used)
    for kind, told in (("predicted", trial.predicted), ("predicted_early", trial.predicted_early)):
        for name, interval in told.items():
            numbers = (interval.low, interval.value, interval.high)
            if name not in QUANTITIES:
                yield f"{kind} has {name!r}, which is no quantity"
            if not all(0 <= number <= MOST for number in numbers) or sorted(numbers) != list(numbers):
                yield f"{kind}.{name} is {', '.join(map(repr, numbers))}"
    for place, reading in enumerate(trial.readings):
        where = f"readings[{place}]"
        yield from _of_amounts(f"{where}.used", reading.used)
        yield from _outside(f"{where}.share", reading.share, 1.0)
        yield from _outside(f"{where}.steps", reading.steps, MOST)
    for place, point in enumerate(trial.course):
        where = f"course[{place}]"
        yield from _outside(f"{where}.cpu_seconds", point.cpu_seconds, MOST)
        yield from _outside(f"{where}.wall_seconds", point.wall_seconds, MOST)
        yield from _endless({f"{where}.step": point.step, f"{where}.value": point.value})
    yield from _endless({f"values.{name}": value for name, value in trial.values.items()})
    yield from _outside("early_share", trial.early_share, 1.0)
    yield from _outside("retries", trial.retries, MOST_STARTS)
    yield from _outside("lost_cpu_seconds", trial.lost_cpu_seconds, MOST)
    yield from _outside("overhead_seconds", trial.overhead_seconds, MOST)


def _of_parameters(parameters: Mapping[str, Any], space: tuple[Dimension, ...] | None) -> Iterator[str]:
    if space is None:
        return
    for dimension in space:
        if dimension.name not in parameters:
            yield f"parameters lacks {dimension.name!r}"
        elif not _fits(dimension, parameters[dimension.name]):
            told = repr(parameters[dimension.name])[:60]
            yield f"parameters.{dimension.name} is {told}, which the study's space does not have"
    for name in parameters.keys() - {dimension.name for dimension in space}:
        yield f"parameters has {name!r}, which the study's space does not have"


def _fits(dimension: Dimension, value: Any) -> bool:
    """Whether a value is one of a dimension; its steps are not counted, for their sums differ in the last digits."""
    if isinstance(dimension, Choice):
        return dimension.holds(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    slack = 0.0 if dimension.whole else _SLACK * (dimension.high - dimension.low)
    if not dimension.low - slack <= value <= dimension.high + slack:
        return False
    return not dimension.whole or value == int(value)


def _of_amounts(kind: str, amounts: Mapping[str, float]) -> Iterator[str]:
    for name, amount in amounts.items():
        if name not in QUANTITIES:
            yield f"{kind} has {name!r}, which is no quantity"
        yield from _outside(f"{kind}.{name}", amount, MOST)


def _outside(name: str, amount: float | None, most: float) -> Iterator[str]:
    if amount is not None and not 0 <= amount <= most:
        yield f"{name} is {amount!r}"


def _endless(numbers: Mapping[str, float]) -> Iterator[str]:
    for name, number in numbers.items():
        if not _is_finite(number):
            yield f"{name} is no finite number"


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond all floats
        return False
