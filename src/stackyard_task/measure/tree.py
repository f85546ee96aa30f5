"""The process tree of a run: who belongs to it, who has ended with what use, and how it is ended.

The supervisor is the child's subreaper (prctl(2)): orphans become its children, so that their end is seen
and their CPU and disk use is counted. A process whose parent ignores SIGCHLD is counted by nobody without a
cgroup; that is POSIX. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from typing import Dict, List, Optional, Set

from stackyard_task.measure.cgroup import Cgroup
from stackyard_task.measure.proc import KEPT_PROCESSES, ProcessFiles

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> bool:
    return bool(_libc.prctl(option, value, 0, 0, 0) == 0)


_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> bool:
    """Make this process adopt the orphans among its descendants; True if the kernel does (Linux 3.4)."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def stop_being_subreaper() -> None:
    """Undo ``become_subreaper``."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 0)


def die_with_parent() -> None:
    """In a forked child: be killed when the supervisor dies, whatever it dies of."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Tree:
    """All descendants of this process except ``foreign`` ones it had before."""

    def __init__(self, main_pid: int, cgroup: Optional[Cgroup], foreign: Set[int]) -> None:
        self.main_pid = main_pid
        #: wait(2) status of the main child once it has ended.
        self.main_status: Optional[int] = None
        self.user_seconds = 0.0
        self.system_seconds = 0.0
        #: Greatest resident memory any single ended process had (since its mark was last reset).
        self.peak_process_bytes = 0
        #: Which one that was.
        self.peak_process: Optional[int] = None
        self.disk_read_bytes = 0
        self.disk_written_bytes = 0
        self.files: Dict[int, ProcessFiles] = {}
        self._cgroup = cgroup
        self._foreign = foreign
        self._self_files = ProcessFiles(os.getpid())

    def reap(self) -> None:
        """Collect every ended child: its CPU seconds and those of all it waited for, peak and disk bytes."""
        while True:
            pid = self._next_ended()
            if pid is None:
                return
            files = self.files.pop(pid, None) or ProcessFiles(pid, keep_open=False)
            disk = files.disk_bytes()
            files.close()
            try:
                _, status, usage = os.wait4(pid, 0)
            except ChildProcessError:
                continue
            if disk is not None:
                self.disk_read_bytes += disk[0]
                self.disk_written_bytes += disk[1]
            self.user_seconds += usage.ru_utime
            self.system_seconds += usage.ru_stime
            if usage.ru_maxrss * 1024 > self.peak_process_bytes:
                self.peak_process_bytes, self.peak_process = usage.ru_maxrss * 1024, pid
            if pid == self.main_pid:
                self.main_status = status

    def _next_ended(self) -> Optional[int]:
        """A zombie child of ours, still unreaped so that /proc can be asked about it."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        try:
            if not self._foreign:
                found = os.waitid(os.P_ALL, 0, options)
                return None if found is None else found.si_pid
            for pid in self._children():
                found = os.waitid(os.P_PID, pid, options)
                if found is not None:
                    return found.si_pid
        except ChildProcessError:
            pass
        return None

    def _children(self) -> List[int]:
        self._self_files.residency()  # learns whether this process has threads, each with children of its own
        found = self._self_files.children()
        if found is None:
            found = _children_by_scan(os.getpid())
        return [pid for pid in found if pid not in self._foreign]

    def refresh(self) -> Dict[int, ProcessFiles]:
        """The /proc files of the tree's processes as they are now, zombies not yet reaped included."""
        pids = set(self._cgroup.processes()) if self._cgroup is not None else self._descendants()
        for gone in [pid for pid in self.files if pid not in pids]:
            self.files.pop(gone).close()
        for pid in pids:
            self._file(pid)
        return self.files

    def processes(self) -> Set[int]:
        """Ids of the tree's processes, those that left its cgroup included."""
        found = self._descendants()
        if self._cgroup is not None:
            found.update(self._cgroup.processes())
        return found

    def _descendants(self) -> Set[int]:
        found: Set[int] = set()
        frontier = self._children()
        while frontier:
            pid = frontier.pop()
            if pid in found:
                continue
            found.add(pid)
            below = self._file(pid).children()
            if below is None and os.path.exists(f"/proc/{pid}/stat"):
                below = _children_by_scan(pid)
            frontier += below or []
        return found

    def _file(self, pid: int) -> ProcessFiles:
        files = self.files.get(pid)
        if files is None:
            files = self.files[pid] = ProcessFiles(pid, keep_open=len(self.files) < KEPT_PROCESSES)
        return files

    def signal(self, number: int) -> None:
        """Send a signal to every process of the tree."""
        if number == signal.SIGKILL and self._cgroup is not None:
            self._cgroup.kill()
        for pid in self.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, number)

    def close(self) -> None:
        """Close the kept files."""
        for files in [*self.files.values(), self._self_files]:
            files.close()
        self.files.clear()


def own_children() -> Set[int]:
    """Processes this process already is the parent of."""
    files = ProcessFiles(os.getpid(), keep_open=False)
    files.residency()
    found = files.children()
    return set(_children_by_scan(os.getpid()) if found is None else found)


def _children_by_scan(parent: int) -> List[int]:
    """Children by looking at every process; for kernels without /proc/PID/task/TID/children."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stream:
                    data = stream.read()
            except OSError:
                continue
            if int(data[data.rfind(b")") + 2 :].split(None, 2)[1]) == parent:
                found.append(int(name))
    return found
