"""``python -m bench.tuning``: what tuning costs until it is done, beside Optuna, Syne Tune and Ray Tune; and live."""

from __future__ import annotations

import importlib
import tempfile
import time
from pathlib import Path

from bench.result import MINUTES, Ground, Result, arguments, run_parts

#: The parts in the order they run, and the module that measures each; the last takes what time is left.
PARTS = ("stops", "packed", "live", "foretold", "stop_tables")


def main() -> None:
    """Parse the options, measure."""
    parser = arguments("tuning", __doc__ or "")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be repeated")
    options = parser.parse_args()
    modules = {part: importlib.import_module(f"bench.tuning.{part}") for part in options.only or PARTS}
    result = Result("tuning", [name for module in modules.values() for name in module.FIGURES])
    # the last minute is for what is under way
    until = time.monotonic() + (MINUTES["tuning"][1 if options.quick else 0] - 1) * 60
    with tempfile.TemporaryDirectory(prefix="bench-tuning-") as folder:
        run_parts(result, modules, options, Ground(Path(folder), until))
    result.finish(options.json)


if __name__ == "__main__":
    main()
