"""What the HTML report draws without a script: bars with intervals, phase bars, radars. Geometry and text.

Positions are percent of a track or points of an SVG's view box; colours are numbers of the palette in
``report.css``. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from stackyard.reports import quantities
from stackyard.reports.catalogue import FOOTPRINT
from stackyard.reports.report import CellReport, CellSummary, MetricNote, Report, WorkloadReport
from stackyard.reports.statistics import FEWEST_RUNS

#: Order in which an axis is asked to give the colours.
COLOUR_AXES = ("stack", "deployment", "hardware")
COLOURS = 6
#: Metric, name and class of each step of a dispatched run but the work itself.
DISPATCH = (
    ("dispatch_pickup_seconds", "waiting", "dwaiting"),
    ("dispatch_container_seconds", "container", "dcontainer"),
    ("dispatch_agent_seconds", "agent", "dagent"),
    ("dispatch_prepare_seconds", "fetching", "dfetching"),
    ("dispatch_deliver_seconds", "handing in", "dhanding"),
)
#: Metric, name and class of each phase.
PHASES = (
    ("startup_seconds", "start-up", "pstartup"),
    ("script_seconds", "script", "pscript"),
    ("data_seconds", "data", "pdata"),
    ("warmup_seconds", "warm-up", "pwarmup"),
    ("steady_seconds", "steady", "psteady"),
    ("finish_seconds", "finish", "pfinish"),
)


@dataclass(frozen=True)
class Bar:
    """One row of a bar chart."""

    label: str
    colour: int
    #: Where the bar begins, which is at 0, or at the median of a value below 0.
    start: float
    width: float
    #: Ends of the interval (or of the range, where there are too few runs).
    low: float
    high: float
    dots: list[float]
    value: str
    span: str
    #: Whether the whisker is the range of too few runs instead of an interval.
    ranged: bool


@dataclass(frozen=True)
class BarGroup:
    """Rows that share every axis but the coloured one."""

    name: str
    bars: list[Bar]


@dataclass(frozen=True)
class BarChart:
    """One metric over the cells of a workload."""

    key: str
    label: str
    meaning: str
    direction: str
    groups: list[BarGroup]


@dataclass(frozen=True)
class Part:
    """One piece of a stacked bar."""

    name: str
    width: float
    value: str
    #: Its class in the style sheet.
    kind: str


@dataclass(frozen=True)
class Stack:
    """One stacked bar."""

    label: str
    parts: list[Part]
    total: str
    group: str = ""


@dataclass(frozen=True)
class RadarLine:
    """One cell in a radar."""

    label: str
    colour: int
    points: str
    corners: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Radar:
    """The footprint of the cells of one setting; the outer ring is the greatest median of the workload."""

    name: str
    spokes: list[tuple[float, float]]
    rings: list[str]
    #: (x, y, anchor, text, greatest)
    labels: list[tuple[float, float, str, str, str]]
    lines: list[RadarLine]
    description: str


class Colouring:
    """Which axis gives the colours of a report, and which number a cell has."""

    def __init__(self, report: Report) -> None:
        varying = [axis for axis, levels in report.axes.items() if len(levels) > 1 and axis != "workload"]
        preferred = [axis for axis in COLOUR_AXES if axis in varying] + varying
        self.axis = preferred[0] if preferred else None
        self.levels = report.axes.get(self.axis, []) if self.axis else []
        self.others = [axis for axis in varying if axis != self.axis]

    def of(self, cell: CellReport) -> int:
        """The palette number of a cell."""
        level = cell.axes.get(self.axis, "") if self.axis else ""
        return self.levels.index(level) % COLOURS if level in self.levels else 0

    def name(self, cell: CellReport) -> str:
        """The cell's level on the coloured axis."""
        return cell.axes.get(self.axis, cell.label) if self.axis else cell.label

    def setting(self, cell: CellReport) -> str:
        """The cell's levels on the other varying axes."""
        return " · ".join(cell.axes[axis] for axis in self.others if cell.axes.get(axis))

    def grouped(self, cells: Sequence[CellReport]) -> dict[str, list[CellReport]]:
        """Cells by setting, in order."""
        groups: dict[str, list[CellReport]] = {}
        for cell in cells:
            groups.setdefault(self.setting(cell), []).append(cell)
        return groups


def bar_chart(workload: WorkloadReport, metric: MetricNote, colouring: Colouring) -> BarChart | None:
    """The bars of one metric, all on one scale that holds 0; ``None`` where no cell measured it, or all is 0."""
    measured = [cell for cell in workload.cells if metric.key in cell.metrics]
    summaries = [cell.metrics[metric.key] for cell in measured]
    ends = (min((0.0, *(s.minimum for s in summaries))), max((0.0, *(s.maximum for s in summaries))))
    if ends[0] == ends[1]:
        return None
    groups = [
        BarGroup(name, [_bar(cell, cell.metrics[metric.key], metric, ends, colouring) for cell in cells])
        for name, cells in colouring.grouped(measured).items()
    ]
    direction = {True: "less is better", False: "more is better", None: ""}[metric.less_is_better]
    return BarChart(metric.key, metric.label, metric.meaning, direction, groups)


def _bar(
    cell: CellReport,
    summary: CellSummary,
    metric: MetricNote,
    ends: tuple[float, float],
    colouring: Colouring,
) -> Bar:
    ranged = summary.low is None or summary.high is None
    low = summary.minimum if summary.low is None else summary.low
    high = summary.maximum if summary.high is None else summary.high
    value, span = quantities.spread(summary.median, low, high, metric.unit)
    between = f"{span.replace(', ', '–')}, " if summary.n > 1 else ""
    least, span_of_all = ends[0], ends[1] - ends[0]

    def place(number: float) -> float:
        return _percent(number - least, span_of_all)

    return Bar(
        colouring.name(cell),
        colouring.of(cell),
        place(min(0.0, summary.median)),
        _percent(abs(summary.median), span_of_all),
        place(low),
        place(high),
        [place(v) for v in summary.values],
        value,
        (f"{between}n = {summary.n}" if ranged else f"[{span}]"),
        ranged,
    )


def _percent(value: float, top: float) -> float:
    return round(100 * max(0.0, value) / top, 2)


def phase_bars(
    workload: WorkloadReport, colouring: Colouring, phases: Sequence[tuple[str, str, str]] = PHASES
) -> list[Stack]:
    """Median seconds of each phase per cell, stacked, on one scale; start-up apart from the steady phase."""
    totals = {
        cell.slug: sum(cell.metrics[key].median for key, _, _ in phases if key in cell.metrics)
        for cell in workload.cells
    }
    top = max(totals.values(), default=0.0)
    if top <= 0:
        return []
    found = []
    for setting, cells in colouring.grouped(workload.cells).items():
        for cell in cells:
            parts = [
                Part(
                    name,
                    _percent(m.median, top),
                    quantities.quantity(m.median, "s"),
                    kind,
                )
                for key, name, kind in phases
                if (m := cell.metrics.get(key)) and m.median > 0
            ]
            if parts:
                found.append(
                    Stack(colouring.name(cell), parts, quantities.quantity(totals[cell.slug], "s"), setting)
                )
    return found


def share_bars(report: Report, workload: WorkloadReport) -> list[Stack]:
    """Per metric the shares of its variation: factors, interactions, drift between blocks, the rest."""
    found = []
    kinds = {term: f"p{i % COLOURS}" for i, term in enumerate(_terms(report, workload))}
    kinds |= {"between blocks": "drift", "unexplained": "rest"}
    for analysed in workload.factors:
        shares = [(effect.term, effect.omega_squared) for effect in analysed.effects]
        shares += [("between blocks", analysed.block_share), ("unexplained", analysed.residual_share)]
        whole = max(1.0, sum(share for _, share in shares))
        parts = [
            Part(n, round(100 * s / whole, 2), f"{100 * s:.0f} %", kinds[n]) for n, s in shares if s >= 0.005
        ]
        found.append(Stack(report.metric(analysed.metric).label, parts, ""))
    return found


def share_keys(report: Report, workload: WorkloadReport) -> list[tuple[str, str]]:
    """Name and class of what ``share_bars`` shows: factors in the order of the axes, then interactions."""
    return [(term, f"p{i % COLOURS}") for i, term in enumerate(_terms(report, workload))]


def _terms(report: Report, workload: WorkloadReport) -> list[str]:
    order = list(report.axes)
    effects = {effect.term: effect.factors for analysed in workload.factors for effect in analysed.effects}
    return sorted(effects, key=lambda term: (len(effects[term]), [order.index(f) for f in effects[term]]))


def radars(report: Report, workload: WorkloadReport, colouring: Colouring) -> list[Radar]:
    """One radar per setting over the study's footprint metrics; empty below three metrics."""
    keys = [k for k in FOOTPRINT if all(k in cell.metrics for cell in workload.cells if cell.completed)]
    if len(keys) < 5 and any("cpu_seconds" in cell.metrics for cell in workload.cells):
        keys.append("cpu_seconds")
    cells = [cell for cell in workload.cells if all(key in cell.metrics for key in keys)]
    tops = [max((cell.metrics[key].median for cell in cells), default=0.0) for key in keys]
    kept = [(key, top) for key, top in zip(keys, tops) if top > 0]
    if len(kept) < 3 or len(cells) < 2:
        return []
    angles = [2 * math.pi * i / len(kept) - math.pi / 2 for i in range(len(kept))]
    found = []
    for setting, group in colouring.grouped(cells).items():
        lines = []
        for cell in group:
            corners = [
                _point(angle, cell.metrics[key].median / top) for angle, (key, top) in zip(angles, kept)
            ]
            lines.append(RadarLine(colouring.name(cell), colouring.of(cell), _path(corners), corners))
        found.append(
            Radar(
                setting,
                [_point(angle, 1.0) for angle in angles],
                [_path([_point(angle, share) for angle in angles]) for share in (0.25, 0.5, 0.75, 1.0)],
                [_label(angle, report.metric(key), top) for angle, (key, top) in zip(angles, kept)],
                lines,
                _describe(report, group, kept, colouring),
            )
        )
    return found


_RADIUS = 100.0


def _point(angle: float, share: float) -> tuple[float, float]:
    return round(_RADIUS * share * math.cos(angle), 1), round(_RADIUS * share * math.sin(angle), 1)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _label(angle: float, metric: MetricNote, top: float) -> tuple[float, float, str, str, str]:
    x, y = _point(angle, 1.14)
    anchor = "middle" if abs(x) < 12 else ("start" if x > 0 else "end")
    lift = -8.0 if y < -60 else (8.0 if y > 60 else 0.0)
    return x, y + lift, anchor, metric.label, quantities.quantity(top, metric.unit)


def _describe(
    report: Report, cells: Sequence[CellReport], kept: Sequence[tuple[str, float]], colouring: Colouring
) -> str:
    """The radar in words, for those who do not see it."""
    words = []
    for cell in cells:
        values = [
            f"{report.metric(key).label} {100 * cell.metrics[key].median / top:.0f} % of the greatest"
            for key, top in kept
        ]
        words.append(f"{colouring.name(cell)}: {', '.join(values)}")
    return "; ".join(words)


def ranged_note() -> str:
    """What a dashed whisker means."""
    return f"Dashed: lowest to highest run, where fewer than {FEWEST_RUNS} runs completed."
