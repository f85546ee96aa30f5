"""Parallel coordinates of a study: an axis for each parameter, the first objective the last, a line a trial. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from stackyard.counting import count
from stackyard.tuning.report import wording
from stackyard.tuning.report.axes import Tick, axis
from stackyard.tuning.report.charts import Line, path, text, thinned
from stackyard.tuning.report.report import StudyReport
from stackyard.tuning.report.said import shortened
from stackyard.tuning.report.settings import Dimension

#: Lines, and axes of parameters.
MOST_LINES, MOST_AXES = 250, 12
#: Values that are marked on the axis of a choice.
MOST_TICKS = 14
#: Classes of lines by rank, the worst fifth first.
CLASSES = 5
HEIGHT, TOP, BOTTOM, LEFT, RIGHT, APART = 330.0, 46.0, 16.0, 96.0, 84.0, 170.0
_LONGEST_TICK, _LONGEST_TITLE = 14, 22


@dataclass(frozen=True)
class Coordinate:
    """One axis."""

    x: float
    title: str
    #: The title in full.
    name: str
    #: Place, text, text in full.
    ticks: list[tuple[Tick, str]]


@dataclass(frozen=True)
class Parallel:
    """The drawing."""

    width: float
    coordinates: list[Coordinate]
    lines: list[Line]
    about: str
    note: str

    @property
    def many(self) -> bool:
        """Whether there are so many lines that each is drawn thin."""
        return len(self.lines) > 80


class _Scale:
    """Where a parameter's value stands."""

    def __init__(self, told: Dimension, values: list[Any]) -> None:
        self._places: dict[str, float] = {}
        start, end = HEIGHT - BOTTOM, TOP
        self._axis = None
        if told.values is not None:
            listed = list(told.values)
            if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in listed):
                listed = sorted(listed)
            last = max(1, len(listed) - 1)
            self._places = {
                _key(v): (start + end) / 2 if len(listed) == 1 else start + i / last * (end - start)
                for i, v in enumerate(listed)
            }
            words = [wording.parameter(v) for v in listed]
            few = thinned(list(zip(self._places.values(), words)), MOST_TICKS)
            self.ticks = [(Tick(round(at, 1), shortened(word, _LONGEST_TICK)), word) for at, word in few]
        else:
            ends = [v for v in (told.low, told.high, *values) if _is_number(v)]
            self._axis = axis(ends, "", start, end, log=told.log)
            self.ticks = [(tick, tick.text) for tick in self._axis.ticks]

    def place(self, value: Any) -> float | None:
        if self._axis is None:
            return self._places.get(_key(value))
        return self._axis.place(float(value)) if _is_number(value) else None


def draw(report: StudyReport) -> Parallel | None:
    """The drawing; ``None``: no trial has completed, or there is no parameter."""
    first = report.first
    completed = [t for t in report.trials if t.state == "completed" and first in t.values]
    dimensions = report.dimensions
    if not completed or not dimensions:
        return None
    shown = dimensions[:MOST_AXES]
    names = [told.name for told in shown]
    scales = [_Scale(told, [t.parameters.get(told.name) for t in completed]) for told in shown]
    last = axis([t.values[first] for t in completed], first, HEIGHT - BOTTOM, TOP)
    places = [LEFT + APART * i for i in range(len(shown) + 1)]
    coordinates = [
        Coordinate(x, shortened(name, _LONGEST_TITLE), name, scale.ticks)
        for x, name, scale in zip(places, names, scales)
    ]
    coordinates.append(
        Coordinate(
            places[-1],
            shortened(last.title, _LONGEST_TITLE),
            last.title,
            [(tick, tick.text) for tick in last.ticks],
        )
    )
    more = report.objectives.get(first, False)
    ranked = sorted(completed, key=lambda t: t.values[first] if more else -t.values[first])
    rank = {trial.number: i for i, trial in enumerate(ranked)}
    front = {trial.number for trial in report.front}
    drawn = thinned(ranked, MOST_LINES, lambda t: t.number in front)
    lines = []
    for trial in sorted(
        drawn, key=lambda t: (t.number in front, rank[t.number])
    ):  # the best above the others
        ys = [scale.place(trial.parameters.get(name)) for name, scale in zip(names, scales)]
        if any(y is None for y in ys):
            continue
        points = [
            *((x, y) for x, y in zip(places, ys) if y is not None),
            (places[-1], last.place(trial.values[first])),
        ]
        kind = "best" if trial.number in front else f"q{rank[trial.number] * CLASSES // len(ranked)}"
        lines.append(Line(path(points), kind, text(trial, report), trial.number))
    notes = []
    if len(lines) < len(completed):
        notes.append(f"Drawn: {len(lines):,} of {count(len(completed), 'completed trial')}.")
    if len(dimensions) > len(shown):
        notes.append(f"Drawn: {len(shown)} of {len(dimensions)} parameters.")
    better = "more" if more else "less"
    return Parallel(
        places[-1] + RIGHT,
        coordinates,
        lines,
        f"A line is a completed trial, from its parameters to its {first}, of which {better} is better. "
        "The stronger a line, the better the trial; "
        + ("those of the front" if len(report.objectives) > 1 else "the best one")
        + " in green.",
        " ".join(notes),
    )


def _key(value: Any) -> str:
    """Equal values have one, whichever type JSON gave them back as; true is not 1."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"n{float(value)!r}"
    return f"{type(value).__name__}{value}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
