"""Reported plots as we draw them: lines, tables, or a word on what is not drawn. Pure.

Clients report plots as plotly figures (JSON). Lines and points become charts, one for each y axis; tables and bars
become tables. Anything else is named.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .charts import Chart, draw

#: Rows of a table that are shown, and points of a line.
MOST_ROWS, MOST_POINTS = 200, 2000
#: numpy's names of the types plotly packs, as ``array`` has them.
PACKED = {"f8": "d", "f4": "f", "i4": "i", "u4": "I", "i2": "h", "u2": "H", "i1": "b", "u1": "B"}


@dataclass
class Table:
    """A reported table."""

    head: list[str]
    rows: list[list[str]]
    #: How many rows there are in all.
    count: int


@dataclass
class Drawn:
    """A plot as far as we draw it."""

    title: str
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    #: What is in it that is not drawn.
    missing: list[str] = field(default_factory=list)


def read(title: str, text: str) -> Drawn:
    """A plot from the figure a client reported."""
    drawn = Drawn(title)
    try:
        figure = json.loads(text)
        traces = [trace for trace in figure.get("data") or [] if isinstance(trace, dict)]
        layout = figure.get("layout")
        _draw(drawn, traces, layout if isinstance(layout, dict) else {})
    except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError, RecursionError):
        drawn.missing.append("What was reported is no figure that can be read")
    return drawn


def _draw(drawn: Drawn, traces: list[dict[str, Any]], layout: Mapping[str, Any]) -> None:
    axes: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for number, trace in enumerate(traces):
        kind = str(trace.get("type") or "scatter")
        name = str(trace.get("name") or f"series {number + 1}")
        if kind in ("scatter", "scattergl"):
            points = points_of(trace)
            if points[0]:
                axes.setdefault(str(trace.get("yaxis") or "y"), {})[name] = points
        elif kind == "table":
            drawn.tables.append(table_of(trace))
        elif kind == "bar":
            xs, ys = values(trace.get("x")), values(trace.get("y"))
            rows = [[word(x), word(y)] for x, y in zip(xs, ys)]
            drawn.tables.append(Table(["", name], rows[:MOST_ROWS], len(rows)))
        else:
            drawn.missing.append(f"{kind} is not drawn here")
    marks = marks_of(layout)
    for axis, series in axes.items():
        label = title_of(layout.get(f"yaxis{axis[1:]}"))
        if chart := draw(label or drawn.title, series, marks):
            drawn.charts.append(chart)


def values(packed: Any) -> list[Any]:
    """A trace's values: a list, or plotly's packed numbers."""
    if isinstance(packed, list):
        return packed
    if isinstance(packed, dict):
        kind = PACKED.get(str(packed.get("dtype", "")).lstrip("<"))
        try:
            return array(kind, base64.b64decode(str(packed.get("bdata", "")))).tolist() if kind else []
        except (ValueError, binascii.Error):
            return []
    return []


def points_of(trace: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """The finite points of a trace, thinned; instants become seconds since the first, other words their places."""
    ys = values(trace.get("y"))
    xs = values(trace.get("x")) or list(range(len(ys)))
    placed = places(xs)
    pairs = [
        (x, float(y))
        for x, y in zip(placed, ys)
        if isinstance(y, (int, float)) and not isinstance(y, bool) and math.isfinite(y) and math.isfinite(x)
    ]
    step = max(1, math.ceil(len(pairs) / MOST_POINTS))
    thinned = pairs[::step]
    return [x for x, _ in thinned], [y for _, y in thinned]


def places(xs: Sequence[Any]) -> list[float]:
    """Where the values of an x axis stand."""
    if all(isinstance(x, (int, float)) for x in xs):
        return [float(x) for x in xs]
    try:
        instants = [datetime.fromisoformat(str(x).replace("Z", "+00:00")).timestamp() for x in xs]
    except ValueError:
        return [float(place) for place in range(len(xs))]
    return [at - instants[0] for at in instants]


def marks_of(layout: Mapping[str, Any]) -> list[tuple[float, str]]:
    """What annotations say along the x axis: phases of a run, say."""
    found = []
    for note in layout.get("annotations") or []:
        if (
            isinstance(note, dict)
            and isinstance(note.get("x"), (int, float))
            and note.get("xref", "x") == "x"
        ):
            found.append((float(note["x"]), word(note.get("text"))))
    return found


def title_of(axis: Any) -> str:
    """An axis's title, which plotly writes in two ways."""
    title = axis.get("title") if isinstance(axis, dict) else None
    return str((title.get("text") if isinstance(title, dict) else title) or "")


def table_of(trace: Mapping[str, Any]) -> Table:
    """A table trace: plotly keeps columns."""
    head, cells = (
        part if isinstance(part, dict) else {} for part in (trace.get("header"), trace.get("cells"))
    )
    names = [word(v[0] if isinstance(v, list) and v else v) for v in values(head.get("values"))]
    columns = [v if isinstance(v, list) else [v] for v in values(cells.get("values"))]
    count = max((len(column) for column in columns), default=0)
    rows = [
        [word(column[row]) if row < len(column) else "" for column in columns]
        for row in range(min(count, MOST_ROWS))
    ]
    return Table(names, rows, count)


def word(value: Any) -> str:
    """A cell as text, without the markup plotly understands."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return str("" if value is None else value).replace("<b>", "").replace("</b>", "")
