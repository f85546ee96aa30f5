"""``python -m bench [--quick]``: every benchmark one after the other, each in the minutes its own ``--help`` states.

One that cannot be run on this machine, or breaks, is counted and the others go on. Figures go to ``bench/results/``;
those of ``--quick`` say little and go to ``.stackyard/bench/``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from bench.result import DATA_ABSENT, MINUTES

ROOT = Path(__file__).resolve().parent.parent
#: In this order; what needs more than a checkout (agents, an engine, an index of packages) comes last.
BENCHES = (
    "measure",
    "own",
    "short_runs",
    "statistics",
    "detector",
    "server",
    "safety",
    "dispatch",
    "tasks",
    "tuning",
    "footprint",
    "installation",
    "lab",
)


def main() -> int:
    """Run them; 1 where one broke."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="fewer and smaller of everything: minutes, not hours"
    )
    options = parser.parse_args()
    folder = ROOT / ".stackyard" / "bench" if options.quick else ROOT / "bench" / "results"
    ended = {}
    for bench in BENCHES:
        minutes = MINUTES[bench][1 if options.quick else 0]
        print(f"\n== {bench} (at most {minutes} minutes)", flush=True)
        command = [sys.executable, "-m", f"bench.{bench}", "--json", str(folder / f"{bench}.json")]
        command += ["--quick"] if options.quick else []
        begun = time.monotonic()
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        words = {0: "measured", DATA_ABSENT: "not measured here"}.get(status, f"broke with status {status}")
        ended[bench] = f"{words} after {time.monotonic() - begun:.0f} s"
    print()
    for bench, words in ended.items():
        print(f"{bench:12s} {words}")
    return 1 if any("broke" in words for words in ended.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
