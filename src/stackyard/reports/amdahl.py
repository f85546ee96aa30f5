"""Amdahl's law over an axis of cores: T(p) = T1 (s + (1 - s) / p), with the serial fraction s. Pure.

G. M. Amdahl, "Validity of the single processor approach", AFIPS 1967. Fitted to the medians of a metric by
least squares of relative errors with both parts kept >= 0; the interval of s is a percentile bootstrap over
blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackyard.counting import count
from stackyard.reports.catalogue import Metric
from stackyard.reports.cells import HARDWARE, Block, CellRuns, Matrix, label
from stackyard.reports.report import AmdahlReport, ReportOptions
from stackyard.reports.statistics import FEWEST_RUNS
from stackyard.reports.wording import times

#: Axes whose level is itself a number of cores used.
COUNTED_AXES = ("cores", "threads", "workers")

Array = NDArray[np.float64]


def fit(cores: Array, seconds: Array) -> tuple[Array, Array]:
    """T1 and serial fraction for each row of ``seconds``, shape (draws, len(cores)).

    T = a + b / p with a, b >= 0, minimising the sum of ((T - fitted) / T)^2; T1 = a + b, s = a / (a + b).
    """
    inverse = 1.0 / cores
    u, v = 1.0 / seconds, inverse / seconds  # relative errors: 1 = a u + b v
    uu, uv, vv = (u * u).sum(axis=1), (u * v).sum(axis=1), (v * v).sum(axis=1)
    su, sv = u.sum(axis=1), v.sum(axis=1)
    determinant = uu * vv - uv * uv
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (su * vv - sv * uv) / determinant
        b = (sv * uu - su * uv) / determinant
    only_serial, only_parallel = b < 0, a < 0
    a = np.where(only_serial, su / uu, np.where(only_parallel, 0.0, a))
    b = np.where(only_serial, 0.0, np.where(only_parallel, sv / vv, b))
    return a + b, a / (a + b)


def fits(
    matrix: Matrix, cells: Sequence[CellRuns], metrics: Sequence[Metric], options: ReportOptions
) -> list[AmdahlReport]:
    """A fit per metric, cores axis and setting of the other axes with two or more numbers of cores >= 1."""
    found = []
    for axis in (*COUNTED_AXES, HARDWARE):
        if len(matrix.axes.get(axis, ())) < 2:
            continue
        others = [name for name in matrix.varying if name != axis]
        groups: dict[str, list[CellRuns]] = {}
        for cell in cells:
            key = label(cell.axes, others) if any(cell.axes.get(o) for o in others) else ""
            groups.setdefault(key, []).append(cell)
        for setting, group in groups.items():
            for metric in metrics:
                report = _fit_group(axis, setting, group, metric, options)
                if report is not None:
                    found.append(report)
    return found


def cores_of(cell: CellRuns, axis: str) -> float | None:
    """How many cores a cell may use: the level of a counted axis, else what its records were allowed."""
    if axis in COUNTED_AXES:
        try:
            return float(cell.axes[axis])
        except (KeyError, ValueError):
            return None
    allowed = {run.record.environment.allowed_cores for run in cell.completed}
    return float(next(iter(allowed)) or 0) or None if len(allowed) == 1 else None


def _fit_group(
    axis: str, setting: str, group: Sequence[CellRuns], metric: Metric, options: ReportOptions
) -> AmdahlReport | None:
    left_out: list[str] = []
    chosen: dict[float, dict[Block, float]] = {}
    if len({run.record.environment.host for cell in group for run in cell.completed}) > 1:
        return None  # different machines: their speed differs for other reasons
    for cell in group:
        number, values = cores_of(cell, axis), cell.by_block(metric)
        name = cell.axes.get(axis, cell.label)
        if not values or min(values.values()) <= 0:
            continue
        if number is None:
            left_out.append(f"{name}: number of cores unknown")
        elif number < 1:
            left_out.append(f"{name}: less than one core (the law starts at one)")
        elif number in chosen:
            left_out.append(f"{name}: also {count(number, 'core')}")
        else:
            chosen[number] = values
    if len(chosen) < 2:
        return None
    cores = np.array(sorted(chosen))
    blocks = sorted(set.intersection(*(set(chosen[c]) for c in cores)))
    if not blocks:
        return None
    seconds = np.array([[chosen[c][block] for block in blocks] for c in cores])
    medians = np.median(seconds, axis=1)
    serial = float(fit(cores, medians[None, :])[1][0])
    low = high = None
    if len(blocks) >= FEWEST_RUNS:
        drawn = np.random.default_rng([options.seed, len(blocks)]).integers(
            0, len(blocks), (options.draws, len(blocks))
        )
        resampled = np.median(seconds[:, drawn], axis=2).T
        tail = (1 - options.confidence) / 2
        low, high = (float(v) for v in np.quantile(fit(cores, resampled)[1], [tail, 1 - tail]))
    limit = 1 / serial if serial > 1e-9 else None
    return AmdahlReport(
        metric.key,
        axis,
        setting,
        [float(c) for c in cores],
        [float(m) for m in medians],
        serial,
        low,
        high,
        limit,
        left_out,
        _sentence(
            metric, setting, serial, low, high, limit, cores, axis if axis in COUNTED_AXES else "cores"
        ),
    )


def _sentence(
    metric: Metric,
    setting: str,
    serial: float,
    low: float | None,
    high: float | None,
    limit: float | None,
    cores: Array,
    counted: str,
) -> str:
    where = f" ({setting})" if setting else ""
    span = f" [{low * 100:.0f} %, {high * 100:.0f} %]" if low is not None and high is not None else ""
    if serial >= 1 - 1e-9:
        return f"{metric.label}{where}: no gain from more {counted}; Amdahl serial fraction 100 %{span}"
    points = f"from {len(cores)} points at {', '.join(f'{c:g}' for c in cores)} {counted}"
    check = ", so the law itself is not checked" if len(cores) == 2 else ""
    top = f"at most {times(limit)}× from any number of {counted}" if limit else "no serial part seen"
    return (
        f"{metric.label}{where}: Amdahl serial fraction {serial * 100:.0f} %{span}, {top} ({points}{check})"
    )
