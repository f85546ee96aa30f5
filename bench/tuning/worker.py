"""Runs one tuner on tables, in the environment of that tuner: jobs as JSON lines in, runs as JSON lines out.

``python -m bench.tuning.worker CACHE LCBENCH``; a job is ``{"tuner", "table", "seed", "with_stop"}``.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Dict

from bench.tuning import replay, tables, tuners


def main() -> None:
    """Work until there is nothing more."""
    cache, lcbench = Path(sys.argv[1]), Path(sys.argv[2])
    held: Dict[str, tables.Table] = {}
    network = None
    for line in sys.stdin:
        job = json.loads(line)
        name = job["table"]
        if name.startswith("lcbench-") and network is None:
            network = tables.Network(lcbench)
        if name not in held:
            held[name] = tables.load(cache, name, network)
        table = held[name]
        budget = job.get("budget", replay.BUDGET_TRIALS)
        tuner = tuners.made(job["tuner"], table, job["seed"])
        most = job.get("most_trials", replay.MOST_TRIALS)
        found = replay.run(tuner, table, job["seed"], job["with_stop"], budget, most)
        print(json.dumps({**job, **dataclasses.asdict(found)}), flush=True)


if __name__ == "__main__":
    main()
