"""What this machine is and what it can run: cores, memory, limits, GPUs, disk.

Reads /proc, /sys and asks ``nvidia-smi``; changes nothing (whether a cgroup can be made is tried by making an
empty one and removing it at once). Decides nothing about stacks: that is ``stacks``.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stackyard.counting import count
from stackyard.machine.hardware_spec import HardwareSpec

#: How long the GPU driver may take to answer.
DRIVER_SECONDS = 20

_GIB = 2**30


@dataclass(frozen=True)
class Gpu:
    """One GPU of this machine."""

    index: int
    name: str
    #: CUDA compute capability, e.g. 8.6; ``None``: the driver does not say.
    capability: float | None
    memory_bytes: int | None
    driver: str | None


@dataclass(frozen=True)
class Machine:
    """What this machine is. Figures the machine does not tell are ``None``."""

    system: str
    cpu_model: str | None
    #: Cores the kernel knows of.
    cores: int
    #: Cores this process may run on.
    affinity_cores: int
    #: CPU quota of the cgroup we are in, in cores; ``None``: no quota.
    quota_cores: float | None
    ram_bytes: int | None
    #: Memory limit of the cgroup we are in; ``None``: no limit.
    ram_limit_bytes: int | None
    #: 1 or 2; ``None``: no cgroup with CPU and memory is mounted.
    cgroup_version: int | None
    #: Why no cgroup of our own can be made; ``None``: it can.
    cgroup_obstacle: str | None
    gpus: tuple[Gpu, ...] = ()
    #: Why no GPU was found; ``None`` where there are some.
    gpu_obstacle: str | None = None

    @property
    def usable_cores(self) -> float:
        """What a run may use at most: the smaller of affinity and quota."""
        return min(self.affinity_cores, self.quota_cores or self.affinity_cores)

    @property
    def usable_ram_bytes(self) -> int | None:
        """What a run may use at most: the smaller of RAM and the limit we are under."""
        known = [value for value in (self.ram_bytes, self.ram_limit_bytes) if value is not None]
        return min(known) if known else None


@dataclass(frozen=True)
class LimitSupport:
    """How limits on a run can be held here."""

    #: "cgroup v1", "cgroup v2" or "affinity + rlimit"; ``None``: not at all.
    mechanism: str | None
    #: Why a better mechanism is out of reach, or what the one at hand cannot do; ``None``: nothing to say.
    why_not: str | None
    #: Whether fractions of a core can be held (only a quota can).
    fractions: bool


def this_machine(
    proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup"), nvidia_smi: str | None = "nvidia-smi"
) -> Machine:
    """What the machine we run on is.

    Args:
        proc: where the proc file system is.
        cgroups: where cgroups are mounted.
        nvidia_smi: the driver's own tool, by name or path; ``None``: do not ask for GPUs.
    """
    version, folders = _cgroup_folders(proc, cgroups)
    gpus, gpu_obstacle = _gpus(nvidia_smi)
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu_model=_field(proc / "cpuinfo", "model name"),
        cores=os.cpu_count() or 1,
        affinity_cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        quota_cores=_quota_cores(version, folders, cgroups),
        ram_bytes=_kib(_field(proc / "meminfo", "MemTotal")),
        ram_limit_bytes=_ram_limit(version, folders, cgroups),
        cgroup_version=version,
        cgroup_obstacle=_cgroup_obstacle(version, folders),
        gpus=gpus,
        gpu_obstacle=gpu_obstacle,
    )


def limits_possible(machine: Machine) -> LimitSupport:
    """How hardware limits can be held on ``machine``, and what cannot be held."""
    if machine.cgroup_obstacle is None:
        return LimitSupport(f"cgroup v{machine.cgroup_version}", None, fractions=True)
    if hasattr(os, "sched_setaffinity") and hasattr(resource, "RLIMIT_AS"):
        return LimitSupport(
            "affinity + rlimit",
            f"{machine.cgroup_obstacle}, so only whole cores can be limited and memory by address space",
            fractions=False,
        )
    return LimitSupport(
        None, f"{machine.cgroup_obstacle}, and {platform.system()} has no CPU affinity", False
    )


def why_not(hardware: HardwareSpec, machine: Machine, at_once: int = 1) -> str | None:
    """Why ``hardware`` cannot be had on ``machine``; ``None``: it can.

    Args:
        hardware: what one run is to have.
        machine: where.
        at_once: so many runs at the same time, each with its own share of cores and memory.
    """
    if at_once > 1 and hardware.cores is not None and hardware.cores * at_once > machine.usable_cores:
        cores = count(float(hardware.cores * at_once), "core")
        return f"{at_once} x {hardware.cores:g} = {cores} wanted, {machine.usable_cores:g} can be used here"
    usable = machine.usable_ram_bytes
    memory = hardware.memory_bytes
    if at_once > 1 and memory is not None and usable is not None and memory * at_once > usable:
        each = f"{memory / _GIB:.1f} GiB of RAM"
        return f"{at_once} x {each} wanted, {usable / _GIB:.1f} GiB can be used here"
    if hardware.cores is not None:
        if hardware.cores > machine.usable_cores:
            return f"{count(float(hardware.cores), 'core')} wanted, {machine.usable_cores:g} can be used here"
        support = limits_possible(machine)
        if support.mechanism is None:
            return f"CPU limits cannot be held: {support.why_not}"
        if hardware.cores != int(hardware.cores) and not support.fractions:
            return f"a limit of {count(float(hardware.cores), 'core')} needs a CPU quota: {support.why_not}"
    if hardware.memory_bytes is not None:
        usable = machine.usable_ram_bytes
        if usable is not None and hardware.memory_bytes > usable:
            wanted = hardware.memory_bytes / _GIB
            return f"{wanted:.1f} GiB of RAM wanted, {usable / _GIB:.1f} GiB can be used here"
        if limits_possible(machine).mechanism is None:
            return f"memory limits cannot be held: {limits_possible(machine).why_not}"
    if hardware.gpus > len(machine.gpus):
        seen = f"{len(machine.gpus)} here" if machine.gpus else (machine.gpu_obstacle or "none here")
        return f"no GPU: {hardware.gpus} wanted, {seen}"
    return None


def disk_free_bytes(path: Path) -> int:
    """Free bytes a normal user can take on the file system that holds ``path`` (or its nearest parent)."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def _field(path: Path, name: str) -> str | None:
    """The value of the first ``name : value`` line of a /proc file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip()
    return None


def _kib(value: str | None) -> int | None:
    number = (value or "").partition(" ")[0]
    return int(number) * 1024 if number.isdigit() else None


def _cgroup_folders(proc: Path, cgroups: Path) -> tuple[int | None, dict[str, Path]]:
    """The cgroup version that holds CPU and memory, and our own folder for "cpu" and "memory"."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None, {}
    paths = {}
    for line in lines:
        _number, controllers, path = [*line.split(":", 2), "", ""][:3]
        for controller in controllers.split(","):
            paths[controller] = path.lstrip("/")
    if "cpu" in paths and "memory" in paths:
        # Inside a container the path is the host's while the mount shows only our part of it.
        folders = {}
        for controller in ("cpu", "memory"):
            own = cgroups / controller / paths[controller]
            folders[controller] = own if own.is_dir() else cgroups / controller
        if all(folder.is_dir() for folder in folders.values()):
            return 1, folders
    if "" in paths and (cgroups / "cgroup.controllers").is_file():
        own = cgroups / paths[""]
        own = own if own.is_dir() else cgroups
        return 2, {"cpu": own, "memory": own}
    return None, {}


def _upwards(folder: Path, top: Path) -> list[Path]:
    """``folder`` and its parents below ``top``: a limit on any of them holds for us."""
    return [folder, *(parent for parent in folder.parents if top in parent.parents or parent == top)]


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return None
    return int(text[0]) if text and text[0].lstrip("-").isdigit() else None


def _quota_cores(version: int | None, folders: dict[str, Path], top: Path) -> float | None:
    quotas = []
    for folder in _upwards(folders["cpu"], top) if folders else []:
        if version == 1:
            quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        else:
            try:
                words = (folder / "cpu.max").read_text(encoding="ascii").split()
            except OSError:
                continue
            quota = int(words[0]) if words and words[0].isdigit() else None
            period = int(words[1]) if len(words) > 1 else 100_000
        if quota and period and quota > 0:
            quotas.append(quota / period)
    return min(quotas) if quotas else None


def _ram_limit(version: int | None, folders: dict[str, Path], top: Path) -> int | None:
    name = "memory.limit_in_bytes" if version == 1 else "memory.max"
    limits = [_number(folder / name) for folder in (_upwards(folders["memory"], top) if folders else [])]
    real = [limit for limit in limits if limit is not None and limit < 2**60]  # v1's "no limit" is near 2**63
    return min(real) if real else None


def _cgroup_obstacle(version: int | None, folders: dict[str, Path]) -> str | None:
    """Why no child cgroup with CPU and memory limits can be made; ``None``: one was made and removed."""
    if version is None:
        return "no cgroup with CPU and memory is mounted"
    wanted = {
        "cpu": "cpu.cfs_quota_us" if version == 1 else "cpu.max",
        "memory": "memory.limit_in_bytes" if version == 1 else "memory.max",
    }
    for controller, folder in folders.items():
        trial = folder / f"stackyard-trial-{os.getpid()}-{controller}"
        try:
            trial.mkdir()
        except OSError as error:
            return f"cgroup v{version} is not writable ({folder}: {error.strerror})"
        try:
            complete = (trial / wanted[controller]).exists()
        finally:
            trial.rmdir()
        if not complete and not (version == 2 and _can_enable(folder, controller)):
            return f"cgroup v{version} does not hand down the {controller} controller ({folder})"
    return None


def _can_enable(folder: Path, controller: str) -> bool:
    """Whether a v2 cgroup may hand ``controller`` down once it holds no processes of its own."""
    try:
        offered = (folder / "cgroup.controllers").read_text(encoding="ascii").split()
    except OSError:
        return False
    return controller in offered and os.access(folder / "cgroup.subtree_control", os.W_OK)


def _gpus(nvidia_smi: str | None) -> tuple[tuple[Gpu, ...], str | None]:
    if nvidia_smi is None:
        return (), "GPUs were not asked for"
    tool = shutil.which(nvidia_smi)
    if tool is None:
        return (), "no NVIDIA driver (nvidia-smi not found)"
    query = "index,name,compute_cap,memory.total,driver_version"
    try:
        finished = subprocess.run(
            [tool, f"--query-gpu={query}", "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DRIVER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return (), f"the NVIDIA driver does not answer ({error.__class__.__name__})"
    if finished.returncode != 0:
        said = (finished.stdout + finished.stderr).strip().splitlines()
        return (), f"the NVIDIA driver answers: {said[0] if said else f'exit {finished.returncode}'}"
    gpus = [_gpu(line) for line in finished.stdout.splitlines() if line.count(",") >= 4]
    return tuple(gpus), None if gpus else "the NVIDIA driver sees no GPU"


def _gpu(line: str) -> Gpu:
    index, name, capability, memory, driver = [part.strip() for part in line.split(",", 4)]
    try:
        known: float | None = float(capability)
    except ValueError:  # "[N/A]", or a driver too old to know the field
        known = None
    return Gpu(
        index=int(index),
        name=name,
        capability=known,
        memory_bytes=int(memory) * 2**20 if memory.isdigit() else None,
        driver=driver or None,
    )
