"""A record's figures as a server's pages show them: named for people, in human units; the timeline as a plot.

Pure: records and plain values in, plain values out. Who sends them is ``handing_in``.
The exact values, in bytes and seconds, are in the record itself. Standard library only.
"""

from __future__ import annotations

import contextlib
import datetime
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from stackyard_task.figure_names import CPU, GPU, MB, MEASURED, RAM, STEPS, WAYS, WITNESS, of_gpu
from stackyard_task.records import Course, Dispatch, RunRecord

#: Points of a plotted series: more than a screen has columns, few enough to be sent at once.
PLOT_POINTS = 1500
#: Of a plot on a narrow screen, a character's share of the width; the height of a line of text.
_CHARACTER, _LINE_PIXELS = 0.03, 15


def figures(record: RunRecord) -> Dict[str, float]:
    """Every number of a record: name with its unit -> value. What was not measured is not there."""
    found = _scaled(record.measurement, MEASURED)
    if record.measurement.steps is not None:
        found.update(_scaled(record.measurement.steps, STEPS))
    for gpu in record.measurement.gpus:
        found.update((of_gpu(gpu.index, name), value) for name, value in _scaled(gpu, GPU).items())
    if record.witness is not None:
        found.update(_scaled(record.witness, WITNESS))
    if record.dispatch is not None:
        found.update(_ways(record.dispatch))
    found.update(numbers(record.results))
    return found


def numbers(results: Mapping[str, Any]) -> Dict[str, float]:
    """The finite numbers among a run's results, under their own names."""
    return {
        name: value
        for name, value in results.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")
    }


def _scaled(value: Any, table: Sequence[Tuple[str, str, float]]) -> Dict[str, float]:
    found = {}
    for field, name, factor in table:
        number = getattr(value, field)
        if number is not None:
            found[name] = number * factor
    return found


def _ways(dispatch: Dispatch) -> Dict[str, float]:
    found = {}
    for start, end, name in WAYS:
        began, ended = getattr(dispatch, start), getattr(dispatch, end)
        if began and ended:
            with contextlib.suppress(ValueError, TypeError):  # a server may write an instant otherwise
                took = datetime.datetime.fromisoformat(ended) - datetime.datetime.fromisoformat(began)
                found[name] = took.total_seconds()
    return found


def timeline_plot(course: Course) -> Optional[Dict[str, Any]]:
    """The course of a run as a plotly figure: CPU against the left axis, memory against the right.

    Returns:
        ``{"data": [...], "layout": {...}}``; ``None`` without a sample.
    """
    t = course.t_seconds
    if not t:
        return None
    lines = [
        _line(CPU, t, course.cpu_percent_of_core, 1, "y"),
        _line(RAM, t, course.rss_bytes, MB, "y2"),
    ]
    for gpu in course.gpus:
        lines.append(_line(f"GPU {gpu.index} memory (MB)", t, gpu.memory_bytes, MB, "y2"))
        lines.append(_line(f"GPU {gpu.index} utilisation (%)", t, gpu.utilisation_percent, 1, "y"))
    return {
        "data": [line for line in lines if line is not None],
        "layout": {
            "xaxis": {"title": {"text": "seconds since the start"}},
            "yaxis": {"title": {"text": "%"}, "rangemode": "tozero"},
            "yaxis2": {
                "title": {"text": "MB"},
                "rangemode": "tozero",
                "overlaying": "y",
                "side": "right",
                "showgrid": False,
            },
            # above the curves: below them it would lie over the axis' title where the page is narrow
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "margin": {"r": 56},
            "shapes": [
                {
                    "type": "line",
                    "x0": phase.at_seconds,
                    "x1": phase.at_seconds,
                    "yref": "paper",
                    "y0": 0,
                    "y1": 1,
                    "line": {"width": 1, "dash": "dot"},
                }
                for phase in course.phases
            ],
            "annotations": _names_of_phases(course),
        },
    }


def _names_of_phases(course: Course) -> List[Dict[str, Any]]:
    """The names of the phases, at the top within the plot, each where no other is, at any width of a page."""
    span = max(course.t_seconds[-1] - course.t_seconds[0], 1e-9)
    found: List[Dict[str, Any]] = []
    taken: List[float] = []  # of each line of names, where it is free from
    for phase in sorted(course.phases, key=lambda phase: phase.at_seconds):
        at, width = (phase.at_seconds - course.t_seconds[0]) / span, _CHARACTER * (len(phase.name) + 2)
        is_last = at + width > 1
        begin = at - width if is_last else at
        line = next((i for i, free in enumerate(taken) if free <= begin), len(taken))
        taken[line : line + 1] = [begin + width]
        found.append(
            {
                "x": phase.at_seconds,
                "y": 1,
                "yref": "paper",
                "text": phase.name,
                "showarrow": False,
                "bgcolor": "rgba(255,255,255,0.7)",
                "xanchor": "right" if is_last else "left",
                "yanchor": "top",
                "yshift": -_LINE_PIXELS * line,
            }
        )
    return found


def _line(
    name: str, t: Sequence[float], values: Sequence[Optional[float]], factor: float, axis: str
) -> Optional[Dict[str, Any]]:
    if not values:
        return None
    places = [i for i in _peaks(values, PLOT_POINTS) if i < len(t)]
    shown = [values[i] for i in places]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "yaxis": axis,
        "x": [round(t[i], 3) for i in places],
        "y": [None if value is None else round(value * factor, 3) for value in shown],
    }


def _peaks(values: Sequence[Any], most: int) -> List[int]:
    """At most ``most`` places, in order: of each stretch the one with the greatest value, so no peak is lost."""
    if len(values) <= most:
        return list(range(len(values)))
    bounds = [round(i * len(values) / most) for i in range(most + 1)]
    return [
        max(range(start, stop), key=lambda i: -1.0 if values[i] is None else values[i])
        for start, stop in zip(bounds, bounds[1:])
        if stop > start
    ]
