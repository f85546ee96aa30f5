"""Whether short runs say what long ones would: what of a run is no steady phase, and where its ratios tend to. Pure.

A run's wall time is a part that more steps do not lengthen (start-up, imports, data) and the steady phase, which they
do. With s and S the steady seconds of two cells, a and A the rest, and k times as many steps, the ratio of the wall
times is (A + k S) / (a + k s): as k grows it tends to S / s, as Amdahl's law has it. Where no phases were measured
nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from stackyard.reports.catalogue import start_up_seconds
from stackyard.reports.cells import CellRuns, Matrix
from stackyard.reports.report import CellReport, WorkloadReport
from stackyard.reports.wording import times

#: Share of the wall time outside the steady phase above which a run is short.
SHORT_SHARE = 0.5
#: Share above which a run is looked at, and how far its ratio must then be from where it tends to.
LOOKED_AT_SHARE = 0.1
APART = 1.05
CODE = "short-runs"


def findings(matrix: Matrix, workloads: Sequence[WorkloadReport]) -> Iterator[tuple[str, str, list[str]]]:
    """One finding for each workload whose runs are short: its code, its sentences, the cells."""
    for workload in workloads:
        shares = {
            cell.slug: share
            for cell in matrix.cells
            if cell.workload == workload.name and (share := outside(cell)) is not None
        }
        short = [slug for slug, share in shares.items() if share > SHORT_SHARE]
        looked_at = {slug for slug, share in shares.items() if share > LOOKED_AT_SHARE}
        pair = _furthest(workload, looked_at)
        apart = pair is not None and abs(math.log(pair[2] / pair[3])) > math.log(APART)
        if not short and not apart:
            continue
        cells = {cell.slug: cell for cell in workload.cells}
        named = short or sorted(looked_at & set(pair[:2] if pair else ()))
        most = max(shares[slug] for slug in named)
        words = (
            f"{workload.name}: these runs are short. Start-up, and what else is no steady phase, is "
            f"{'up to ' if len(named) > 1 else ''}{most * 100:.0f} % of the wall time in {_names(named, cells)}."
        )
        if pair is not None and apart:
            reference, other, wall, steady = pair
            words += (
                " The more steps, the nearer comes the ratio of wall times to that of the steady phases: "
                f"{cells[other].label} to {cells[reference].label} {times(steady)}×, instead of {times(wall)}× here."
            )
        elif pair is not None:
            words += (
                " The steady phases compare as the wall times do, within 5 %: more steps change no ratio."
            )
        yield CODE, words, named


def outside(cell: CellRuns) -> float | None:
    """The share of the wall time that is no steady phase, median over the cell's runs; ``None``: not measured.

    Where a workload names phases but none that is steady, what is known of it is its start-up.
    """
    shares = []
    for run in cell.completed:
        wall, steady = run.record.measurement.wall_seconds, run.record.measurement.steady_seconds
        rest = start_up_seconds(run.record) if steady is None else (wall or 0.0) - steady
        if wall and rest is not None:
            shares.append(min(1.0, max(0.0, rest / wall)))
    return float(np.median(shares)) if shares else None


def _furthest(workload: WorkloadReport, looked_at: set[str]) -> tuple[str, str, float, float] | None:
    """Of the pairs with a looked-at cell the one whose ratio is furthest from where it tends to.

    Its cells, and the ratios of wall times and of steady phases; ``None``: none has both.
    """
    ratios: dict[tuple[str, str], dict[str, float]] = {}
    for found in workload.comparisons:
        if found.ratio and found.metric in ("wall_seconds", "steady_seconds"):
            ratios.setdefault((found.reference, found.other), {})[found.metric] = found.ratio
    both = [
        (*pair, of["wall_seconds"], of["steady_seconds"])
        for pair, of in ratios.items()
        if len(of) == 2 and looked_at & set(pair)
    ]
    return max(both, key=lambda item: abs(math.log(item[2] / item[3])), default=None)


def _names(slugs: Sequence[str], cells: dict[str, CellReport]) -> str:
    if len(slugs) == len(cells) > 1:
        return "every cell"
    names = [cells[slug].label for slug in slugs if slug in cells]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
