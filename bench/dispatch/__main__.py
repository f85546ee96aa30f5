"""``python -m bench.dispatch``: what the way through a queue costs, everything in one run."""

from __future__ import annotations

import importlib

from bench.result import Result, arguments, run_parts

#: The parts in the order they run, and the module that measures each.
PARTS = {
    "footprint": "footprint",
    "starts": "starts",
    "way": "way",
    "overhead": "overhead",
    "parity": "parity",
}


def main() -> None:
    """Parse the options, measure."""
    parser = arguments("dispatch", __doc__ or "")
    parser.add_argument(
        "--only", choices=list(PARTS), action="append", help="only this part; may be repeated"
    )
    parser.add_argument("--blocks", type=int, default=12, help="blocks of the parity part (12, at least 10)")
    options = parser.parse_args()
    modules = {
        part: importlib.import_module(f"bench.dispatch.{PARTS[part]}") for part in options.only or list(PARTS)
    }
    result = Result("dispatch", [name for module in modules.values() for name in module.FIGURES])
    run_parts(result, modules, options)
    result.finish(options.json)


if __name__ == "__main__":
    main()
