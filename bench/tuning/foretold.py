"""How predictions of cost fare on the tables of final values: see ``predictions``."""

from __future__ import annotations

from typing import Any

from bench.result import Ground, Result
from bench.tuning import environments, predictions, tables, tuners

FIGURES = (
    "interval_coverage_percent",
    "interval_predictions",
    "skipped_wrongly_percent",
    "skipped_share_of_what_breaks_the_limit_percent",
)


def figures(result: Result, quick: bool, ground: Ground, options: Any) -> None:
    """Play, and set the figures."""
    folder = environments.cache()
    ground.check_time(120)
    held = [
        tables.load_final(folder, family, name)
        for family, names in tables.SETS.items()
        for name in (names[:1] if quick else names)
    ]
    found = predictions.coverage_on_tables(held, tuners.space_of, seeds=(0,) if quick else (0, 1))
    result.figure("interval_coverage_percent", found["interval_coverage_percent"])
    result.figure("interval_predictions", float(found["predictions"]))
    for name in FIGURES[2:]:
        result.figure(name, found[name])
    result.row(part="foretold", **found)
