"""``python -m bench.tuning``: what tuning costs until it is done, ours beside Optuna, Syne Tune and Ray Tune."""

from __future__ import annotations

import importlib

from bench.result import Result, arguments, run_parts

#: The parts in the order they run, and the module that measures each; ``live`` stands beside these once it is there.
PARTS = ("stop_tables",)


def main() -> None:
    """Parse the options, measure."""
    parser = arguments("tuning", __doc__ or "")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be repeated")
    options = parser.parse_args()
    modules = {part: importlib.import_module(f"bench.tuning.{part}") for part in options.only or PARTS}
    result = Result("tuning", [name for module in modules.values() for name in module.FIGURES])
    run_parts(result, modules, options)
    result.finish(options.json)


if __name__ == "__main__":
    main()
