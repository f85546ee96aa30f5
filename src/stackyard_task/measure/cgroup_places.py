"""Where the cgroups of a process are mounted, and the limits they put on it. Reads, never writes.

v1 mounts each controller apart, v2 all in one; in a container the path in /proc/self/cgroup may lie outside
what is mounted. Standard library only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Dict, List, Optional

#: v1 writes "no limit" as the largest multiple of the page size below 2**63.
NO_LIMIT = 1 << 62


@dataclass(frozen=True)
class Place:
    """A process's cgroup in one hierarchy."""

    mount_point: str
    folder: str


@dataclass
class Places:
    """A process's cgroups: v1 controller -> place, and the place in the v2 hierarchy where one is mounted."""

    v1: Dict[str, Place] = field(default_factory=dict)
    v2: Optional[Place] = None

    @property
    def version(self) -> Optional[int]:
        """The version that counts CPU and memory here."""
        return 1 if "cpuacct" in self.v1 or "memory" in self.v1 else 2 if self.v2 is not None else None


def find_places(proc: str = "/proc/self", mounts: Optional[str] = None) -> Places:
    """The cgroups of the process whose /proc folder is ``proc`` (cgroups(7), proc_pid_mountinfo(5)).

    Args:
        proc: its folder.
        mounts: the folder of the process that sees the places as they are named; ``None``: that process itself.
    """
    places = Places()
    own: Dict[str, str] = {}
    for line in _lines(f"{proc}/cgroup"):
        _number, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path  # "" is the v2 hierarchy
    for line in _lines(f"{mounts or proc}/mountinfo"):
        left, _separator, right = line.partition(" - ")
        kind, _source, options = [*right.split(" ", 2), "", ""][:3]
        root, mount_point = left.split(" ")[3:5]
        if kind == "cgroup2" and "" in own:
            places.v2 = _place(mount_point, root, own[""])
        elif kind == "cgroup":
            for controller in options.split(","):
                if controller in own and controller not in places.v1:
                    places.v1[controller] = _place(mount_point, root, own[controller])
    return places


def quota_cores(places: Places) -> Optional[float]:
    """The smallest CPU quota on the way up from the process's cgroup, in cores; ``None`` without one."""
    place = places.v1.get("cpu") or (places.v2 if "cpuacct" not in places.v1 else None)
    if place is None:
        return None
    version = 1 if "cpu" in places.v1 else 2
    found = [quota for folder in _upward(place) for quota in [quota_of(folder, version)] if quota is not None]
    return min(found, default=None)


def memory_limit_bytes(places: Places) -> Optional[int]:
    """The smallest memory limit on the way up from the process's cgroup; ``None`` without one."""
    place = places.v1.get("memory") or places.v2
    if place is None:
        return None
    name = "memory.limit_in_bytes" if "memory" in places.v1 else "memory.max"
    found: List[int] = []
    for folder in _upward(place):
        text = " ".join(_lines(f"{folder}/{name}"))
        if text.isdigit() and int(text) < NO_LIMIT:
            found.append(int(text))
    return min(found, default=None)


def kernel_kills(places: Places) -> int:
    """Processes the kernel has ended for lack of memory in the process's own cgroup (a container's, say) so far."""
    if "memory" in places.v1:
        path = f"{places.v1['memory'].folder}/memory.oom_control"
    elif places.v2 is not None:
        path = f"{places.v2.folder}/memory.events"
    else:
        return 0
    counts = [line.split()[1] for line in _lines(path) if line.startswith("oom_kill ")]
    return int(counts[0]) if counts and counts[0].isdigit() else 0


def quota_of(folder: str, version: int) -> Optional[float]:
    """The CPU quota of one cgroup folder, in cores."""
    if version == 2:
        words = " ".join(_lines(f"{folder}/cpu.max")).split()
    else:
        words = _lines(f"{folder}/cpu.cfs_quota_us")[:1] + _lines(f"{folder}/cpu.cfs_period_us")[:1]
    if len(words) == 2 and words[0].isdigit() and int(words[1]) > 0:
        return int(words[0]) / int(words[1])
    return None


def _place(mount_point: str, root: str, path: str) -> Place:
    relative = os.path.relpath(path, root) if path.startswith(root) else "."
    return Place(mount_point, os.path.normpath(os.path.join(mount_point, relative)))


def _upward(place: Place) -> List[str]:
    folders = [place.folder]
    while folders[-1] != place.mount_point and folders[-1].startswith(place.mount_point):
        folders.append(os.path.dirname(folders[-1]))
    return folders


def _lines(path: str) -> List[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().splitlines()
    except OSError:
        return []
