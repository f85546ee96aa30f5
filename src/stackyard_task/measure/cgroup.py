"""The cgroup of a run, v1 or v2: made for it alone, limited, read by the sampler, emptied and removed.

A cgroup counts what polling cannot: CPU of processes that came and went, memory charged for a few
milliseconds, the kernel's own kills. Where cgroups are mounted is in ``cgroup_places``; what its readings
mean for the peak of memory in ``memory``. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from stackyard_task.measure.cgroup_places import Place, Places, find_places, quota_of

PREFIX = "stackyard-"
QUOTA_PERIOD_MICROSECONDS = 100_000


class Charge(NamedTuple):
    """Memory charged to a cgroup, bytes."""

    usage: int
    #: Greatest usage since the last reset.
    peak: int
    #: Anonymous and shared memory: what is resident whatever the page cache holds.
    resident: int


class CounterFile:
    """A cgroup file kept open and read again and again; ``None`` where it does not exist."""

    def __init__(self, path: str, writable: bool = False) -> None:
        self._descriptor: Optional[int] = None
        for mode in (os.O_RDWR, os.O_RDONLY) if writable else (os.O_RDONLY,):  # what is not ours can be read
            with contextlib.suppress(OSError):
                self._descriptor = os.open(path, mode | os.O_CLOEXEC)
                break

    def data(self) -> bytes:
        """The content; empty where it cannot be read."""
        if self._descriptor is None:
            return b""
        try:
            return os.pread(self._descriptor, 8192, 0)
        except OSError:
            return b""

    def number(self) -> Optional[int]:
        """The content as a number."""
        data = self.data().strip()
        return int(data) if data.isdigit() else None

    def value(self, key: bytes) -> Optional[int]:
        """The number after ``key`` at the start of a line."""
        data = b"\n" + self.data()
        at = data.find(b"\n" + key + b" ")
        return None if at < 0 else int(data[at + len(key) + 2 :].split(None, 1)[0])

    def write(self, data: bytes) -> bool:
        """True if the kernel took ``data``."""
        if self._descriptor is None:
            return False
        try:
            return os.pwrite(self._descriptor, data, 0) == len(data)
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Cgroup:
    """A cgroup made for one run. The subclasses know the file names of v1 and v2."""

    version = 0

    def __init__(self, folders: Dict[str, str]) -> None:
        """Take over ``folders``, just made: controller -> path; controllers may share one."""
        self.folders = folders
        self._made = list(dict.fromkeys(folders.values()))
        self._files: Dict[str, CounterFile] = {}
        self.peak_resettable = self._open()

    def _open(self) -> bool:
        raise NotImplementedError

    def _file(self, controller: str, name: str, writable: bool = False) -> CounterFile:
        found = CounterFile(f"{self.folders.get(controller, '/nonexistent')}/{name}", writable)
        self._files[f"{controller}/{name}"] = found
        return found

    # Reading.
    def cpu_seconds(self) -> Optional[float]:
        """CPU seconds of every process that was ever in the cgroup."""
        raise NotImplementedError

    def cpu_split(self) -> Tuple[Optional[float], Optional[float]]:
        """CPU seconds in (user, system) mode."""
        raise NotImplementedError

    def throttled_seconds(self) -> Optional[float]:
        """Time the cgroup was held back by its quota."""
        raise NotImplementedError

    def charge(self) -> Optional[Charge]:
        """Memory charged now and at most since the last call, which resets the peak."""
        raise NotImplementedError

    def kernel_kills(self) -> int:
        """Processes the kernel ended for lack of memory."""
        raise NotImplementedError

    def processes(self) -> List[int]:
        """Ids of the processes in the cgroup."""
        # Opened anew each time: v1 keeps answering a kept file from the list made at its first reading.
        try:
            with open(f"{self._made[0]}/cgroup.procs", "rb", buffering=0) as stream:
                return [int(word) for word in stream.readall().split()]
        except OSError:
            return []

    # Acting.
    def join(self) -> None:
        """Move the calling process in; for the forked child, before exec.

        Raises:
            OSError: the kernel refused.
        """
        for folder in self._made:
            _write(f"{folder}/cgroup.procs", "0")

    def can_limit(self, what: str) -> bool:
        """Whether "cpu" or "memory" can be limited here."""
        raise NotImplementedError

    def limit_cores(self, cores: float) -> None:
        """Hold the cgroup to ``cores`` (a share of time, not a choice of cores)."""
        raise NotImplementedError

    def limit_memory(self, limit_bytes: int) -> None:
        """Hold the cgroup to ``limit_bytes``, swap included where the kernel counts it."""
        raise NotImplementedError

    def kill(self) -> None:
        """SIGKILL for every process in the cgroup, those being forked included."""
        for _ in range(20):
            pids = self.processes()
            if not pids:
                return
            for pid in pids:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)

    def close(self) -> None:
        """Close the files."""
        for found in self._files.values():
            found.close()

    def remove(self) -> None:
        """Close the files and remove the folders; an emptied cgroup may need a moment."""
        self.close()
        for folder in self._made:
            for _ in range(100):
                if _removed(folder):
                    break
                time.sleep(0.01)
        self._made = []


class CgroupV1(Cgroup):
    """One folder per controller hierarchy: cpuacct, cpu, memory."""

    version = 1

    def _open(self) -> bool:
        self._usage = self._file("cpuacct", "cpuacct.usage")
        self._split = self._file("cpuacct", "cpuacct.stat")
        self._throttle = self._file("cpu", "cpu.stat")
        self._memory = self._file("memory", "memory.usage_in_bytes")
        self._peak = self._file("memory", "memory.max_usage_in_bytes", writable=True)
        self._stat = self._file("memory", "memory.stat")
        self._oom = self._file("memory", "memory.oom_control")
        return "memory" in self.folders and self._peak.write(b"0")

    def cpu_seconds(self) -> Optional[float]:  # noqa: D102 documented in Cgroup
        nanoseconds = self._usage.number()
        return None if nanoseconds is None else nanoseconds / 1e9

    def cpu_split(self) -> Tuple[Optional[float], Optional[float]]:  # noqa: D102 documented in Cgroup
        ticks = os.sysconf("SC_CLK_TCK")
        user, system = self._split.value(b"user"), self._split.value(b"system")
        return (None if user is None else user / ticks, None if system is None else system / ticks)

    def throttled_seconds(self) -> Optional[float]:  # noqa: D102 documented in Cgroup
        nanoseconds = self._throttle.value(b"throttled_time")
        return None if nanoseconds is None else nanoseconds / 1e9

    def charge(self) -> Optional[Charge]:  # noqa: D102 documented in Cgroup
        stat = self._stat.data()
        usage, peak = self._memory.number(), self._peak.number()
        if usage is None or peak is None or not stat:
            return None
        self._peak.write(b"0")
        return Charge(
            usage, max(usage, peak), _stat_value(stat, b"total_rss") + _stat_value(stat, b"total_shmem")
        )

    def kernel_kills(self) -> int:  # noqa: D102 documented in Cgroup
        return self._oom.value(b"oom_kill") or 0

    def can_limit(self, what: str) -> bool:  # noqa: D102 documented in Cgroup
        return what in self.folders

    def limit_cores(self, cores: float) -> None:  # noqa: D102 documented in Cgroup
        _write(f"{self.folders['cpu']}/cpu.cfs_period_us", str(QUOTA_PERIOD_MICROSECONDS))
        _write(f"{self.folders['cpu']}/cpu.cfs_quota_us", str(round(cores * QUOTA_PERIOD_MICROSECONDS)))

    def limit_memory(self, limit_bytes: int) -> None:  # noqa: D102 documented in Cgroup
        _write(f"{self.folders['memory']}/memory.limit_in_bytes", str(limit_bytes))
        with contextlib.suppress(OSError):  # the kernel counts no swap: there the limit is on memory alone
            _write(f"{self.folders['memory']}/memory.memsw.limit_in_bytes", str(limit_bytes))


class CgroupV2(Cgroup):
    """One folder for all controllers."""

    version = 2

    def _open(self) -> bool:
        self._cpu = self._file("unified", "cpu.stat")
        self._memory = self._file("unified", "memory.current")
        self._peak = self._file("unified", "memory.peak", writable=True)
        self._stat = self._file("unified", "memory.stat")
        self._events = self._file("unified", "memory.events")
        return self._peak.write(b"reset\n")  # per descriptor, Linux 6.12 and newer

    def cpu_seconds(self) -> Optional[float]:  # noqa: D102 documented in Cgroup
        microseconds = self._cpu.value(b"usage_usec")
        return None if microseconds is None else microseconds / 1e6

    def cpu_split(self) -> Tuple[Optional[float], Optional[float]]:  # noqa: D102 documented in Cgroup
        user, system = self._cpu.value(b"user_usec"), self._cpu.value(b"system_usec")
        return (None if user is None else user / 1e6, None if system is None else system / 1e6)

    def throttled_seconds(self) -> Optional[float]:  # noqa: D102 documented in Cgroup
        microseconds = self._cpu.value(b"throttled_usec")
        return None if microseconds is None else microseconds / 1e6

    def charge(self) -> Optional[Charge]:  # noqa: D102 documented in Cgroup
        stat = self._stat.data()
        usage = self._memory.number()
        if usage is None or not stat:
            return None
        peak = self._peak.number()
        if self.peak_resettable:
            self._peak.write(b"reset\n")
        return Charge(usage, max(usage, peak or 0), _stat_value(stat, b"anon") + _stat_value(stat, b"shmem"))

    def kernel_kills(self) -> int:  # noqa: D102 documented in Cgroup
        return self._events.value(b"oom_kill") or 0

    def can_limit(self, what: str) -> bool:  # noqa: D102 documented in Cgroup
        return os.path.exists(f"{self.folders['unified']}/{what}.max")

    def limit_cores(self, cores: float) -> None:  # noqa: D102 documented in Cgroup
        quota = round(cores * QUOTA_PERIOD_MICROSECONDS)
        _write(f"{self.folders['unified']}/cpu.max", f"{quota} {QUOTA_PERIOD_MICROSECONDS}")

    def limit_memory(self, limit_bytes: int) -> None:  # noqa: D102 documented in Cgroup
        _write(f"{self.folders['unified']}/memory.max", str(limit_bytes))
        for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
            with contextlib.suppress(OSError):  # no swap accounting, or a kernel before 4.19
                _write(f"{self.folders['unified']}/{name}", value)

    def kill(self) -> None:  # noqa: D102 documented in Cgroup
        try:
            _write(f"{self.folders['unified']}/cgroup.kill", "1")  # Linux 5.14
        except OSError:
            super().kill()


def create(
    name: str, places: Optional[Places] = None, make: Callable[[str], None] = os.mkdir
) -> Optional[Cgroup]:
    """A cgroup of its own for a run, below the caller's; ``None`` where none can be made.

    Never above a limit the caller itself is under. What remains of supervisors that were killed is removed.
    """
    places = find_places() if places is None else places
    if "cpuacct" in places.v1:
        for place in places.v1.values():
            _sweep(place.folder)
        folders: Dict[str, str] = {}
        for controller in ("cpuacct", "cpu", "memory"):
            if controller in places.v1:
                folder = f"{places.v1[controller].folder}/{PREFIX}{name}"
                with contextlib.suppress(OSError):  # this hierarchy is not writable; the others may be
                    if folder not in folders.values():
                        make(folder)
                    folders[controller] = folder
        if not folders:
            return None
        made = CgroupV1(folders)
        if "cpuacct" in folders:
            return made
        made.remove()
        return None
    if places.v2 is None:
        return None
    for folder in _v2_parents(places.v2):
        _sweep(folder)
        try:
            make(f"{folder}/{PREFIX}{name}")
        except OSError:
            continue
        cgroup = CgroupV2({"unified": f"{folder}/{PREFIX}{name}"})
        if cgroup.cpu_seconds() is not None and os.access(
            f"{cgroup.folders['unified']}/cgroup.procs", os.W_OK
        ):
            return cgroup
        cgroup.remove()
    return None


def _v2_parents(place: Place) -> List[str]:
    """Folders below which a cgroup with controllers may be made, best first.

    A v2 cgroup that holds processes cannot hand controllers to children, except the root; so our own cgroup
    serves where it already does, else the nearest ancestor that does and is not above a limit of ours.
    """
    found: List[str] = []
    folder = place.folder
    while True:
        wanted = {"cpu", "memory"}
        if folder == place.folder and not wanted <= set(_words(f"{folder}/cgroup.subtree_control")):
            for controller in ("+cpu", "+memory", "+io"):
                with contextlib.suppress(
                    OSError
                ):  # processes inside, not ours to change, or no such controller
                    _write(f"{folder}/cgroup.subtree_control", controller)
        if wanted <= set(_words(f"{folder}/cgroup.subtree_control")):
            found.append(folder)
        limited = quota_of(folder, 2) is not None or _words(f"{folder}/memory.max") not in ([], ["max"])
        if limited or folder == place.mount_point or not folder.startswith(place.mount_point):
            break
        folder = os.path.dirname(folder)
    if place.folder not in found:
        found.append(place.folder)  # without controllers it still counts CPU
    return found


def _sweep(parent: str) -> None:
    """Remove cgroups of supervisors that no longer live, and end what a killed one left running in them.

    Their children died with them; what had detached itself would run beside the runs that follow.
    """
    try:
        names = [name for name in os.listdir(parent) if name.startswith(PREFIX)]
    except OSError:
        return
    for name in names:
        owner = name[len(PREFIX) :].split("-", 1)[0]
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            for folder in _below(f"{parent}/{name}"):
                _end_members(folder)
            _removed(f"{parent}/{name}")


def _below(folder: str) -> List[str]:
    """A cgroup and those that a run has made in it, the innermost first."""
    return [place for place, _, _ in os.walk(folder, topdown=False)]


def _removed(folder: str) -> bool:
    """Whether a cgroup is gone, with those in it; one that holds processes stays."""
    for place in _below(folder):
        with contextlib.suppress(OSError):
            os.rmdir(place)
    return not os.path.exists(folder)


def _end_members(folder: str) -> None:
    """SIGKILL for what runs in a cgroup, if the owner's number in its name is of our own process namespace."""
    for _ in range(20):
        pids = [int(word) for word in _words(f"{folder}/cgroup.procs")]
        try:
            ours = os.readlink("/proc/self/ns/pid")
            strange = any(os.readlink(f"/proc/{pid}/ns/pid") != ours for pid in pids)
        except OSError:  # one has just ended
            continue
        if not pids or strange:
            return
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _stat_value(stat: bytes, key: bytes) -> int:
    at = stat.find(key + b" ") if stat.startswith(key + b" ") else stat.find(b"\n" + key + b" ") + 1
    return int(stat[at + len(key) + 1 :].split(None, 1)[0]) if at > 0 or stat.startswith(key) else 0


def _words(path: str) -> List[str]:
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().split()
    except OSError:
        return []


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
