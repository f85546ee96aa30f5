"""What the tree used of each NVIDIA GPU, from NVML. The only file that imports pynvml (nvidia-ml-py).

Per-process memory comes from NVML's accounting where an administrator enabled it (exact, short spikes
included), else from sampling; the record says which. Utilisation and energy are the whole device's: others
who use the same GPU are in them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Collection, Dict, List, Optional

from stackyard_task.records import GpuUse

#: Present where an NVIDIA driver is loaded; asked first, because loading NVML costs time.
DRIVER_FILES = ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg")
#: Set to 1 to look for NVML even without those files (tests with a simulated library), to 0 never to look.
NVML_VARIABLE = "STACKYARD_NVML"


@dataclass
class Device:
    """One GPU and what was seen of it."""

    handle: Any
    use: GpuUse
    accounting: bool
    energy_before: Optional[float]
    used_at_start: Optional[int]
    accounted_peaks: Dict[int, int] = field(default_factory=dict)
    sampled_peak: Optional[int] = None
    utilisation: List[float] = field(default_factory=list)
    memory_bytes: Optional[int] = None
    utilisation_percent: Optional[float] = None


class GpuMeter:
    """All GPUs of the machine. Without a driver, a library or a device it stays empty and silent."""

    def __init__(self) -> None:
        self.devices: List[Device] = []
        self.driver: Optional[str] = None
        self._nvml: Any = None
        wanted = os.environ.get(NVML_VARIABLE)
        if wanted == "0" or (wanted != "1" and not any(os.path.exists(path) for path in DRIVER_FILES)):
            return
        try:
            import pynvml
        except ImportError:
            return
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            self._nvml = None
            return
        self.driver = self._ask("nvmlSystemGetDriverVersion")
        for index in range(self._ask("nvmlDeviceGetCount") or 0):
            handle = self._ask("nvmlDeviceGetHandleByIndex", index)
            if handle is None:
                continue
            use = GpuUse(
                index,
                name=self._ask("nvmlDeviceGetName", handle),
                uuid=self._ask("nvmlDeviceGetUUID", handle),
            )
            memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
            self.devices.append(
                Device(
                    handle,
                    use,
                    accounting=self._ask("nvmlDeviceGetAccountingMode", handle) == 1,
                    energy_before=self._ask("nvmlDeviceGetTotalEnergyConsumption", handle),
                    used_at_start=None if memory is None else int(memory.used),
                )
            )

    def _ask(self, name: str, *arguments: Any) -> Any:
        """The answer of one NVML call as plain text or number; ``None`` if this device or driver lacks it."""
        try:
            answer = getattr(self._nvml, name)(*arguments)
        except (self._nvml.NVMLError, AttributeError):
            return None
        return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer

    def sample(self, pids: Collection[int]) -> None:
        """Read each device for the processes of the tree."""
        for device in self.devices:
            running = self._ask("nvmlDeviceGetComputeRunningProcesses", device.handle)
            device.memory_bytes = None
            if running is not None:
                ours = [p.usedGpuMemory for p in running if p.pid in pids and p.usedGpuMemory is not None]
                if ours:
                    device.memory_bytes = sum(ours)
                    device.sampled_peak = max(device.sampled_peak or 0, device.memory_bytes)
            if device.accounting:
                for pid in pids:
                    self._account(device, pid)
            rates = self._ask("nvmlDeviceGetUtilizationRates", device.handle)
            device.utilisation_percent = None if rates is None else float(rates.gpu)
            if device.utilisation_percent is not None:
                device.utilisation.append(device.utilisation_percent)

    def _account(self, device: Device, pid: int) -> None:
        stats = self._ask("nvmlDeviceGetAccountingStats", device.handle, pid)
        if stats is not None and stats.maxMemoryUsage:
            device.accounted_peaks[pid] = max(device.accounted_peaks.get(pid, 0), int(stats.maxMemoryUsage))

    def peak_bytes(self) -> Optional[int]:
        """Greatest memory of the tree so far, on the device where it was most; ``None``: it was seen on none."""
        peaks = [
            peak
            for device in self.devices
            for peak in (device.sampled_peak, *device.accounted_peaks.values())
        ]
        return max((peak for peak in peaks if peak is not None), default=None)

    def joules(self) -> Optional[float]:
        """Energy so far of the devices that the tree was seen on; ``None``: none of them counts it."""
        found = [
            self._joules(device) for device in self.devices if device.sampled_peak or device.accounted_peaks
        ]
        counted = [joules for joules in found if joules is not None]
        return sum(counted) if counted else None

    def _joules(self, device: Device) -> Optional[float]:
        energy = self._ask("nvmlDeviceGetTotalEnergyConsumption", device.handle)
        if energy is None or device.energy_before is None:
            return None
        return (float(energy) - device.energy_before) / 1000.0  # the counter is in millijoules

    def finish(self, pids: Collection[int]) -> List[GpuUse]:
        """What was used, for the record.

        With accounting, the peak is the greatest of any one process, or the sampled sum where that is more.
        """
        found = []
        for device in self.devices:
            use = device.use
            if device.accounting:
                for pid in pids:
                    self._account(device, pid)
            if device.accounted_peaks:
                use.peak_memory_bytes = max(max(device.accounted_peaks.values()), device.sampled_peak or 0)
                use.peak_memory_method = "nvml accounting"
            elif device.sampled_peak is not None:
                use.peak_memory_bytes, use.peak_memory_method = device.sampled_peak, "nvml sampled"
            if device.utilisation:
                use.utilisation_percent_mean = sum(device.utilisation) / len(device.utilisation)
                use.utilisation_percent_max = max(device.utilisation)
            use.energy_joules = self._joules(device)
            found.append(use)
        if self._nvml is not None:
            self._ask("nvmlShutdown")
        return found
