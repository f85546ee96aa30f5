"""``python -m bench.server``: the embedded server's speed and footprint, everything in one run."""

from __future__ import annotations

import importlib
from pathlib import Path

from bench.result import Result, arguments, run_parts

#: The parts in the order they run, and the module that measures each.
PARTS = {"start": "start", "ingest": "ingest", "queue": "queueing", "pages": "pages", "soak": "soak"}


def main() -> None:
    """Parse the options, measure."""
    parser = arguments("server", __doc__ or "")
    parser.add_argument(
        "--only", choices=list(PARTS), action="append", help="only this part; may be repeated"
    )
    parser.add_argument("--soak-minutes", type=float, default=20.0, help="length of the soak (20)")
    parser.add_argument(
        "--mlflow-python", type=Path, metavar="FILE", help="a Python that has MLflow; else one is made"
    )
    options = parser.parse_args()
    modules = {
        part: importlib.import_module(f"bench.server.{PARTS[part]}") for part in options.only or list(PARTS)
    }
    result = Result("server", [name for module in modules.values() for name in module.FIGURES])
    run_parts(result, modules, options)
    result.finish(options.json)


if __name__ == "__main__":
    main()
