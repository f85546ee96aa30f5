"""A container's use, read from the cgroup's files of either version, and from a real engine's container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackyard_task.measure import container_use
from stackyard_task.measure.cgroup import Cgroup, CgroupV1, CgroupV2
from stackyard_task.measure.container_use import ContainerUse

MIB = 1 << 20


class V1:
    """The files of a cgroup of version 1, as far as they are read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.set(cpu=0, usage=0, rss=0, peak=0, kills=0)

    def open(self) -> Cgroup:
        return CgroupV1(dict.fromkeys(("cpuacct", "cpu", "memory"), str(self.folder)))

    def set(self, *, cpu: float, usage: int, rss: int, peak: int, kills: int) -> None:
        for name, text in {
            "cpuacct.usage": f"{round(cpu * 1e9)}\n",
            "memory.usage_in_bytes": f"{usage}\n",
            "memory.max_usage_in_bytes": f"{peak}\n",
            "memory.stat": f"cache 5\nrss 1\ntotal_rss {rss}\ntotal_shmem 0\n",
            "memory.oom_control": f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n",
        }.items():
            (self.folder / name).write_text(text)


class V2(V1):
    """The same of version 2."""

    def open(self) -> Cgroup:
        return CgroupV2({"unified": str(self.folder)})

    def set(self, *, cpu: float, usage: int, rss: int, peak: int, kills: int) -> None:
        for name, text in {
            "cpu.stat": f"usage_usec {round(cpu * 1e6)}\nuser_usec 0\n",
            "memory.current": f"{usage}\n",
            "memory.peak": f"{peak}\n",
            "memory.stat": f"anon {rss}\nfile 5\nshmem 0\n",
            "memory.events": f"low 0\noom 1\noom_kill {kills}\n",
        }.items():
            (self.folder / name).write_text(text)


@pytest.mark.parametrize("version", [V1, V2])
def test_what_is_used_from_the_beginning_on_counts(tmp_path: Path, version: type[V1]) -> None:
    files = version(tmp_path)
    files.set(cpu=5.0, usage=300 * MIB, rss=280 * MIB, peak=400 * MIB, kills=1)
    use = ContainerUse(files.open())
    files.set(cpu=6.0, usage=60 * MIB, rss=20 * MIB, peak=60 * MIB, kills=1)
    use.begin()
    files.set(cpu=7.0, usage=190 * MIB, rss=150 * MIB, peak=190 * MIB, kills=1)
    use.sample()
    files.set(cpu=8.5, usage=70 * MIB, rss=30 * MIB, peak=70 * MIB, kills=2)
    seen = use.seen()
    use.close()
    number = files.open().version
    assert seen.method == f"cgroup v{number} of the container, read by its agent"
    assert seen.cpu_seconds == pytest.approx(2.5)
    assert seen.peak_bytes == 150 * MIB
    assert seen.charged_peak_bytes == 190 * MIB
    assert use.kernel_kills == 1


def test_a_cgroup_that_is_gone_is_not_measured(tmp_path: Path) -> None:
    use = ContainerUse(CgroupV2({"unified": str(tmp_path / "none")}))
    use.begin()
    seen = use.seen()
    assert (seen.cpu_seconds, seen.peak_bytes, seen.charged_peak_bytes, use.kernel_kills) == (
        None,
        None,
        None,
        0,
    )


def test_a_process_in_no_container_of_its_own_is_none() -> None:
    assert container_use.of_process(os.getpid()) is None
    assert container_use.of_process(1 << 30) is None
