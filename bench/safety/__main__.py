"""``python -m bench.safety``: what one request may do to others, what a start or a restore may lose, who is let down.

Each part measures figures of its own; one whose subject is not there says so among the rows and leaves them open.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from bench.result import Result, arguments, run_parts

#: The parts in the order they run; the module of that name measures each.
PARTS = (
    "delays",
    "connections",
    "pages",
    "folders",
    "backups",
    "sdk",
    "addresses",
    "webapp",
    "baseline",
)


def main() -> None:
    """Parse the options, measure."""
    parser = arguments("safety", (__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be repeated")
    parser.add_argument(
        "--baseline", type=Path, metavar="DIR", help="a checkout to compare the cost of the bounds with"
    )
    parser.add_argument(
        "--webapp", type=Path, metavar="DIR", help="a build of the official web app to drive as well"
    )
    options = parser.parse_args()
    modules = {part: importlib.import_module(f"bench.safety.{part}") for part in options.only or PARTS}
    result = Result("safety", [name for module in modules.values() for name in module.FIGURES])
    run_parts(result, modules, options)
    result.finish(options.json)


if __name__ == "__main__":
    main()
