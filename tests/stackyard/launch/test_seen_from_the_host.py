"""What a record says of CPU and memory is what the host's kernel counts for the workload's cgroup.

Read from outside, as root on the host; nothing of the run shares the host's process namespace (no ``--pid host``).
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from stackyard.launch.contract import record_in
from tests.stackyard.launch.conftest import ENGINE, WHOLE, AgentGround, command
from tests.waiting import until

MEGABYTES, SECONDS = 800, 3.0
TOLERANCE = 0.02


class HostCgroup:
    """A process's cgroup in the host's v1 hierarchies."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self.folders = folders

    def cpu_seconds(self) -> float:
        return int((self.folders["cpuacct"] / "cpuacct.usage").read_text()) / 1e9

    def rss_bytes(self) -> int:
        lines = (self.folders["memory"] / "memory.stat").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("total_rss "))


def cgroup_of(pid: int) -> HostCgroup:
    own: dict[str, str] = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    folders = {name: Path(f"/sys/fs/cgroup/{name}{own.get(name, '')}") for name in ("cpuacct", "memory")}
    if not all((folder / "cgroup.procs").exists() for folder in folders.values()):
        pytest.skip("the host's cgroups are not mounted as v1 at /sys/fs/cgroup: nothing to compare with")
    return HostCgroup(folders)


@contextmanager
def cgroup_for(pid: int) -> Iterator[HostCgroup]:
    """A cgroup for the process alone: below its container's, which holds the agent and the supervisor too.

    On the host the supervisor has made one before, from the first page on.
    """
    own = cgroup_of(pid)
    if own.folders["cpuacct"].name.startswith("stackyard-"):
        yield own
        return
    made = {name: folder / "for-the-test" for name, folder in cgroup_of(pid).folders.items()}
    try:
        for folder in made.values():
            try:
                folder.mkdir()
            except OSError as error:
                pytest.skip(f"no cgroup can be made on this host ({error.strerror})")
            (folder / "cgroup.procs").write_text(str(pid))
        yield HostCgroup(made)
    finally:
        for folder in made.values():
            for _ in range(200):
                with suppress(FileNotFoundError, OSError):
                    folder.rmdir()
                if not folder.exists():
                    break
                time.sleep(0.01)


def workload_of(deployment: AgentGround) -> int:
    """The host's number of the workload's process."""

    def found() -> list[int]:
        return [pid for pid in deployment.processes() if "stackyard_task.child" in command(pid)]

    return until(found, "a workload", deployment.log)[0]


@pytest.mark.parametrize(
    "dispatched", [WHOLE, pytest.param("container", marks=[*ENGINE.marks, pytest.mark.long])], indirect=True
)
def test_cpu_and_memory_agree_with_the_record(dispatched: AgentGround, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root sees the cgroups of others from the host")
    parameters = {"meeting": f"meeting-{uuid.uuid4().hex}", "megabytes": MEGABYTES, "seconds": SECONDS}
    folder = tmp_path / "run"
    run = dispatched.start(folder, dispatched.task("burn", parameters=parameters))
    pid = workload_of(dispatched)
    meeting = Path("/proc", str(pid), "root", "tmp", parameters["meeting"])
    until((meeting / "here").exists, "the workload to come")
    used, held = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9, anonymous_bytes(pid)
    with cgroup_for(pid) as seen:
        # what the kernel counted elsewhere: before the process was in this cgroup
        used, held = max(0.0, used - seen.cpu_seconds()), max(0, held - seen.rss_bytes())
        (meeting / "begin").touch()
        until((meeting / "burnt").exists, "the workload to have burnt")
        memory = seen.rss_bytes()
        (meeting / "go").touch()
        while cpu_counts(pid):
            cpu = seen.cpu_seconds()
            time.sleep(0.005)
    assert dispatched.ended(run) == 0, dispatched.log()
    measured = record_in(folder).measurement
    assert measured.cpu_seconds == pytest.approx(used + cpu, rel=TOLERANCE)
    assert measured.peak_rss_bytes == pytest.approx(held + memory, rel=TOLERANCE)
    for left in Path("/tmp").glob("meeting-*"):
        for file in left.iterdir():
            file.unlink()
        left.rmdir()


def anonymous_bytes(pid: int) -> int:
    """Resident memory of a process that no file backs."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def cpu_counts(pid: int) -> bool:
    """Whether the process still runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False
