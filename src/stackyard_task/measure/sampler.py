"""The sampler: reads what the tree uses at intervals and at the end, and fills a Measurement.

Ties the other files of this room together. It watches its own cost: on a large tree it samples less often
rather than burn more than its share of a core, and misses no spike of memory by that. Standard library only.
"""

from __future__ import annotations

import math
import time
from typing import Dict, List, Optional, Set, Tuple

from stackyard_task.measure.cgroup import Cgroup
from stackyard_task.measure.cpu import CpuWindows
from stackyard_task.measure.energy import energy_of
from stackyard_task.measure.gpu import GpuMeter
from stackyard_task.measure.memory import ChargedMemory, Peak, ProcessMemory
from stackyard_task.measure.proc import Residency, Shares, own_peak_rss_bytes
from stackyard_task.measure.timeline import Timeline
from stackyard_task.measure.tree import Tree
from stackyard_task.records import Measurement

#: Share of a core the sampler may use for looking at single processes: without a cgroup, where everything
#: is seen that way, and with one, where it is only for mapped files and RSS minus shared.
SWEEP_SHARE = 0.0025
SWEEP_SHARE_BESIDE_CGROUP = 0.001
#: For finding new processes without a cgroup, and for page-table walks (shares of a page).
DISCOVERY_SHARE = 0.0007
WALK_SHARE = 0.0005
#: What each of them may use at once, whatever the share: short runs need some too.
SWEEP_ALLOWANCE_SECONDS = 0.004
LOOKS_ALLOWANCE_SECONDS = 0.003
WALK_ALLOWANCE_SECONDS = 0.05
#: For asking NVML, on machines that have it.
GPU_SHARE = 0.005
GPU_ALLOWANCE_SECONDS = 0.05
#: The first samples come close together, so that tasks of a tenth of a second are seen.
FIRST_INTERVAL_SECONDS = 0.005
#: However large the tree.
LONGEST_INTERVAL_SECONDS = 2.0
#: A process whose memory stands still is skipped for this many samples at most.
STILL_INTERVALS = 3
#: How often CPU is read from /proc where there is no cgroup: it counts in ticks of 10 ms.
TICK_INTERVAL_SECONDS = 0.24
#: What wait4 tells beyond the cgroup's count before processes have left that: more than rounding, and their fork.
ESCAPED_SHARE, ESCAPED_SECONDS = 0.05, 0.05


class Sampler:
    """Measures one tree from its start to its end.

    Args:
        tree: The processes.
        cgroup: Their cgroup, made for them: what it counts is theirs, also before this object was made; or ``None``.
        started_at: CLOCK_MONOTONIC instant of the child's start.
        interval_seconds: Distance of samples; infinite: only start and end are read.
        gpus: The GPU meter.
        charged: Take the memory peak from the cgroup where its peak counter can be reset.
        watchful: Look at everything at every sample, whatever it costs: somebody waits for what is seen.
    """

    def __init__(
        self,
        tree: Tree,
        cgroup: Optional[Cgroup],
        started_at: float,
        interval_seconds: float,
        gpus: GpuMeter,
        charged: bool = True,
        watchful: bool = False,
    ) -> None:
        self.interval_seconds = interval_seconds
        self.samples = 0
        #: The most that a sample saw so far, a lower bound of the peak.
        self.most_rss_bytes = 0
        #: After the end: whether processes used much that the cgroup did not count: they had left it.
        self.escaped = False
        self.rss_bytes: Optional[int] = None
        self.timeline = Timeline(min(interval_seconds, 3600.0), [device.use.index for device in gpus.devices])
        self._tree = tree
        self._cgroup = cgroup
        self._started_at = started_at
        self._gpus = gpus
        self._energy = energy_of(self.cpu_seconds)
        self._windows = CpuWindows()
        self._processes = ProcessMemory()
        self._watchful = watchful
        self._charged = ChargedMemory() if charged and cgroup is not None and cgroup.peak_resettable else None
        self._windows.add(0.0, 0.0)
        self._ramp = interval_seconds if math.isinf(interval_seconds) else FIRST_INTERVAL_SECONDS
        self._ramp = min(self._ramp, interval_seconds)
        self._sweep_spent = self._walk_spent = self._discovery_spent = self._looks_spent = 0.0
        self._gpu_spent = self._next_tick_at = 0.0
        self._files_low = self._files_high = 0
        self._marks_were_reset = True
        self._lively: Dict[int, Tuple[Optional[Residency], int, int]] = {}
        self._read_now: List[int] = []
        self._minus_shared: Optional[int] = None
        self._minus_shared_now: Optional[int] = None
        self._cpu_recent: Optional[float] = None
        self._cgroup_peak: Optional[int] = None
        self._pids_seen: Set[int] = set()

    @property
    def cpu_percent_recent(self) -> Optional[float]:
        """CPU use in the last window, 100 = one core."""
        return self._cpu_recent

    @property
    def gpus_recent(self) -> Dict[int, Tuple[Optional[int], Optional[float]]]:
        """GPU index -> (memory in bytes, utilisation in percent) of the last sample."""
        return {d.use.index: (d.memory_bytes, d.utilisation_percent) for d in self._gpus.devices}

    @property
    def gpu_memory_bytes(self) -> Optional[int]:
        """Memory of the tree on the GPU where it has most, at the last sample; ``None``: seen on none."""
        held = [d.memory_bytes for d in self._gpus.devices if d.memory_bytes is not None]
        return max(held, default=None)

    @property
    def minus_shared_bytes(self) -> Optional[int]:
        """RSS minus shared pages, summed over the tree, when its processes were last looked at."""
        return self._minus_shared_now if self._charged is not None else self._processes.minus_shared

    @property
    def peak_rss_bytes(self) -> Optional[int]:
        """Greatest resident memory of the tree so far."""
        return (self._processes if self._charged is None else self._charged).peak.bytes

    @property
    def peak_minus_shared_bytes(self) -> Optional[int]:
        """Greatest RSS minus shared pages so far, summed over the tree."""
        return self._processes.peak_minus_shared if self._charged is None else self._minus_shared

    @property
    def peak_gpu_memory_bytes(self) -> Optional[int]:
        """Greatest memory so far on the GPU where it was most; ``None``: seen on none."""
        return self._gpus.peak_bytes()

    def energy_joules(self) -> Optional[float]:
        """Of the processor packages and of the GPUs that the tree was seen on, so far; ``None``: no counters."""
        of_gpus, of_packages = self._gpus.joules(), self._energy.since_start()[0]
        return None if of_gpus is None and of_packages is None else (of_gpus or 0.0) + (of_packages or 0.0)

    def cpu_seconds(self) -> Optional[float]:
        """CPU seconds of the tree so far."""
        if self._cgroup is not None:
            found = self._cgroup.cpu_seconds()
            if found is not None:
                return found
        seconds = self._tree.user_seconds + self._tree.system_seconds
        for files in list(self._tree.files.values()):
            seconds += files.cpu_seconds() or 0.0
        return seconds

    def sample(self, now: float) -> float:
        """Take a sample; returns the seconds until the next one is due."""
        spent, walked = time.thread_time(), self._walk_spent
        at = now - self._started_at
        if self._charged is not None:
            if (
                self._watchful
                or self._sweep_spent <= SWEEP_ALLOWANCE_SECONDS + SWEEP_SHARE_BESIDE_CGROUP * at
            ):
                self._sweep()
                self._sweep_spent += time.thread_time() - spent
            self._observe_charge()
        else:
            self._observe_processes(at)
        self.most_rss_bytes = max(self.most_rss_bytes, self.rss_bytes or 0)
        self._observe_cpu(now, at)
        self._observe_gpus(at)
        points = [[device.memory_bytes, device.utilisation_percent] for device in self._gpus.devices]
        self.timeline.add(at, self._cpu_recent, self.rss_bytes, points)
        self.samples += 1
        wait = self._ramp
        self._ramp = min(self._ramp * 2, self.interval_seconds)
        if self._charged is None:
            # Walks have a budget of their own.
            looked = time.thread_time() - spent - (self._walk_spent - walked)
            self._looks_spent += looked
            if self._looks_spent > LOOKS_ALLOWANCE_SECONDS and not self._watchful:
                wait = max(wait, min(looked / SWEEP_SHARE, LONGEST_INTERVAL_SECONDS))
        return wait

    def _readings_of_the_lively(self) -> Dict[int, Residency]:
        """Readings of all processes; those whose memory stands still are looked at less often.

        Nothing is missed by that: a mark not read keeps rising until it is.
        """
        found: Dict[int, Residency] = {}
        self._read_now = []
        for pid, files in self._tree.files.items():
            last, skip, wait = self._lively.get(pid, (None, 0, 0))
            if last is not None and wait > 0 and not self._watchful:
                self._lively[pid] = (last, skip, wait - 1)
                found[pid] = last
                continue
            reading = files.residency()
            if reading is None:
                continue
            found[pid] = reading
            self._read_now.append(pid)
            still = last is not None and reading.high_water == reading.total == last.total
            skip = min(skip + 1, STILL_INTERVALS) if still else 0
            self._lively[pid] = (reading._replace(high_water=reading.total), skip, skip)
        self._lively = {pid: self._lively[pid] for pid in found}
        self._pids_seen.update(found)
        return found

    def _readings(self) -> Dict[int, Residency]:
        found = {}
        for pid, files in self._tree.refresh().items():
            reading = files.residency()
            if reading is not None:
                found[pid] = reading
        self._pids_seen.update(found)
        return found

    def _sweep(self) -> Dict[int, Residency]:
        """Look at single processes where the cgroup counts the rest: mapped files, RSS minus shared."""
        now = self._readings()
        files = [reading.mapped_files for reading in now.values()]
        self._files_low, self._files_high = max(files, default=0), sum(files)
        if now:
            self._minus_shared_now = sum(r.anonymous for r in now.values())
            self._minus_shared = max(self._minus_shared or 0, self._minus_shared_now)
        return now

    def _observe_charge(self) -> None:
        assert self._charged is not None
        assert self._cgroup is not None
        charge = self._cgroup.charge()
        if charge is not None:
            self.rss_bytes = self._charged.observe(charge, self._files_low, self._files_high, self._marks)

    def _marks(self) -> Optional[int]:
        """The living processes' high-water marks, summed; ``None`` if none lives any more."""
        now = self._sweep()
        return sum(reading.high_water for reading in now.values()) if now else None

    def _observe_processes(self, at: float) -> None:
        before = time.thread_time()
        discover = self._watchful or self._discovery_spent <= SWEEP_ALLOWANCE_SECONDS + DISCOVERY_SHARE * at
        if discover:
            self._tree.refresh()
            self._discovery_spent += time.thread_time() - before
        now = self._readings_of_the_lively()
        budget = WALK_ALLOWANCE_SECONDS + WALK_SHARE * at

        def shares(pid: int) -> Optional[Shares]:
            if self._walk_spent > budget:
                return None
            before = time.thread_time()
            found = self._tree.files[pid].shares()
            self._walk_spent += time.thread_time() - before
            return found

        if now:
            self.rss_bytes = self._processes.observe(now, self._marks_were_reset, shares)
            for pid in self._read_now:
                if not self._tree.files[pid].reset_high_water():
                    self._marks_were_reset = False
        self._observe_cgroup_peak()

    def _observe_cgroup_peak(self) -> None:
        """The cgroup's peak where it can be read but not reset, and so says nothing about intervals."""
        charge = None if self._cgroup is None else self._cgroup.charge()
        if charge is not None:
            self._cgroup_peak = max(self._cgroup_peak or 0, charge.peak)

    def _observe_cpu(self, now: float, at: float) -> None:
        if self._cgroup is None:
            if now < self._next_tick_at:
                return
            self._next_tick_at = now + TICK_INTERVAL_SECONDS
        seconds = self.cpu_seconds()
        if seconds is not None:
            self._cpu_recent = self._windows.add(at, seconds)

    def _observe_gpus(self, at: float) -> None:
        """NVML answers slowly, more so on machines with many GPUs: a budget keeps it from being felt."""
        allowed = self._watchful or self._gpu_spent <= GPU_ALLOWANCE_SECONDS + GPU_SHARE * at
        if self._gpus.devices and allowed:
            before = time.thread_time()
            self._gpus.sample(self._tree.files)
            self._gpu_spent += time.thread_time() - before

    def finish(self, ended_at: float, allowed_cores: float, supervisor_peak_before: int) -> Measurement:
        """What the tree used, once all of it has ended and been reaped.

        Args:
            ended_at: CLOCK_MONOTONIC instant of the end.
            allowed_cores: What 100 percent of allowed means.
            supervisor_peak_before: The supervisor's own high-water mark when it forked: a child's maximum
                that is not above it may be a leftover of the fork, and so is a bound only.
        """
        found = Measurement(wall_seconds=ended_at - self._started_at)
        self._finish_cpu(found, allowed_cores)
        self._finish_memory(found, supervisor_peak_before)
        found.disk_read_bytes = self._tree.disk_read_bytes
        found.disk_written_bytes = self._tree.disk_written_bytes
        found.gpus = self._gpus.finish(self._pids_seen)
        found.energy_joules, found.energy_method = self._energy.since_start()
        found.overhead_peak_rss_bytes = own_peak_rss_bytes()
        found.overhead_samples = self.samples
        found.sampling_interval_seconds = (
            self.interval_seconds if math.isfinite(self.interval_seconds) else None
        )
        return found

    def _finish_cpu(self, found: Measurement, allowed_cores: float) -> None:
        waited_user, waited_system = self._tree.user_seconds, self._tree.system_seconds
        counted = self.cpu_seconds() if self._cgroup is not None else None
        wall = found.wall_seconds or 0.0
        waited = waited_user + waited_system
        self.escaped = counted is not None and waited > counted * (1 + ESCAPED_SHARE) + ESCAPED_SECONDS
        if counted is not None and self._cgroup is not None and not self.escaped:
            found.cpu_method = f"cgroup v{self._cgroup.version}"
            found.cpu_seconds = counted
            user, system = self._cgroup.cpu_split()
            if user is None or system is None or user + system < 0.2:  # v1 splits by ticks of 10 ms
                user, system = waited_user, waited_system
            share = user / (user + system) if user + system > 0 else 1.0
            found.cpu_user_seconds, found.cpu_system_seconds = counted * share, counted * (1.0 - share)
        else:
            found.cpu_method = "wait4 of all descendants (subreaper)"
            found.cpu_seconds = waited
            found.cpu_user_seconds, found.cpu_system_seconds = waited_user, waited_system
        if wall > 0:
            found.cpu_percent_of_core = 100.0 * found.cpu_seconds / wall
            found.cpu_percent_of_allowed = found.cpu_percent_of_core / allowed_cores
            if self._cgroup is not None and not self.escaped:
                self._windows.add(wall, found.cpu_seconds)
            greatest = max(self._windows.percent_of_core_max or 0.0, found.cpu_percent_of_core)
            found.cpu_percent_of_core_max = greatest
            found.cpu_percent_of_allowed_max = greatest / allowed_cores

    def _finish_memory(self, found: Measurement, supervisor_peak_before: int) -> None:
        beside = 0
        if self._charged is not None:
            self._observe_charge()
            peak: Peak = self._charged.peak
            found.cgroup_peak_bytes = self._charged.charged_peak
            found.peak_rss_method = f"cgroup v{self._cgroup.version if self._cgroup else 0} peak per interval"
            found.peak_rss_minus_shared_bytes = self._minus_shared
        else:
            peak = self._processes.peak
            beside = self._processes.last_total(without=self._tree.peak_process)
            self._observe_cgroup_peak()
            found.cgroup_peak_bytes = self._cgroup_peak
            found.peak_rss_method = "process high-water marks per interval"
            found.peak_rss_minus_shared_bytes = self._processes.peak_minus_shared
        ended = self._tree.peak_process_bytes
        if ended > supervisor_peak_before + (1 << 20):
            peak.include_process_peak(ended, beside)
        else:
            peak.may_have_been(ended + beside)
        found.peak_rss_bytes, found.peak_rss_low_bytes = peak.bytes, peak.low_bytes
        found.peak_rss_high_bytes = peak.high_bytes
        found.peak_mapped_files_bytes = peak.files_bytes
