"""What the figures of a record, and those of a run under way, are called on a server's pages. Pure.

Where they are shown knows them by these names, and so does who reads them there again. Standard library only.
"""

from __future__ import annotations

import re
from typing import Tuple

MB, MS = 1e-6, 1e3

#: The runtime property of a followed task that holds what ``progress.json`` says.
MOMENT_PROPERTY = "stackyard_moment"

#: Field of a Measurement, its name on a page, what it is multiplied by.
MEASURED: Tuple[Tuple[str, str, float], ...] = (
    ("wall_seconds", "wall time (s)", 1),
    ("startup_seconds", "start-up (s)", 1),
    ("data_seconds", "data (s)", 1),
    ("warmup_seconds", "warm-up (s)", 1),
    ("steady_seconds", "steady (s)", 1),
    ("finish_seconds", "finish (s)", 1),
    ("cpu_seconds", "CPU time (s)", 1),
    ("cpu_user_seconds", "CPU time in user mode (s)", 1),
    ("cpu_system_seconds", "CPU time in the kernel (s)", 1),
    ("cpu_percent_of_core", "CPU mean (% of a core)", 1),
    ("cpu_percent_of_core_max", "CPU greatest (% of a core)", 1),
    ("cpu_percent_of_allowed", "CPU mean (% of allowed)", 1),
    ("cpu_percent_of_allowed_max", "CPU greatest (% of allowed)", 1),
    ("peak_rss_bytes", "peak RAM (MB)", MB),
    ("cgroup_peak_bytes", "peak charged to the cgroup (MB)", MB),
    ("disk_read_bytes", "disk read (MB)", MB),
    ("disk_written_bytes", "disk written (MB)", MB),
    ("energy_joules", "energy (J)", 1),
    ("overhead_cpu_seconds", "measuring took CPU time (s)", 1),
    ("overhead_peak_rss_bytes", "measuring took RAM (MB)", MB),
)
STEPS: Tuple[Tuple[str, str, float], ...] = (
    ("count", "steps", 1),
    ("mean_seconds", "step time mean (ms)", MS),
    ("p50_seconds", "step time median (ms)", MS),
    ("p95_seconds", "step time 95th percentile (ms)", MS),
)
GPU: Tuple[Tuple[str, str, float], ...] = (
    ("peak_memory_bytes", "peak memory (MB)", MB),
    ("torch_peak_allocated_bytes", "peak allocated by PyTorch (MB)", MB),
    ("torch_peak_reserved_bytes", "peak reserved by PyTorch (MB)", MB),
    ("utilisation_percent_mean", "utilisation mean (%)", 1),
    ("utilisation_percent_max", "utilisation greatest (%)", 1),
    ("energy_joules", "energy (J)", 1),
)
WITNESS: Tuple[Tuple[str, str, float], ...] = (
    ("cpu_differs_percent", "second witness: CPU differs by (%)", 1),
    ("peak_differs_percent", "second witness: peak RAM differs by (%)", 1),
)
WAYS: Tuple[Tuple[str, str, str], ...] = (
    ("pulled_at", "user_code_at", "pulled to user code (s)"),
    ("container_started_at", "user_code_at", "container start to user code (s)"),
    ("user_code_at", "workload_started_at", "user code to workload (s)"),
)
#: Scalars of a run under way; those of GPUs have a series for each.
CPU, RAM = "CPU (% of a core)", "RAM (MB)"
GPU_MEMORY, GPU_UTILISATION = "GPU memory (MB)", "GPU utilisation (%)"
LIVE = (CPU, RAM, GPU_MEMORY, GPU_UTILISATION)
#: Stands behind the name of a figure that the task itself reports too.
BESIDE_ITS_OWN = " (measured)"
_NAMES = frozenset(name for table in (MEASURED, STEPS, WITNESS) for _, name, _ in table) | {
    name for *_, name in WAYS
}
_OF_GPU = re.compile(r"GPU \d+ (.+)")


def of_gpu(index: int, name: str) -> str:
    """The name of a GPU's figure among those of the others."""
    return f"GPU {index} {name}"


def is_figure(name: str) -> bool:
    """Whether a record's figure is called so."""
    if name.endswith(BESIDE_ITS_OWN):
        name = name[: -len(BESIDE_ITS_OWN)]
    gpu = _OF_GPU.fullmatch(name)
    return name in _NAMES if gpu is None else any(name == gpu[1] for _, name, _ in GPU)
