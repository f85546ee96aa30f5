"""Hardware limits on a run's child, and by which mechanism they are held.

A cgroup holds the whole tree to a share of CPU time and an amount of memory. Without one, an affinity mask
holds whole cores, and RLIMIT_DATA (per process) plus the supervisor's own watch (whole tree) hold memory.
Standard library only.
"""

from __future__ import annotations

import math
import os
import resource
from dataclasses import dataclass
from typing import Callable, List, Optional

from stackyard_task.counting import count
from stackyard_task.measure.cgroup import Cgroup
from stackyard_task.records import SUPERVISION_BYTES, Limits


class LimitError(Exception):
    """A limit cannot be held here: the message says which and what to do."""


@dataclass
class Holding:
    """Limits as they are held."""

    #: "cgroup v1", "cgroup v2", "affinity + rlimit", "already held" (by the container), or ``None`` without limits.
    mechanism: Optional[str]
    #: Cores the child may use at most: min(affinity, quotas).
    allowed_cores: float
    affinity_cores: int
    quota_cores: Optional[float]
    #: A limit on the whole tree that only the supervisor watches.
    watched_memory_bytes: Optional[int]
    #: To be called in the forked child, before exec.
    steps: List[Callable[[], None]]


def hold(
    limits: Limits,
    cgroup: Optional[Cgroup],
    quota_cores: Optional[float],
    memory_limit_bytes: Optional[int] = None,
) -> Holding:
    """Put ``limits`` on ``cgroup``, or prepare what the child does to itself.

    Args:
        limits: What the task asks for.
        cgroup: The run's own cgroup; ``None`` where none is writable.
        quota_cores: The quota the supervisor itself is already under.
        memory_limit_bytes: The memory limit the supervisor itself is already under.

    Raises:
        LimitError: a limit that makes no sense or is more than this machine has, or half a core without a cgroup.
    """
    cores, memory_bytes = limits.cores, limits.memory_bytes
    if cores is not None and not (cores > 0 and math.isfinite(cores)):
        raise LimitError(f"limits.cores is {cores!r}, expected a number above 0; correct task.json")
    if memory_bytes is not None and memory_bytes <= 0:
        raise LimitError(f"limits.memory_bytes is {memory_bytes!r}, expected more than 0; correct task.json")
    mask = sorted(os.sched_getaffinity(0))
    if cores is not None and cores > len(mask):
        raise LimitError(
            f"{count(float(cores), 'core')} wanted, {len(mask)} can be used here; use a machine with more"
        )
    if memory_bytes is not None and memory_bytes > _ram_bytes():
        wanted, has = memory_bytes / 1e9, _ram_bytes() / 1e9
        raise LimitError(f"{wanted:.1f} GB of memory wanted, this machine has {has:.1f} GB; use another one")
    steps: List[Callable[[], None]] = []
    by_cgroup = by_process = outside = False
    watched = None
    affinity_cores = len(mask)

    if cores is not None:
        if cgroup is not None and cgroup.can_limit("cpu"):
            _try(cgroup, cores=cores)
            quota_cores = cores if quota_cores is None else min(cores, quota_cores)
            by_cgroup = True
        elif quota_cores is not None and quota_cores <= cores:
            outside = True
        elif cores != int(cores):
            raise LimitError(
                f"a limit of {count(float(cores), 'core')} needs a writable cgroup, and this process has none; "
                "give a whole number of cores or run where cgroups can be made (as root, or delegated)"
            )
        else:
            chosen = mask[: int(cores)]
            affinity_cores = len(chosen)
            steps.append(lambda: os.sched_setaffinity(0, chosen))
            by_process = True
    if memory_bytes is not None:
        if cgroup is not None and cgroup.can_limit("memory"):
            _try(cgroup, memory_bytes=memory_bytes)
            by_cgroup = True
        elif memory_limit_bytes is not None and memory_limit_bytes <= memory_bytes + SUPERVISION_BYTES:
            # the container holds workload and supervisor together; the workload's own share is watched
            outside, watched = True, memory_bytes
        else:
            bound = memory_bytes
            steps.append(lambda: resource.setrlimit(resource.RLIMIT_DATA, (bound, bound)))
            watched = memory_bytes
            by_process = True

    names = [f"cgroup v{cgroup.version}"] if cgroup is not None and by_cgroup else []
    names += (["already held"] if outside else []) + (["affinity + rlimit"] if by_process else [])
    allowed = affinity_cores if quota_cores is None else min(affinity_cores, quota_cores)
    return Holding(", ".join(names) or None, float(allowed), affinity_cores, quota_cores, watched, steps)


def default_threads(allowed_cores: float) -> int:
    """Threads for numerical libraries: what the quota allows, which they do not look up themselves."""
    return max(1, math.floor(allowed_cores))


def _ram_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _try(cgroup: Cgroup, cores: Optional[float] = None, memory_bytes: Optional[int] = None) -> None:
    try:
        if cores is not None:
            cgroup.limit_cores(cores)
        if memory_bytes is not None:
            cgroup.limit_memory(memory_bytes)
    except OSError as error:
        what = count(float(cores), "core") if cores is not None else f"{memory_bytes} bytes of memory"
        raise LimitError(
            f"the kernel refused a limit of {what} ({error.strerror}); use a larger one"
        ) from error
