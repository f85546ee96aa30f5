"""Line charts as SVG, drawn here: no script, no build step, works offline. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 560, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 28
#: What lies closer together is one place: below, steps would be less than floats can be.
LEAST_SPAN = 1e-300
#: How many colours ``style.css`` has for series.
COLOURS = 8


@dataclass(frozen=True)
class Line:
    """One series: its name, its path and how it ends."""

    name: str
    colour: int
    #: The ``d`` of an SVG path; a series of one point is a dot.
    path: str
    dot: tuple[float, float] | None
    last: str


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, in SVG units, and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """What the template draws."""

    title: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    #: Places on the x axis with a word to them.
    marks: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def shown(value: float) -> str:
    """A number in at most about six characters."""
    if value == 0:
        return "0"
    if float(value).is_integer() and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.4g}"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two values, 1-2-5 steps (Heckbert, Graphics Gems 1990: nice numbers for labels)."""
    span = high - low
    if span <= LEAST_SPAN or not math.isfinite(span):
        return [low]
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def draw(
    title: str,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    marks: Sequence[tuple[float, str]] = (),
) -> Chart | None:
    """A chart of series ``{name: (x, y)}`` with marks ``(x, word)``; None where no point is finite."""
    points = {
        name: [(x, y) for x, y in zip(xs, ys) if y is not None and math.isfinite(y) and math.isfinite(x)]
        for name, (xs, ys) in series.items()
    }
    everything = [p for some in points.values() for p in some]
    if not everything:
        return None
    low_x, high_x = min(p[0] for p in everything), max(p[0] for p in everything)
    low_y, high_y = min(p[1] for p in everything), max(p[1] for p in everything)
    margin = (high_y - low_y) * 0.05 or abs(high_y) * 0.05 or 1.0
    low_y, high_y = low_y - margin, high_y + margin

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - low_x) / (high_x - low_x) if high_x > low_x else 0.5
        up = (y - low_y) / (high_y - low_y)
        inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return round(LEFT + across * inner_width, 1), round(TOP + (1 - up) * inner_height, 1)

    lines = []
    for number, (name, some) in enumerate(points.items()):
        if not some:
            continue
        placed = [place(*p) for p in some]
        path = "M" + " L".join(f"{x} {y}" for x, y in placed) if len(placed) > 1 else ""
        dot = placed[0] if len(placed) == 1 else None
        lines.append(Line(name, number % COLOURS, path, dot, shown(some[-1][1])))
    return Chart(
        title,
        lines,
        [Tick(place(x, low_y)[0], shown(x)) for x in ticks(low_x, high_x)],
        [Tick(place(low_x, y)[1], shown(y)) for y in ticks(low_y, high_y)],
        [Tick(place(x, low_y)[0], text) for x, text in marks if low_x <= x <= high_x],
    )
