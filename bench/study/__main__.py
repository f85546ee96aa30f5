"""The tables of a page below docs/studies, from the report.json of a run of that study's scenario.

``python -m bench.study REPORT.json [--workers REPORT.json] [--footprint FILE] [--into PAGE]`` prints them, or puts each
between its pair of markers in the page. Only arranges figures: every number comes from the runs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.study import four_scenarios, pages, stages, tuning


def main() -> None:
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.study", description=__doc__)
    parser.add_argument(
        "report", type=Path, help="report.json of a run of four-scenarios, tuning-study or stages-study"
    )
    parser.add_argument("--workers", type=Path, help="report.json of a run of scenarios/workers.toml")
    parser.add_argument("--footprint", type=Path, help="JSON of python -m bench.footprint")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="put the tables between the page's markers")
    given = parser.parse_args()
    report = _read(given.report)
    if report["name"] == "tuning-study":
        found = tuning.tables(report, given.report.parent)
    elif report["name"] == "stages-study":
        found = stages.tables(report)
    else:
        found = four_scenarios.tables(report)
    if given.workers:
        found["workers"] = four_scenarios.workers(_read(given.workers))
    if given.footprint:
        found["footprint"] = four_scenarios.footprint(_read(given.footprint))
    if given.into is None:
        print("\n\n".join(f"{name}\n\n{text}" for name, text in found.items()))
    else:
        pages.put(given.into, found)


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
