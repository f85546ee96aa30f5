"""Where a run happens: machine, limits, kernel, tunables, and how busy the machine is with other work.

What was really loaded (Python, torch, CUDA, numpy) only the child knows; it reports that itself. Standard
library only.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Dict, Mapping, Optional

from stackyard_task.measure.cgroup_places import Places, memory_limit_bytes
from stackyard_task.measure.limits import Holding
from stackyard_task.measure.proc import machine_busy_seconds
from stackyard_task.records import Environment, TaskSpec

#: Variables that change how fast the same code runs. Recorded wherever they came from.
TUNABLE_PREFIXES = (
    "CUBLAS_",
    "CUDA_",
    "CUDNN_",
    "GLIBC_TUNABLES",
    "GOMP_",
    "KMP_",
    "LD_PRELOAD",
    "MALLOC_",
    "MKL_",
    "NUMEXPR_",
    "NVIDIA_VISIBLE_",
    "OMP_",
    "OPENBLAS_",
    "PYTHONHASHSEED",
    "PYTORCH_",
    "TORCH_",
)


def describe(spec: TaskSpec, holding: Holding, places: Places, variables: Mapping[str, str]) -> Environment:
    """What is known before the child starts.

    Args:
        spec: The task.
        holding: Its limits as held.
        places: The supervisor's own cgroups, with whatever limits they already are under.
        variables: The child's environment variables.
    """
    name = os.uname()
    machine_ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [found for found in (memory_limit_bytes(places), spec.limits.memory_bytes) if found is not None]
    ram_limit = min(limits, default=None)
    return Environment(
        host=name.nodename,
        cpu_model=_cpu_model(),
        machine_cores=os.cpu_count(),
        affinity_cores=holding.affinity_cores,
        quota_cores=holding.quota_cores,
        allowed_cores=holding.allowed_cores,
        machine_ram_bytes=machine_ram,
        ram_limit_bytes=ram_limit if ram_limit is not None and ram_limit < machine_ram else None,
        limit_mechanism=holding.mechanism,
        cgroup_version=places.version,
        kernel=name.release,
        os=_os_name(),
        # which Python a command runs, if it is one, this process does not know
        python=None if spec.command is not None else ".".join(str(part) for part in sys.version_info[:3]),
        stack=None if spec.stack is None else spec.stack.name,
        stack_digest=None if spec.stack is None else spec.stack.digest,
        code_version=spec.code.version,
        code_dirty=spec.code.dirty,
        code_digest=spec.code.digest,
        code_own_digest=spec.code.own_digest,
        code_wheel=spec.code.wheel,
        code_own_version=spec.code.own_version,
        code_own_dirty=spec.code.own_dirty,
        tunables=tunables(spec.environment, variables),
        load_average_before=round(os.getloadavg()[0], 2),
    )


def tunables(chosen: Mapping[str, str], variables: Mapping[str, str]) -> Dict[str, str]:
    """The variables the task chose, and those of the rest that are known to change speed."""
    found = {name: value for name, value in variables.items() if name.startswith(TUNABLE_PREFIXES)}
    found.update(chosen)
    return dict(sorted(found.items()))


class Surroundings:
    """What else the machine did, and whether its clock was set, between two instants."""

    def __init__(self) -> None:
        self._busy = machine_busy_seconds()
        self._own = time.process_time()
        self._monotonic = time.monotonic()
        self._clock = time.time()

    def other_cpu_percent(self, tree_cpu_seconds: Optional[float]) -> Optional[float]:
        """CPU used by all but the tree and this process, in percent of the whole machine, since the start.

        Time stolen by a hypervisor counts: it is other work as far as the run is concerned.
        """
        busy = machine_busy_seconds()
        wall = time.monotonic() - self._monotonic
        if busy is None or self._busy is None or tree_cpu_seconds is None or wall <= 0:
            return None
        other = busy - self._busy - tree_cpu_seconds - (time.process_time() - self._own)
        return min(100.0, max(0.0, 100.0 * other / (wall * (os.cpu_count() or 1))))

    def clock_jump_seconds(self) -> float:
        """How much further the wall clock went than the monotonic one."""
        return (time.time() - self._clock) - (time.monotonic() - self._monotonic)


def _cpu_model() -> Optional[str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if line.startswith(("model name", "Model", "cpu model")):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return os.uname().machine


def _os_name() -> Optional[str]:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            with open(path, encoding="utf-8") as stream:
                for line in stream:
                    if line.startswith("PRETTY_NAME="):
                        return line.split("=", 1)[1].strip().strip("\"'")
        except OSError:
            continue
    return None
