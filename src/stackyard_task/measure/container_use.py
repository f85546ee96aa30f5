"""What a container uses, as its host counts it: the cgroup of one of its processes, read and left alone.

The same files and the same estimate of the peak as for a run's own cgroup (``cgroup``, ``memory``), but of a cgroup
that another made: nothing is limited, joined or removed. Standard library only.
"""

from __future__ import annotations

from typing import Dict, Optional

from stackyard_task.measure.cgroup import Cgroup, CgroupV1, CgroupV2
from stackyard_task.measure.cgroup_places import Places, find_places
from stackyard_task.measure.memory import ChargedMemory
from stackyard_task.records import Witness


class ContainerUse:
    """The use of one container from a moment on.

    Args:
        cgroup: the container's; its peak counter is set back where the kernel lets us.
    """

    def __init__(self, cgroup: Cgroup) -> None:
        self._cgroup = cgroup
        self._kills_before = cgroup.kernel_kills()
        #: Processes that the kernel ended for lack of memory since then.
        self.kernel_kills = 0
        self._cpu_before: Optional[float] = None
        self._memory = ChargedMemory()

    def begin(self) -> None:
        """What is used from here on counts."""
        self._cpu_before = self._cgroup.cpu_seconds()
        self._memory = ChargedMemory()
        self._cgroup.charge()  # sets the peak back
        self.sample()

    def sample(self) -> None:
        """Look at the memory, often: where the peak cannot be set back, what lies between two looks is missed."""
        charge = self._cgroup.charge()
        if charge is not None:
            if not self._cgroup.peak_resettable:  # an old peak says nothing of now
                charge = charge._replace(peak=charge.usage)
            self._memory.observe(charge, 0, 0, lambda: None)
        self.kernel_kills = max(self.kernel_kills, self._cgroup.kernel_kills() - self._kills_before)

    def seen(self) -> Witness:
        """What was used since ``begin``; what cannot be read is ``None``."""
        self.sample()
        cpu = self._cgroup.cpu_seconds()
        return Witness(
            method=f"cgroup v{self._cgroup.version} of the container, read by its agent",
            cpu_seconds=None if cpu is None or self._cpu_before is None else cpu - self._cpu_before,
            peak_bytes=self._memory.peak.bytes,
            charged_peak_bytes=self._memory.charged_peak,
        )

    def close(self) -> None:
        """Close the files."""
        self._cgroup.close()


def of_process(pid: int) -> Optional[ContainerUse]:
    """The use of the container that a process of this host is in; ``None``: it is in none, or cannot be counted."""
    theirs, ours = find_places(f"/proc/{pid}", "/proc/self"), find_places()
    cgroup = _opened(theirs)
    if cgroup is None or _folders(theirs) == _folders(ours):
        return None
    return ContainerUse(cgroup)


def _opened(places: Places) -> Optional[Cgroup]:
    folders = _folders(places)
    if "cpuacct" in folders or "memory" in folders:
        return CgroupV1(folders)
    return CgroupV2(folders) if folders else None


def _folders(places: Places) -> Dict[str, str]:
    if places.version == 1:
        return {
            name: place.folder for name, place in places.v1.items() if name in ("cpuacct", "cpu", "memory")
        }
    return {} if places.v2 is None else {"unified": places.v2.folder}
