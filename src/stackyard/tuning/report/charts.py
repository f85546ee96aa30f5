"""What the page of a study draws, as SVG without a script: points and lines in a frame. Geometry and text. Pure.

Each chart says what it leaves out. Colours and shapes are classes of ``study.css``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from stackyard.counting import count
from stackyard.tuning.folder import name_of
from stackyard.tuning.report import analysis, said, wording
from stackyard.tuning.report.axes import Axis, axis
from stackyard.tuning.report.report import StudyReport
from stackyard.tuning.trial import Trial

#: Marks of one chart, courses, points of one course.
MOST_MARKS, MOST_COURSES, MOST_POINTS = 1_000, 60, 80
#: Frame of a chart, in points of its view box.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460.0, 310.0, 56.0, 14.0, 26.0, 46.0
#: What is drawn of which state.
_KINDS = {
    "completed": "completed",
    "stopped": "stopped, with its end",
    "failed": "failed",
    "best": "best",
    "running": "running",
}
#: Characters of a trial's parameters in a chart.
_LONGEST = 160

T = TypeVar("T")


@dataclass(frozen=True)
class Mark:
    """One point."""

    x: float
    y: float
    #: Its class: "completed", "best", "dominated", "stopped" or "failed".
    kind: str
    text: str
    trial: int


@dataclass(frozen=True)
class Line:
    """One line."""

    points: str
    kind: str
    text: str = ""
    #: Of a trial; ``None``: of all.
    trial: int | None = None


@dataclass(frozen=True)
class Chart:
    """A frame with what is drawn in it."""

    title: str
    about: str
    x: Axis
    y: Axis
    lines: list[Line] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    #: Class and words of what is drawn.
    keys: list[tuple[str, str]] = field(default_factory=list)
    #: What is not drawn.
    note: str = ""

    @property
    def many(self) -> bool:
        """Whether there are so many marks that each is drawn small."""
        return len(self.marks) > 250


def thinned(items: Sequence[T], most: int, keep: Callable[[T], bool] = lambda item: False) -> list[T]:
    """At most about so many items, evenly among all; those of ``keep`` first, in their order."""
    if len(items) <= most:
        return list(items)
    kept = [i for i, item in enumerate(items) if keep(item)][:most]
    room = most - len(kept)
    chosen = set(kept)
    if room > 1:
        chosen |= {round(i * (len(items) - 1) / (room - 1)) for i in range(room)}
    return [items[i] for i in sorted(chosen)]


def best_chart(report: StudyReport) -> Chart | None:
    """The best so far over the CPU seconds of all trials; ``None``: none has completed."""
    if not report.best_so_far:
        return None
    name, seen, used = report.first, [], 0.0
    for trial in analysis.in_order(report.trials):
        used += trial.spent_cpu_seconds
        if trial.state == "completed" and name in trial.values:
            seen.append((used, trial))
    x = _x([used], "cpu_seconds", zero=True)
    y = _y([trial.values[name] for _, trial in seen], name)
    drawn = thinned(seen, MOST_MARKS)
    places = [(x.place(used), y.place(value)) for used, value in report.best_so_far]
    steps = [f"{places[0][0]:.1f},{places[0][1]:.1f}"]
    for (_, before), (at, now) in pairwise(places):
        steps += [f"{at:.1f},{before:.1f}", f"{at:.1f},{now:.1f}"]
    best = report.front[0] if report.front else None  # the first of equals, as the text has it
    return Chart(
        f"Best {name} so far",
        f"Each dot is a completed trial where it ended; the line is the best so far. "
        f"{_direction(report)} CPU time is that of all trials together, in the order in which they ended.",
        x,
        y,
        [Line(" ".join(steps), "best")],
        [
            _mark(
                x.place(at),
                y.place(trial.values[name]),
                "best" if trial is best else "completed",
                trial,
                report,
            )
            for at, trial in drawn
        ],
        [("best", "best so far"), ("completed", "completed trial")],
        _left(len(drawn), len(seen), "trial"),
    )


def courses_chart(report: StudyReport) -> Chart | None:
    """What trials told of the first objective while they ran; ``None``: none has told any."""
    told = [
        (trial, points)
        for trial in report.trials
        if (
            points := [
                (point.cpu_seconds, point.value)
                for point in trial.course
                if point.cpu_seconds is not None and math.isfinite(point.value)
            ]
        )
    ]
    if not told:
        return None
    front = {trial.number for trial in report.front}
    drawn = thinned(told, MOST_COURSES, lambda one: one[0].number in front)
    name = report.first
    x = _x([cpu for _, points in drawn for cpu, _ in points], "cpu_seconds", zero=True)
    y = _y([value for _, points in drawn for _, value in points], name)
    lines, marks = [], []
    # the best last: above the others
    for trial, points in sorted(drawn, key=lambda one: one[0].number in front):
        kind = "best" if trial.number in front else trial.state
        few = thinned(points, MOST_POINTS)
        places = [(x.place(cpu), y.place(value)) for cpu, value in few]
        lines.append(Line(path(places), kind, text(trial, report), trial.number))
        if trial.state in ("stopped", "failed") or len(places) == 1:
            marks.append(_mark(*places[-1], kind, trial, report))
    kinds = {line.kind for line in lines}
    words = _KINDS | {"best": _best_word(report)}
    return Chart(
        f"{name} while trials ran",
        f"Over each trial's own CPU time. {_direction(report)}",
        x,
        y,
        lines,
        marks,
        [(kind, word) for kind, word in words.items() if kind in kinds],
        _left(len(drawn), len(told), "trial"),
    )


def cost_charts(report: StudyReport) -> list[Chart]:
    """The first objective against each other, with the front; of one objective against its CPU time."""
    others = [name for name in report.objectives if name != report.first] or ["cpu_seconds"]
    found = (_cost_chart(report, name) for name in others[:3])
    return [chart for chart in found if chart is not None]


def _cost_chart(report: StudyReport, other: str) -> Chart | None:
    name, several = report.first, len(report.objectives) > 1

    def of(trial: Trial) -> float | None:
        return trial.values.get(other, trial.used.get(other))

    whole = [
        (cost, trial)
        for trial in report.trials
        if trial.state == "completed" and name in trial.values and (cost := of(trial)) is not None
    ]
    if not whole or other == name:
        return None
    front = {trial.number for trial in report.front}
    drawn = thinned(whole, MOST_MARKS, lambda one: one[1].number in front)
    x = _x([cost for cost, _ in whole], other)
    y = _y([trial.values[name] for _, trial in whole], name)
    kind = "dominated" if several else "completed"
    marks = [
        _mark(
            x.place(cost),
            y.place(trial.values[name]),
            "best" if trial.number in front else kind,
            trial,
            report,
        )
        for cost, trial in sorted(drawn, key=lambda one: one[1].number in front)
    ]
    lines = []
    if several and len(report.objectives) == 2:
        places = sorted((x.place(of(t) or 0.0), y.place(t.values[name])) for t in report.front)
        lines.append(Line(path(_steps(places, report.objectives[other])), "front"))
    about = (
        "Completed trials. To each pale one another is at least as good in every objective."
        if several
        else "Completed trials; the cost is no objective of this study."
    )
    words = [("best", "front" if several else "best"), (kind, "beaten" if several else "completed")]
    return Chart(
        f"{wording.label(name)} against {wording.label(other)}",
        f"{about} {_direction(report)}" + (f" {_direction(report, other)}" if several else ""),
        x,
        y,
        lines,
        marks,
        words,
        _left(len(drawn), len(whole), "trial"),
    )


def _steps(places: Sequence[tuple[float, float]], more: bool) -> list[tuple[float, float]]:
    """The corners of what a front reaches: between two trials of it nothing better is known.

    Args:
        places: of the front, from left to right.
        more: whether what stands to the right is better.
    """
    corners = list(places[:1])
    for (x, y), (onward, other) in pairwise(places):
        corners += [(x, other) if more else (onward, y), (onward, other)]
    return corners


def use_chart(report: StudyReport) -> Chart | None:
    """What trials used, peak RAM against CPU time, with the limits; ``None``: nobody measured it."""
    ran = [
        (trial.used["cpu_seconds"], trial.used["ram_bytes"], trial)
        for trial in report.trials
        if "cpu_seconds" in trial.used and "ram_bytes" in trial.used
    ]
    if not ran:
        return None
    front = {trial.number for trial in report.front}
    drawn = thinned(ran, MOST_MARKS, lambda one: one[2].number in front)
    cpu_limit, ram_limit = (report.limits.get(name) for name in ("cpu_seconds", "ram_bytes"))
    x = _x([*(cpu for cpu, _, _ in ran), *([cpu_limit] if cpu_limit else [])], "cpu_seconds")
    y = _y([*(ram for _, ram, _ in ran), *([ram_limit] if ram_limit else [])], "ram_bytes")
    lines = []
    if ram_limit:
        lines.append(Line(path([(x.start, y.place(ram_limit)), (x.end, y.place(ram_limit))]), "limit"))
    if cpu_limit:
        lines.append(Line(path([(x.place(cpu_limit), y.start), (x.place(cpu_limit), y.end)]), "limit"))
    marks = [
        _mark(
            x.place(cpu),
            y.place(ram),
            "best" if trial.number in front else trial.state,
            trial,
            report,
        )
        for cpu, ram, trial in sorted(drawn, key=lambda one: one[2].number in front)
    ]
    kinds = {mark.kind for mark in marks} | {line.kind for line in lines}
    words = _KINDS | {"best": _best_word(report), "limit": "limit of a trial", "stopped": "stopped"}
    return Chart(
        "What trials used",
        "Peak RAM against CPU time; of a stopped or failed trial, until its end.",
        x,
        y,
        lines,
        marks,
        [(kind, word) for kind, word in words.items() if kind in kinds],
        _left(len(drawn), len(ran), "trial"),
    )


def _best_word(report: StudyReport) -> str:
    return "best" if len(report.objectives) < 2 else "front"


def _direction(report: StudyReport, name: str | None = None) -> str:
    name = report.first if name is None else name
    return f"{'More' if report.objectives.get(name) else 'Less'} {wording.label(name)} is better."


def _x(values: Sequence[float], name: str, zero: bool = False) -> Axis:
    return axis(values, name, LEFT, WIDTH - RIGHT, zero=zero, log=False if zero else None, margin=True)


def _y(values: Sequence[float], name: str) -> Axis:
    return axis(values, name, HEIGHT - BOTTOM, TOP, margin=True)


def _mark(x: float, y: float, kind: str, trial: Trial, report: StudyReport) -> Mark:
    return Mark(round(x, 1), round(y, 1), kind, text(trial, report), trial.number)


def text(trial: Trial, report: StudyReport) -> str:
    """A trial in a few words, for whoever points at it."""
    values = ", ".join(
        f"{wording.label(name)} {wording.amount(trial.values.get(name), name)}" for name in report.objectives
    )
    cpu = wording.amount(trial.used.get("cpu_seconds"), "cpu_seconds")
    state = "" if trial.state == "completed" else f" ({trial.state})"
    return said.shortened(
        f"{name_of(trial.number)}{state}: {values}; {cpu} of CPU; {said.given(trial)}", _LONGEST
    )


def path(places: Sequence[tuple[float, float]]) -> str:
    """The corners of a line, as SVG takes them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _left(drawn: int, total: int, noun: str) -> str:
    return "" if drawn >= total else f"Drawn: {drawn:,} of {count(total, noun)}."
