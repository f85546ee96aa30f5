"""What a rule about runs finds, and how its sentence names cells. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stackyard.reports.cells import CellRuns, Matrix
from stackyard.reports.loading import Run

#: The code of a warning, its sentence, and the cells that it is about.
Finding = tuple[str, str, list[str]]


def name(cell: CellRuns) -> str:
    """A cell in a sentence."""
    return f"{cell.workload}: {cell.label}"


def some(names: Iterable[str], most: int = 6) -> str:
    """The first names of many, each once, and how many more there are."""
    names = list(dict.fromkeys(names))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def where(cells: Iterable[CellRuns], matrix: Matrix) -> str:
    """The cells by name, or "every cell"."""
    cells = list({id(cell): cell for cell in cells}.values())
    return "every cell" if len(cells) == len(matrix.cells) > 1 else some(map(name, cells))


def runs(matrix: Matrix) -> Iterator[tuple[CellRuns, Run]]:
    """Every completed run, with its cell."""
    for cell in matrix.cells:
        for run in cell.completed:
            yield cell, run


def slugs(cells: Iterable[CellRuns]) -> list[str]:
    """The cells, each once, as a report refers to them."""
    return list(dict.fromkeys(cell.slug for cell in cells))


def above(value: float, bound: float) -> str:
    """A value above a bound, with as many decimals as show that it is: 5.2 beside 5."""
    decimals = next((n for n in range(6) if round(value, n) > bound), 6)
    return f"{value:.{decimals}f}"
