"""What a machine is and can run: from prepared /proc, cgroups and driver answers, and from this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackyard.machine import hardware
from stackyard.machine.hardware import Machine
from stackyard.machine.hardware_spec import HardwareSpec

GIB = 2**30


def lay(top: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return top


def proc(tmp_path: Path, cgroup: str) -> Path:
    return lay(
        tmp_path / "proc",
        {
            "self/cgroup": cgroup,
            "cpuinfo": "processor\t: 0\nmodel name\t: Test CPU 9000\n\nprocessor\t: 1\n",
            "meminfo": "MemTotal:       16777216 kB\nMemFree: 1 kB\n",
        },
    )


V1 = "5:memory:/job\n4:cpu,cpuacct:/job\n1:name=systemd:/\n"
V2 = "0::/user.slice/job\n"


def look(tmp_path: Path, cgroup: str, files: dict[str, str]) -> Machine:
    return hardware.this_machine(proc(tmp_path, cgroup), lay(tmp_path / "cgroup", files), nvidia_smi=None)


def test_cgroup_v1_quota_and_limit_of_the_tightest_parent_hold(tmp_path: Path) -> None:
    machine = look(
        tmp_path,
        V1,
        {
            "cpu/cpu.cfs_quota_us": "-1",
            "cpu/job/cpu.cfs_quota_us": "150000",
            "cpu/job/cpu.cfs_period_us": "100000",
            "memory/memory.limit_in_bytes": str(4 * GIB),
            "memory/job/memory.limit_in_bytes": "9223372036854771712",
        },
    )
    assert (machine.cgroup_version, machine.quota_cores, machine.ram_limit_bytes) == (1, 1.5, 4 * GIB)
    assert (machine.cpu_model, machine.ram_bytes) == ("Test CPU 9000", 16 * GIB)
    assert machine.usable_ram_bytes == 4 * GIB
    assert machine.usable_cores == min(1.5, machine.affinity_cores)


def test_inside_a_container_the_mount_itself_is_our_cgroup(tmp_path: Path) -> None:
    files = {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000", "memory/x": ""}
    assert look(tmp_path, V1, files).quota_cores == 0.5


def test_cgroup_v2_quota_and_limit(tmp_path: Path) -> None:
    machine = look(
        tmp_path,
        V2,
        {
            "cgroup.controllers": "cpu memory",
            "user.slice/cpu.max": "max 100000",
            "user.slice/job/cpu.max": "75000 50000",
            "user.slice/job/memory.max": "max",
        },
    )
    assert (machine.cgroup_version, machine.quota_cores, machine.ram_limit_bytes) == (2, 1.5, None)


def test_without_cgroups_only_whole_cores_can_be_limited(tmp_path: Path) -> None:
    machine = look(tmp_path, "", {})
    support = hardware.limits_possible(machine)
    assert machine.cgroup_version is None
    assert (support.mechanism, support.fractions) == ("affinity + rlimit", False)
    assert "no cgroup" in (support.why_not or "")
    assert "needs a CPU quota" in (hardware.why_not(HardwareSpec("half", cores=0.5), machine) or "")
    assert hardware.why_not(HardwareSpec("one", cores=1), machine) is None


def test_a_cgroup_tree_that_hands_nothing_down_is_an_obstacle_and_keeps_no_trial(tmp_path: Path) -> None:
    machine = look(tmp_path, V2, {"cgroup.controllers": "", "user.slice/job/cgroup.controllers": ""})
    assert "does not hand down" in (machine.cgroup_obstacle or "")
    assert not list((tmp_path / "cgroup").rglob("stackyard-trial*"))


def test_this_machine_as_it_is() -> None:
    machine = hardware.this_machine()
    assert machine.cores == os.cpu_count()
    assert 0 < machine.usable_cores <= machine.cores
    assert machine.ram_bytes is not None
    assert machine.ram_bytes > GIB / 4
    assert hardware.limits_possible(machine).mechanism in {"cgroup v1", "cgroup v2", "affinity + rlimit"}
    assert bool(machine.gpus) == (machine.gpu_obstacle is None)
    assert hardware.disk_free_bytes(Path("/nowhere/at/all")) > 0


def plain(**more: object) -> Machine:
    values: dict[str, object] = {
        "system": "Linux",
        "cpu_model": None,
        "cores": 8,
        "affinity_cores": 4,
        "quota_cores": None,
        "ram_bytes": 16 * GIB,
        "ram_limit_bytes": None,
        "cgroup_version": 2,
        "cgroup_obstacle": None,
        "gpu_obstacle": "no NVIDIA driver (nvidia-smi not found)",
    }
    return Machine(**{**values, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (HardwareSpec("all"), None),
        (HardwareSpec("four", cores=4), None),
        (HardwareSpec("half", cores=0.5, memory_bytes=2 * GIB), None),
        (HardwareSpec("eight", cores=8), "8 cores wanted, 4 can be used here"),
        (HardwareSpec("big", memory_bytes=32 * GIB), "32.0 GiB of RAM wanted, 16.0 GiB can be used here"),
        (HardwareSpec("gpu", gpus=1), "no GPU: 1 wanted, no NVIDIA driver (nvidia-smi not found)"),
    ],
)
def test_hardware_that_cannot_be_had_says_both_figures(wanted: HardwareSpec, reason: str | None) -> None:
    assert hardware.why_not(wanted, plain()) == reason


def driver(tmp_path: Path, output: str, status: int = 0) -> Machine:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\nexit {status}\n")
    tool.chmod(0o755)
    return hardware.this_machine(nvidia_smi=str(tool))


def test_gpus_as_a_simulated_driver_tells_them(tmp_path: Path) -> None:
    machine = driver(
        tmp_path, "0, NVIDIA T4, 7.5, 15360, 550.54.15\n1, Old, With A Comma?, [N/A], [N/A], 550.54.15"
    )
    first = machine.gpus[0]
    assert (first.name, first.capability, first.memory_bytes, first.driver) == (
        "NVIDIA T4",
        7.5,
        15360 * 2**20,
        "550.54.15",
    )
    assert machine.gpu_obstacle is None


def test_a_driver_that_fails_is_a_reason_not_a_crash(tmp_path: Path) -> None:
    machine = driver(tmp_path, "NVIDIA-SMI has failed because it could not talk to the driver", status=9)
    assert machine.gpus == ()
    assert "has failed" in (machine.gpu_obstacle or "")
    assert (
        hardware.this_machine(nvidia_smi="no-such-tool").gpu_obstacle
        == "no NVIDIA driver (nvidia-smi not found)"
    )


@pytest.mark.parametrize("line", ["0, Fake GPU, [N/A], [N/A], ", "garbage", ""])
def test_fields_a_driver_does_not_know_are_not_known(tmp_path: Path, line: str) -> None:
    machine = driver(tmp_path, line)
    for gpu in machine.gpus:
        assert (gpu.capability, gpu.memory_bytes, gpu.driver) == (None, None, None)
    assert bool(machine.gpus) == line.startswith("0")
