"""Readings of one process and of the machine from /proc, cheap enough for a sampler.

Files stay open between readings (a kept descriptor also cannot be fooled by a reused process id). No policy:
what the readings mean together is said in ``memory`` and ``cpu``. Standard library only.
"""

from __future__ import annotations

import os
import time
from typing import Dict, List, NamedTuple, Optional, Tuple

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
#: Above this many processes files are opened for each reading, to stay far from the limit on descriptors.
KEPT_PROCESSES = 100


class Residency(NamedTuple):
    """Resident memory of one process, bytes."""

    #: Greatest since the mark was last reset.
    high_water: int
    total: int
    anonymous: int
    mapped_files: int
    shared_memory: int


class Shares(NamedTuple):
    """Resident memory of one process with each page divided by the number of its users, bytes."""

    anonymous: int
    shared_memory: int
    #: Undivided, files included, at the same instant; 0: not known.
    resident: int = 0


class ProcessFiles:
    """The /proc files of one process. Every reading is ``None`` once the process is gone."""

    def __init__(self, pid: int, root: str = "/proc", keep_open: bool = True) -> None:
        self.pid = pid
        self._folder = f"{root}/{pid}"
        self._keep_open = keep_open
        self._descriptors: Dict[str, int] = {}
        self._resettable = True
        self._threads = 1

    def _read(self, name: str, size: int = 4096) -> Optional[bytes]:
        descriptor = self._descriptors.get(name)
        try:
            if descriptor is not None:
                return os.pread(descriptor, size, 0)
            descriptor = os.open(f"{self._folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return os.pread(descriptor, size, 0)
        except OSError:
            return None
        finally:
            if self._keep_open:
                self._descriptors[name] = descriptor
            else:
                os.close(descriptor)

    def residency(self) -> Optional[Residency]:
        """Resident memory now and its high-water mark (proc_pid_status(5)); ``None`` for a zombie."""
        data = self._read("status")
        if not data:
            return None
        at = data.find(b"VmHWM:")
        if at < 0:
            return None
        words = data[at : at + 250].split(None, 15)
        threads_at = data.find(b"Threads:", at)
        self._threads = int(data[threads_at + 8 : threads_at + 20].split(None, 1)[0])
        if len(words) > 13 and words[6] == b"RssAnon:":
            total, anonymous, files, shared = int(words[4]), int(words[7]), int(words[10]), int(words[13])
        else:  # before Linux 4.5
            total = int(words[4])
            anonymous, files, shared = total, 0, 0
        return Residency(int(words[1]) << 10, total << 10, anonymous << 10, files << 10, shared << 10)

    def reset_high_water(self) -> bool:
        """Set the high-water mark back to the present residency; False where the kernel does not allow it."""
        if not self._resettable:
            return False
        try:
            descriptor = self._descriptors.get("clear_refs")
            if descriptor is None:
                descriptor = os.open(f"{self._folder}/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
                if self._keep_open:
                    self._descriptors["clear_refs"] = descriptor
            try:
                os.write(descriptor, b"5")
            finally:
                if not self._keep_open:
                    os.close(descriptor)
        except ProcessLookupError:
            return False
        except OSError:
            self._resettable = False
            return False
        return True

    def shares(self) -> Optional[Shares]:
        """Proportional shares of anonymous and shared memory; walks the page tables, so ask rarely.

        ``None`` where smaps_rollup has no ``Pss_Anon`` (before Linux 5.9) or the process is gone.
        """
        try:  # opened anew: this file belongs to the address space, which exec replaces
            descriptor = os.open(f"{self._folder}/smaps_rollup", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            data = os.pread(descriptor, 4096, 0)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        anonymous, shared = _kilobytes(data, b"Pss_Anon:"), _kilobytes(data, b"Pss_Shmem:")
        if anonymous is None or shared is None:
            return None
        return Shares(anonymous, shared, _kilobytes(data, b"Rss:") or 0)

    def cpu_seconds(self) -> Optional[float]:
        """CPU seconds of the process and of the children it has waited for (ticks of 10 ms)."""
        data = self._read("stat", 1024)
        if not data:
            return None
        words = data[data.rfind(b")") + 2 :].split(None, 16)
        if len(words) < 15:
            return None
        return (int(words[11]) + int(words[12]) + int(words[13]) + int(words[14])) / CLOCK_TICKS

    def disk_bytes(self) -> Optional[Tuple[int, int]]:
        """Bytes (read, written) at the block layer, of the process and of the children it waited for."""
        data = self._read("io", 512)
        if not data:
            return None
        found = dict(line.split(b": ", 1) for line in data.splitlines() if b": " in line)
        try:
            read, written = int(found[b"read_bytes"]), int(found[b"write_bytes"])
            return read, max(0, written - int(found.get(b"cancelled_write_bytes", 0)))
        except (KeyError, ValueError):
            return None

    def children(self) -> Optional[List[int]]:
        """Ids of the direct children, those forked by any thread; ``None`` if the kernel cannot say."""
        if self._threads == 1:
            data = self._read(f"task/{self.pid}/children", 1 << 16)
            return None if data is None else [int(word) for word in data.split()]
        found: List[int] = []
        try:
            threads = os.listdir(f"{self._folder}/task")
        except OSError:
            return None
        for thread in threads:
            try:
                descriptor = os.open(f"{self._folder}/task/{thread}/children", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                found += [int(word) for word in os.read(descriptor, 1 << 16).split()]
            except OSError:
                pass
            finally:
                os.close(descriptor)
        return found

    def close(self) -> None:
        """Close the kept files."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])


def _kilobytes(data: bytes, name: bytes) -> Optional[int]:
    at = data.find(name)
    return None if at < 0 else int(data[at + len(name) :].split(None, 1)[0]) << 10


def machine_busy_seconds(root: str = "/proc") -> Optional[float]:
    """CPU seconds all cores were busy since boot, time stolen by the hypervisor included (proc_stat(5))."""
    try:
        with open(f"{root}/stat", "rb") as stream:
            words = stream.readline().split()
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(word) for word in words[1:9])
    return (user + nice + system + irq + softirq + steal) / CLOCK_TICKS


def first_process_started() -> Optional[float]:
    """When process 1 of this process namespace started, in epoch seconds: a container's first, or the machine's."""
    try:
        with open("/proc/1/stat", encoding="utf-8", errors="replace") as stream:
            ticks = int(stream.read().rpartition(")")[2].split()[19])
        with open("/proc/uptime", encoding="ascii") as stream:
            up = float(stream.read().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    # uptime and start time share the boot clock; only "now" is taken from the wall clock
    return time.time() - (up - ticks / CLOCK_TICKS)


def own_peak_rss_bytes() -> Optional[int]:
    """The high-water mark of this process."""
    files = ProcessFiles(os.getpid(), keep_open=False)
    found = files.residency()
    return None if found is None else found.high_water
