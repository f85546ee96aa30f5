"""One thread's fixed amount of work on some memory, with its progress told."""

import argparse
import json
import time

from stackyard_report import progress, step

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rounds", type=int, required=True)
parser.add_argument("--megabytes", type=int, default=100)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--out", required=True)
asked = parser.parse_args()
hoard = bytearray(asked.megabytes << 20)
hoard[:: 1 << 12] = b"x" * len(hoard[:: 1 << 12])
state, begun = asked.seed, time.monotonic()
for done in range(1, asked.rounds + 1):
    for _ in range(200_000):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    now = time.monotonic()
    step(now - begun)
    progress(done, asked.rounds)
    begun = now
with open(f"{asked.out}/metrics.json", "w") as file:
    json.dump({"value": state % 1000}, file)
