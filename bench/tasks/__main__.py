"""``python -m bench.tasks``: ordinary ClearML tasks on our agents, from the queue to a comparison."""

from __future__ import annotations

import importlib
from pathlib import Path

from bench.result import MINUTES, Result, arguments, run_parts
from bench.tasks.yard import yard

#: The parts in the order they run, and the module that measures each.
PARTS = ("starts", "wrapper", "truth", "boxes", "kept", "comparing", "pins", "examples")


def main() -> None:
    """Parse the options, measure."""
    parser = arguments("tasks", __doc__ or "")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be repeated")
    parser.add_argument(
        "--examples", type=Path, metavar="DIR", help="a checkout of ClearML's SDK, whose examples are run"
    )
    options = parser.parse_args()
    modules = {part: importlib.import_module(f"bench.tasks.{part}") for part in options.only or PARTS}
    result = Result("tasks", [name for module in modules.values() for name in module.FIGURES])
    # the last two minutes are for what is under way
    with yard(MINUTES["tasks"][1 if options.quick else 0] - 2) as place:
        run_parts(result, modules, options, place)
    result.finish(options.json)


if __name__ == "__main__":
    main()
