"""Breaks one limit at a moment of its own, says when, and beats until it is ended: the truth about stops.

The last beat is when the program, or the last of its processes, ended; nothing of the harness is asked.
"""

import argparse
import os
import signal
import sys
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--kind", choices=("ram", "cpu", "wall"), required=True)
parser.add_argument("--manner", choices=("plain", "deaf", "forked"), required=True)
parser.add_argument("--limit", type=float, required=True, help="bytes or seconds")
parser.add_argument("--after", type=float, required=True, help="seconds of quiet before RAM grows")
parser.add_argument("--out", required=True)
asked = parser.parse_args()
began = time.monotonic() - 0.03  # the interpreter's own start
if asked.manner == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
beats = os.open(f"{asked.out}/beats", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def beat() -> None:
    """Say that this process is alive."""
    os.write(beats, b"%.4f\n" % time.monotonic())


def resident() -> int:
    """Resident memory of this process, in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def breach() -> None:
    """Say when the limit was broken."""
    with open(f"{asked.out}/breach.part", "w") as file:
        file.write(repr(time.monotonic()))
    os.replace(f"{asked.out}/breach.part", f"{asked.out}/breach")


if asked.manner == "forked" and os.fork() == 0:
    os.setsid()
    while True:
        beat()
        time.sleep(0.002)
hoard, said, end = [], False, time.monotonic() + 60
while time.monotonic() < end:
    beat()
    over = False
    if asked.kind == "ram" and time.monotonic() - began > asked.after:
        if len(hoard) < 200:
            hoard.append(bytearray(os.urandom(1)) * (4 << 20))
        over = resident() > asked.limit
    elif asked.kind == "cpu":
        over = time.process_time() > asked.limit
    elif asked.kind == "wall":
        over = time.monotonic() - began > asked.limit
    if over and not said:
        said = True
        breach()
    if asked.kind != "cpu":
        time.sleep(0.002)
sys.exit("nobody ended this program")
