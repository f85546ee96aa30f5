"""``python -m bench.own``: how true and how unobtrusive `stackyard run` is, beside six tools that measure commands."""

from __future__ import annotations

import importlib

from bench.own.yard import yard
from bench.result import MINUTES, Result, arguments, run_parts

#: The parts in the order they run, and the module that measures each.
PARTS = ("overhead", "unchanged", "truth", "cost", "derived", "given", "peers")


def main() -> None:
    """Parse the options, measure."""
    parser = arguments("own", __doc__ or "")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be repeated")
    options = parser.parse_args()
    modules = {part: importlib.import_module(f"bench.own.{part}") for part in options.only or PARTS}
    result = Result("own", [name for module in modules.values() for name in module.FIGURES])
    # the last two minutes are for what is under way
    with yard(MINUTES["own"][1 if options.quick else 0] - 2) as place:
        run_parts(result, modules, options, place)
    result.finish(options.json)


if __name__ == "__main__":
    main()
