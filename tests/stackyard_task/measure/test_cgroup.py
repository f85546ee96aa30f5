"""cgroups: v2 and v1 on folders that look like the kernel's, and a real one where it can be made."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict

import pytest

from stackyard_task.measure import cgroup
from stackyard_task.measure.cgroup import CgroupV1, CgroupV2, Charge
from stackyard_task.measure.cgroup_places import Place, Places, find_places, memory_limit_bytes, quota_cores
from tests.waiting import PATIENCE_SECONDS

V2_FILES = {
    "cgroup.procs": "12\n345\n",
    "cgroup.subtree_control": "cpu memory\n",
    "cpu.max": "max 100000\n",
    "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nthrottled_usec 40000\n",
    "memory.current": "500\n",
    "memory.events": "low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\n",
    "memory.max": "max\n",
    "memory.peak": "900\n",
    "memory.stat": "anon 300\nfile 150\nkernel 20\nshmem 50\nfile_mapped 60\n",
    "memory.swap.max": "max\n",
    "memory.oom.group": "0\n",
}
V1_FILES = {
    "cpuacct": {
        "cgroup.procs": "12\n",
        "cpuacct.usage": "2500000000\n",
        "cpuacct.stat": "user 200\nsystem 50\n",
    },
    "cpu": {
        "cgroup.procs": "12\n",
        "cpu.cfs_period_us": "100000\n",
        "cpu.cfs_quota_us": "-1\n",
        "cpu.stat": "nr_periods 1\nnr_throttled 1\nthrottled_time 40000000\n",
    },
    "memory": {
        "cgroup.procs": "12\n",
        "memory.limit_in_bytes": "9223372036854771712\n",
        "memory.max_usage_in_bytes": "900\n",
        "memory.memsw.limit_in_bytes": "9223372036854771712\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        "memory.stat": "rss 1\nshmem 1\ntotal_cache 200\ntotal_rss 300\ntotal_shmem 50\n",
        "memory.usage_in_bytes": "500\n",
    },
}


def maker(files: Callable[[str], Dict[str, str]]) -> Callable[[str], None]:
    """A mkdir that fills the folder as the kernel would."""

    def make(folder: str) -> None:
        os.mkdir(folder)
        for name, content in files(folder).items():
            Path(folder, name).write_text(content, encoding="ascii")

    return make


def v2_places(tmp_path: Path) -> Places:
    root = tmp_path / "cgroup"
    own = root / "user.slice"
    for folder in (root, own):
        folder.mkdir()
        for name in ("cgroup.subtree_control", "cpu.max", "memory.max"):
            (folder / name).write_text(V2_FILES[name], encoding="ascii")
    return Places({}, Place(str(root), str(own)))


def made_v2(tmp_path: Path) -> CgroupV2:
    made = cgroup.create("1-test", v2_places(tmp_path), maker(lambda folder: V2_FILES))
    assert isinstance(made, CgroupV2)
    return made


def test_v2_readings(tmp_path: Path) -> None:
    made = made_v2(tmp_path)
    assert made.folders["unified"].endswith("/user.slice/stackyard-1-test")
    assert made.cpu_seconds() == 2.5
    assert made.cpu_split() == (2.0, 0.5)
    assert made.throttled_seconds() == pytest.approx(0.04)
    assert made.kernel_kills() == 2
    assert made.processes() == [12, 345]
    assert made.can_limit("cpu")
    assert made.can_limit("memory")


def test_v2_charge_resets_the_peak_it_read(tmp_path: Path) -> None:
    made = made_v2(tmp_path)
    Path(made.folders["unified"], "memory.peak").write_text("900\n", encoding="ascii")  # our reset wrote here
    assert made.charge() == Charge(usage=500, peak=900, resident=350)
    assert Path(made.folders["unified"], "memory.peak").read_text(encoding="ascii").startswith("reset")


def test_v2_limits(tmp_path: Path) -> None:
    made = made_v2(tmp_path)
    made.limit_cores(0.5)
    made.limit_memory(1_000_000)
    folder = Path(made.folders["unified"])
    assert (folder / "cpu.max").read_text(encoding="ascii").split()[:2] == ["50000", "100000"]
    assert (folder / "memory.max").read_text(encoding="ascii").startswith("1000000")
    assert (folder / "memory.swap.max").read_text(encoding="ascii").startswith("0")


def test_v2_kernel_that_cannot_reset_the_peak_is_noticed(tmp_path: Path) -> None:
    files = {
        name: content for name, content in V2_FILES.items() if name != "memory.peak"
    }  # before Linux 5.19
    made = cgroup.create("1-test", v2_places(tmp_path), maker(lambda folder: files))
    assert made is not None
    assert not made.peak_resettable
    assert made.charge() == Charge(usage=500, peak=500, resident=350)


def test_v2_never_goes_above_a_limit_it_is_under(tmp_path: Path) -> None:
    places = v2_places(tmp_path)
    own = Path(places.v2.folder if places.v2 else "")
    (own / "cgroup.subtree_control").unlink()  # hands out no controllers
    (own / "cgroup.subtree_control").mkdir()  # and cannot be told to
    (own / "memory.max").write_text("1000\n", encoding="ascii")
    made = cgroup.create(
        "1-test", places, maker(lambda folder: {k: V2_FILES[k] for k in ("cgroup.procs", "cpu.stat")})
    )
    assert made is not None
    assert made.folders["unified"].startswith(str(own))  # counts CPU there, limits nothing
    assert not made.can_limit("memory")
    assert made.charge() is None


def test_v2_ancestor_that_hands_out_controllers_is_used(tmp_path: Path) -> None:
    places = v2_places(tmp_path)
    own = Path(places.v2.folder if places.v2 else "")
    (own / "cgroup.subtree_control").unlink()
    (own / "cgroup.subtree_control").mkdir()
    made = cgroup.create("1-test", places, maker(lambda folder: V2_FILES))
    assert made is not None
    assert made.folders["unified"] == str(own.parent / "stackyard-1-test")


def v1_places(tmp_path: Path) -> Places:
    places = Places()
    for controller in V1_FILES:
        folder = tmp_path / controller / "own"
        folder.mkdir(parents=True)
        places.v1[controller] = Place(str(tmp_path / controller), str(folder))
    return places


def v1_files(folder: str) -> Dict[str, str]:
    return V1_FILES[Path(folder).parent.parent.name]


def test_v1_readings_and_limits(tmp_path: Path) -> None:
    made = cgroup.create("1-test", v1_places(tmp_path), maker(v1_files))
    assert isinstance(made, CgroupV1)
    assert made.cpu_seconds() == 2.5
    assert made.cpu_split() == (2.0, 0.5)
    assert made.throttled_seconds() == pytest.approx(0.04)
    assert made.kernel_kills() == 2
    assert made.peak_resettable
    made.limit_cores(1.5)
    made.limit_memory(1_000_000)
    assert Path(made.folders["cpu"], "cpu.cfs_quota_us").read_text(encoding="ascii").startswith("150000")
    assert (
        Path(made.folders["memory"], "memory.limit_in_bytes")
        .read_text(encoding="ascii")
        .startswith("1000000")
    )
    Path(made.folders["memory"], "memory.max_usage_in_bytes").write_text("900\n", encoding="ascii")
    assert made.charge() == Charge(usage=500, peak=900, resident=350)


def test_v1_without_a_writable_memory_hierarchy_still_counts_cpu(tmp_path: Path) -> None:
    places = v1_places(tmp_path)

    def make(folder: str) -> None:
        if "/memory/" in folder:
            raise PermissionError(13, "Permission denied", folder)
        maker(v1_files)(folder)

    made = cgroup.create("1-test", places, make)
    assert made is not None
    assert made.cpu_seconds() == 2.5
    assert not made.can_limit("memory")
    assert not made.peak_resettable


def test_nothing_writable_is_no_cgroup_and_leaves_nothing(tmp_path: Path) -> None:
    def make(folder: str) -> None:
        raise OSError(30, "Read-only file system", folder)

    assert cgroup.create("1-test", v1_places(tmp_path), make) is None
    assert cgroup.create("1-test", Places(), make) is None


def test_cgroups_of_killed_supervisors_are_swept(tmp_path: Path) -> None:
    places = v1_places(tmp_path)
    gone = 2**22 + 1  # above the kernel's greatest process id
    dead = Path(places.v1["cpuacct"].folder, f"stackyard-{gone}-x")
    living = Path(places.v1["cpuacct"].folder, f"stackyard-{os.getpid()}-x")
    dead.mkdir()
    living.mkdir()
    cgroup.create("1-test", places, maker(v1_files))
    assert not dead.exists()
    assert living.exists()


#: A supervisor that is killed, and what its run had detached from it.
KILLED = """
import os, sys, time
from stackyard_task.measure import cgroup
made = cgroup.create(f"{os.getpid()}-test")
if made is None:
    print(0, flush=True)
elif (left := os.fork()) == 0:
    made.join()
    os.setsid()
    print(os.getpid(), flush=True)
    time.sleep(600)
else:
    os.waitpid(left, 0)
"""


def test_what_a_killed_supervisors_run_left_ends_before_the_next_begins() -> None:
    supervisor = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE)
    assert supervisor.stdout is not None
    left = int(supervisor.stdout.readline())
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    if left == 0:
        pytest.skip("no writable cgroup on this machine")
    handle = os.pidfd_open(left)
    try:
        assert select.select([handle], [], [], 0.0)[0] == [], "it outlives its supervisor"
        made = cgroup.create(f"{os.getpid()}-test")
        assert made is not None
        made.remove()
        assert select.select([handle], [], [], PATIENCE_SECONDS)[0] == [handle]
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


def proc(tmp_path: Path, cgroups: str, mounts: str) -> str:
    (tmp_path / "cgroup").write_text(cgroups, encoding="ascii")
    (tmp_path / "mountinfo").write_text(mounts, encoding="ascii")
    return str(tmp_path)


def test_places_of_a_hybrid_machine(tmp_path: Path) -> None:
    mounts = (
        "33 31 0:30 / /c/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /c/memory rw - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /c/unified rw - cgroup2 cgroup2 rw\n"
    )
    places = find_places(proc(tmp_path, "4:memory:/job/1\n2:cpu,cpuacct:/\n0::/\n", mounts))
    assert places.version == 1
    assert places.v1["memory"] == Place("/c/memory", "/c/memory/job/1")
    assert places.v1["cpuacct"].folder == places.v1["cpu"].folder == "/c/cpu,cpuacct"


def test_places_inside_a_container_are_relative_to_what_is_mounted(tmp_path: Path) -> None:
    mounts = "35 31 0:32 /docker/abc /c/memory ro - cgroup cgroup rw,memory\n"
    places = find_places(proc(tmp_path, "4:memory:/docker/abc/inner\n", mounts))
    assert places.v1["memory"].folder == "/c/memory/inner"


def test_places_of_v2_alone(tmp_path: Path) -> None:
    places = find_places(proc(tmp_path, "0::/user.slice\n", "41 31 0:38 / /c rw - cgroup2 cgroup2 rw\n"))
    assert places.version == 2
    assert places.v2 == Place("/c", "/c/user.slice")


def test_the_smallest_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    places = v2_places(tmp_path)
    assert quota_cores(places) is None
    assert memory_limit_bytes(places) is None
    Path(places.v2.mount_point if places.v2 else "", "cpu.max").write_text(
        "150000 100000\n", encoding="ascii"
    )
    Path(places.v2.folder if places.v2 else "", "memory.max").write_text("5000\n", encoding="ascii")
    assert quota_cores(places) == 1.5
    assert memory_limit_bytes(places) == 5000


def test_a_real_cgroup_counts_what_a_child_uses() -> None:
    made = cgroup.create(f"{os.getpid()}-test")
    if made is None:
        pytest.skip("no writable cgroup on this machine")
    try:
        child = os.fork()
        if child == 0:
            made.join()
            block = b"\1" * 50_000_000
            os._exit(len(block) % 2)
        os.waitpid(child, 0)
        assert made.processes() == []
        assert (made.cpu_seconds() or 0) > 0
        if made.peak_resettable:
            charge = made.charge()
            assert charge is not None
            assert charge.peak > 50_000_000
            again = made.charge()
            assert again is not None
            assert again.peak < 50_000_000
    finally:
        folders = list(made.folders.values())
        made.remove()
    assert not [folder for folder in folders if os.path.exists(folder)]
