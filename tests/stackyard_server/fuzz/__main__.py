"""``python -m tests.stackyard_server.fuzz``: run the siege by hand."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .siege import run


def main() -> int:
    """Exit status 0 without faults."""
    parser = argparse.ArgumentParser(prog="python -m tests.stackyard_server.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="send this request of the run only, and print it")
    parser.add_argument("--faults", type=int, default=40, help="stop after so many (default 40)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        report = run(Path(scratch), options.count, options.seed, options.only, options.faults)
    for fault in report.faults:
        print(f"--- {fault.number} {fault.what} on {fault.attack.port} ({fault.attack.kind})")
        print(fault.attack.data[: 1500 if options.only is None else None].decode("latin-1"))
        print(f"    -> {fault.answer}")
    print(report.log[-20_000:], file=sys.stderr)
    print(report.summary())
    return 1 if report.faults or report.integrity != "ok" else 0


if __name__ == "__main__":
    sys.exit(main())
