"""Workloads with a known use of memory and CPU, for ``bench.measure``: what a right measurement must say.

Each is a function (parameters, channel, output_folder), run by any supervisor or by hand:
``python -m bench.measure_cases NAME key=value ...``. Standard library, Python 3.9.
"""

from __future__ import annotations

import mmap
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

from stackyard_task.channel import Channel

MEGABYTE = 1_000_000


def resident_bytes() -> int:
    """Resident memory of this process now."""
    with open("/proc/self/status", encoding="ascii") as stream:
        for line in stream:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise OSError("no VmRSS in /proc/self/status")


def spike(parameters: Dict[str, Any], channel: Channel, _output: Path) -> None:
    """``megabytes`` touched at once, held ``hold`` seconds, given back; before and after it idles."""
    channel.phase("steady")
    time.sleep(float(parameters.get("before", 0.2)))
    base = resident_bytes()
    block = b"\1" * (int(parameters["megabytes"]) * MEGABYTE)
    time.sleep(float(parameters["hold"]))
    del block
    time.sleep(float(parameters.get("after", 0.25)))
    channel.results(base_bytes=base)


def orphan(parameters: Dict[str, Any], channel: Channel, _output: Path) -> None:
    """A grandchild whose parent is gone burns ``burn`` CPU seconds; the child itself leaves at once."""
    channel.phase("steady")
    middle = os.fork()
    if middle == 0:
        if os.fork() == 0:
            burn(float(parameters["burn"]))
        os._exit(0)
    os.waitpid(middle, 0)


def burn(seconds: float) -> None:
    """Use ``seconds`` of CPU."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def children(parameters: Dict[str, Any], channel: Channel, _output: Path) -> None:
    """``count`` forked children, each grown to ``megabytes`` resident; all at once, or ``in_turn``."""
    channel.phase("steady")
    in_turn = str(parameters.get("in_turn", "")) in ("1", "True")
    hold = float(parameters.get("hold", 0.4))
    pids: List[int] = []
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    for _ in range(int(parameters["count"])):
        pid = os.fork()
        if pid == 0:
            os.close(go_write)
            kept = []
            while resident_bytes() < int(parameters["megabytes"]) * MEGABYTE - 500_000:
                missing = int(parameters["megabytes"]) * MEGABYTE - resident_bytes()
                kept.append(b"\1" * min(missing, 20 * MEGABYTE))
            os.write(ready_write, b"x")
            if in_turn:
                time.sleep(hold)
            else:
                os.read(go_read, 1)
            os._exit(0)
        pids.append(pid)
        if in_turn:
            os.waitpid(pid, 0)
    if not in_turn:
        for _ in pids:
            os.read(ready_read, 1)
        time.sleep(hold)
        os.close(go_write)
        for pid in pids:
            os.waitpid(pid, 0)
    for descriptor in (ready_read, ready_write, go_read):
        os.close(descriptor)


def shared_map(parameters: Dict[str, Any], channel: Channel, _output: Path) -> None:
    """``count`` processes, this one included, all with one shared map of ``megabytes`` resident."""
    channel.phase("steady")
    size = int(parameters["megabytes"]) * MEGABYTE
    block = mmap.mmap(-1, size)
    for offset in range(0, size, 4096):
        block[offset] = 1
    pids = []
    for _ in range(int(parameters["count"]) - 1):
        pid = os.fork()
        if pid == 0:
            total = sum(block[offset] for offset in range(0, size, 4096))
            time.sleep(float(parameters.get("hold", 0.4)))
            os._exit(0 if total else 1)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)


def sleepers(parameters: Dict[str, Any], channel: Channel, _output: Path) -> None:
    """A tree of ``count`` processes, this one included, that sleep ``seconds``."""
    channel.phase("steady")
    pids = []
    for _ in range(int(parameters["count"]) - 1):
        pid = os.fork()
        if pid == 0:
            time.sleep(float(parameters["seconds"]))
            os._exit(0)
        pids.append(pid)
    time.sleep(float(parameters["seconds"]))
    for pid in pids:
        os.waitpid(pid, 0)


def work(parameters: Dict[str, Any], channel: Channel, _output: Path) -> None:
    """A fixed amount of arithmetic and of fresh memory; its own CPU seconds go into the results."""
    channel.phase("steady")
    before = resource.getrusage(resource.RUSAGE_SELF)
    total = 0
    for _ in range(int(parameters["rounds"])):
        for number in range(100_000):
            total += number * number
        block = b"\1" * (4 * MEGABYTE)
        total += len(block)
        del block
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    channel.results(own_cpu_seconds=used, total=total % 1000)


def main() -> None:
    """Run one case without a supervisor."""
    name, *pairs = sys.argv[1:]
    globals()[name](dict(pair.split("=", 1) for pair in pairs), Channel(), Path())


if __name__ == "__main__":
    main()
