"""A script with one spike of memory: ``spike.py MEGABYTES HOLD BEFORE``, idle before and after. Python 3.7."""

import sys
import time

megabytes, hold, before = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
time.sleep(before)
block = b"\1" * (megabytes * 1_000_000)
time.sleep(hold)
del block
time.sleep(0.25)
